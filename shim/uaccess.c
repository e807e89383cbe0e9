// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <linux/uaccess.h>

#include "shim/shim.h"
#include "test.h"

int shim_copy_from_user(void *to, u64 from, size_t n)
{
	kextbridge_test_point(TEST_COPY);
	return copy_from_user(to, u64_to_user_ptr(from), n) ? -EFAULT : 0;
}

int shim_copy_struct_from_user(void *dst, size_t ksize, u64 src, size_t usize)
{
	kextbridge_test_point(TEST_COPY);
	return copy_struct_from_user(dst, ksize, u64_to_user_ptr(src), usize);
}

int shim_copy_to_user(u64 to, const void *from, size_t n)
{
	kextbridge_test_point(TEST_COPY);
	return copy_to_user(u64_to_user_ptr(to), from, n) ? -EFAULT : 0;
}
