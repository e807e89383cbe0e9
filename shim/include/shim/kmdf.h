/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kmdf.ko calls of the kernel besides shim/shim.h, by the same rules; and the other direction, the C++ functions
 * that the C files of shim/kmdf/ install.
 */
#ifndef _SHIM_KMDF_H
#define _SHIM_KMDF_H

#include "shim/shim.h"

struct device;
struct iov_iter;
struct kiocb;
struct kmdf_pages;
struct timer_list;

#ifdef __cplusplus
SHIM_OPAQUE(timer_list, SHIM_SIZEOF_TIMER_LIST, SHIM_ALIGNOF_TIMER_LIST);

extern "C" {
#else
#include <linux/timer.h>
#endif

/* ---- context.c ---- */
void shim_local_bh_disable(void);
void shim_local_bh_enable(void);
/* Not 0: softirq, or bottom halves are off; of this task, on PREEMPT_RT too. */
unsigned int shim_softirq_count(void);
bool shim_irqs_disabled(void);
void shim_spin_lock_bh(struct spinlock *lock);
void shim_spin_unlock_bh(struct spinlock *lock);
/* Between two looks at a lock that somebody else has. */
void shim_spin_backoff(unsigned int tries);
void shim_rcu_read_lock(void);
void shim_rcu_read_unlock(void);
bool shim_fatal_signal_pending(void);
/* In the initial pid namespace: the process, and the thread. */
int shim_current_tgid(void);
int shim_current_tid(void);
/* Of the thread that the caller calls so in its own pid namespace; 0: there is none. */
int shim_find_tid(u64 id);
u64 shim_ktime_get_real_ns(void);

/* ---- text.c: as the kernel's, with its %pS ---- */
__attribute__((format(printf, 3, 4))) size_t shim_scnprintf(char *to, size_t size, const char *format, ...);
__attribute__((format(printf, 3, 0))) size_t shim_vscnprintf(char *to, size_t size, const char *format,
							     __builtin_va_list args);
__attribute__((format(printf, 1, 2))) void shim_panic(const char *format, ...);

/* ---- timer.c: a timer runs kmdf_timer_c(timer) or kmdf_send_timer_c(timer) in softirq ---- */
void shim_timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), const char *name,
		      struct lock_class_key *key);
/* True: it was pending. */
bool shim_mod_timer(struct timer_list *timer, u64 delay_ns);
bool shim_timer_pending(const struct timer_list *timer);
bool shim_del_timer(struct timer_list *timer);
bool shim_del_timer_sync(struct timer_list *timer) SHIM_SLEEPS;

/* ---- xarray, with its own lock and bottom halves off ---- */
int shim_xa_alloc_bh(struct xarray *xa, u32 *id, void *entry, u32 max, unsigned int gfp);
void *shim_xa_erase_bh(struct xarray *xa, unsigned long index);

/* ---- iov_iter: how many bytes ---- */
size_t shim_copy_from_iter(void *to, size_t bytes, struct iov_iter *from) SHIM_SLEEPS;
size_t shim_copy_to_iter(const void *from, size_t bytes, struct iov_iter *to) SHIM_SLEEPS;

/* ---- device.c ---- */
long shim_file_count(struct file *file);

/* ---- aio.c: asynchronous clients ---- */
/* It came by io_submit(). */
bool shim_kiocb_is_aio(struct kiocb *iocb);
/* io_cancel() and the end of its context run kmdf_aio_cancel_c(owner). */
void shim_kiocb_set_cancel_fn(struct kiocb *iocb, void *owner);
/* Nothing of the iocb is left afterwards. Not from kmdf_aio_cancel_c(). */
void shim_ki_complete(struct kiocb *iocb, s64 result);
/* This thread is one of io_uring's, in which a call may block. */
bool shim_current_is_io_worker(void);
/* No memory, or the address is bad: NULL. */
struct kmdf_pages *shim_kmdf_pin_pages(struct iov_iter *to, size_t bytes) SHIM_SLEEPS;
size_t shim_kmdf_copy_to_pages(struct kmdf_pages *pages, const void *from, size_t bytes) SHIM_SLEEPS;
void shim_kmdf_unpin_pages(struct kmdf_pages *pages) SHIM_SLEEPS;

/* ---- device.c: nodes /dev/kmdf/NAME; 0 or negative errno ---- */
/* owner is what kmdf_hold_c() and kmdf_attribute_c() are given, while the node is there. */
int shim_kmdf_node_create(const char *name, void *owner, u32 *minor, struct device **node) SHIM_SLEEPS;
/* Nobody opens it from now on, and nobody is in kmdf_hold_c() or kmdf_attribute_c() with its owner any more. */
void shim_kmdf_node_destroy(u32 minor, struct device *node) SHIM_SLEEPS;

/* ---- C++, installed by shim/kmdf/ ---- */
struct kmdf_params {
	unsigned int max_pending_per_file;
	unsigned int max_buffer_bytes;
	unsigned int kill_grace_ms;
	unsigned int stuck_ms;
	unsigned int forgotten_ms;
	unsigned int stop_ms;
	unsigned int verifier; /* KMDF_VERIFIER_* */
	bool prompt_cancel;
	bool cancel_on_close;
};
enum { KMDF_VERIFIER_OFF, KMDF_VERIFIER_WARN, KMDF_VERIFIER_PANIC };
extern struct kmdf_params kmdf_params;

/* CONTEXT: module init and exit. */
int kmdf_core_init_c(void);
void kmdf_core_exit_c(void);

/* CONTEXT: softirq. */
void kmdf_timer_c(struct timer_list *timer);
void kmdf_send_timer_c(struct timer_list *timer);

/* CONTEXT: process, may sleep. The files of /dev/kmdf/NAME. *data is file->private_data. */
/* Owner stays, with its driver, until kmdf_open_c(), which follows, has failed, or else until kmdf_release_c(). */
int kmdf_hold_c(void *owner);
int kmdf_open_c(void *owner, void **data);
void kmdf_release_c(void *data);
/* A descriptor of the file is being closed. */
void kmdf_flush_c(struct file *file, void *data);
/* Bytes, or negative errno; -EIOCBQUEUED: shim_ki_complete() follows. */
s64 kmdf_read_c(struct kiocb *iocb, struct file *file, void *data, struct iov_iter *to, size_t bytes, s64 pos);
s64 kmdf_write_c(struct kiocb *iocb, struct file *file, void *data, struct iov_iter *from, size_t bytes, s64 pos);
/* CONTEXT: interrupts off, under the lock of the asynchronous context, perhaps in softirq. */
void kmdf_aio_cancel_c(void *owner);
long kmdf_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg);
unsigned int kmdf_poll_c(struct file *file, void *data, struct poll_table_struct *table);
/* A line per interface, into a page. */
enum kmdf_attribute { KMDF_ATTRIBUTE_INTERFACES, KMDF_ATTRIBUTE_DRIVER };
size_t kmdf_attribute_c(void *owner, enum kmdf_attribute which, char *page, size_t size);
/* What debugfs can ask of one: "suspend", "resume", "remove". 0, -EINVAL, -ENOENT. */
int kmdf_power_c(const char *device, const char *what);
/* A line per rule of the verifier. */
size_t kmdf_verifier_c(char *page, size_t size);

/* CONTEXT: process, may sleep. /dev/kmdf/control. */
long kmdf_control_ioctl_c(unsigned int cmd, u64 arg);

#ifdef __cplusplus
}
#endif

#endif
