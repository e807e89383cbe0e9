// SPDX-License-Identifier: GPL-2.0-only
#include <linux/file.h>
#include <linux/fs.h>

#include "shim/shim.h"

struct file *shim_fget(int fd)
{
	return fget(fd);
}

unsigned int shim_file_flags(const struct file *file)
{
	/* ORDER: none. F_SETFL writes it meanwhile; either value will do. */
	return READ_ONCE(file->f_flags);
}

bool shim_file_is_regular(const struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode);
}

unsigned int shim_file_mode(const struct file *file)
{
	return (__force unsigned int)file->f_mode;
}

void shim_fput(struct file *file)
{
	fput(file);
}

s64 shim_i_size_read(const struct file *file)
{
	/* ORDER: none. The size is a hint, reading finds out; on 64 bits the kernel reads it plainly while others write. */
	return data_race(i_size_read(file_inode(file)));
}

s64 shim_kernel_read(struct file *file, void *to, size_t count, s64 *pos)
{
	return kernel_read(file, to, count, pos);
}
