// SPDX-License-Identifier: GPL-2.0-only
/* Asynchronous clients: their iocb, and the pages that a read goes to. */
#include <linux/aio.h>
#include <linux/bvec.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "../compat.h"
#include "shim/kmdf.h"

struct kmdf_pages {
	bool pinned;
	unsigned int count;
	size_t bytes;
	struct bio_vec vec[];
};

bool shim_kiocb_is_aio(struct kiocb *iocb)
{
	/* Others cannot be given a cancel function: io_uring's wait in a worker of its own (client.cpp). */
	return !is_sync_kiocb(iocb) && (iocb->ki_flags & IOCB_AIO_RW);
}

static int cancel(struct kiocb *iocb)
{
	kmdf_aio_cancel_c(iocb->private);
	return 0;
}

void shim_kiocb_set_cancel_fn(struct kiocb *iocb, void *owner)
{
	iocb->private = owner;
	kiocb_set_cancel_fn(iocb, cancel);
}

void shim_ki_complete(struct kiocb *iocb, s64 result)
{
	if (result > 0)
		iocb->ki_pos += result;
	iocb->ki_complete(iocb, result);
}

bool shim_current_is_io_worker(void)
{
	return current->flags & PF_IO_WORKER;
}

static int extend(struct kmdf_pages *pages, struct iov_iter *to, size_t most, unsigned int room)
{
	struct page **found = NULL;
	size_t offset;
	ssize_t bytes = compat_extract_pages(to, &found, most, room - pages->count, &offset);
	unsigned int i;

	if (bytes <= 0)
		return bytes ? bytes : -EFAULT;
	pages->bytes += bytes;
	for (i = 0; bytes > 0; i++, offset = 0) {
		unsigned int length = min_t(size_t, bytes, PAGE_SIZE - offset);

		pages->vec[pages->count++] =
			(struct bio_vec){.bv_page = found[i], .bv_len = length, .bv_offset = offset};
		bytes -= length;
	}
	kvfree(found);
	return 0;
}

struct kmdf_pages *shim_kmdf_pin_pages(struct iov_iter *to, size_t bytes)
{
	unsigned int room = iov_iter_npages(to, INT_MAX);
	struct kmdf_pages *pages =
		shim_kvzalloc(struct_size(pages, vec, room), (__force unsigned int)GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!pages)
		return NULL;
	pages->pinned = compat_extract_will_pin(to);
	while (!err && pages->bytes < bytes)
		err = extend(pages, to, bytes - pages->bytes, room);
	if (!err)
		return pages;
	shim_kmdf_unpin_pages(pages);
	return NULL;
}

size_t shim_kmdf_copy_to_pages(struct kmdf_pages *pages, const void *from, size_t bytes)
{
	struct iov_iter to;

	iov_iter_bvec(&to, READ, pages->vec, pages->count, pages->bytes);
	return copy_to_iter(from, bytes, &to);
}

void shim_kmdf_unpin_pages(struct kmdf_pages *pages)
{
	unsigned int i;

	for (i = 0; i < pages->count; i++) {
		struct page *page = pages->vec[i].bv_page;

		if (pages->pinned) {
			unpin_user_pages_dirty_lock(&page, 1, true);
		} else {
			set_page_dirty_lock(page);
			put_page(page);
		}
	}
	shim_kvfree(pages);
}
