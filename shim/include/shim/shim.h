/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What C++ may call of the kernel: one function per kernel call, named shim_<that call>, no policy, no
 * branch on our state. Implemented by the C files of shim/ in the module and by selftests/host/fake_*.cpp on the
 * host. What can block, wake or publish is there twice: on threads and on fibers (selftests/schedules/fiber_*.cpp,
 * where it is a scheduling point). Arguments and results are the kernel call's; only what differs is said here.
 * Adding one: scripts/new-helper says where.
 */
#ifndef _SHIM_SHIM_H
#define _SHIM_SHIM_H

#include "shim/opaque.h"

/* May sleep: where a lock of module/ forbids that, base/annotate.hpp, which comes first, makes clang say so. */
#ifndef SHIM_SLEEPS
#define SHIM_SLEEPS
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- alloc.c: memory, always zeroed. gfp is SHIM_GFP_* ---- */
void *shim_kvzalloc(size_t size, unsigned int gfp);
/* CONTEXT: kvzalloc's, also softirq. Not zeroed: for payloads that are overwritten whole. */
void *shim_kvmalloc(size_t size, unsigned int gfp);
void *shim_kzalloc(size_t size, unsigned int gfp);
void shim_kfree(const void *p);
/* CONTEXT: process, for memory that may be vmalloc's. */
void shim_kvfree(const void *p) SHIM_SLEEPS;
/* Later, after a grace period. CONTEXT: also under a spin lock. The first SHIM_RCU_HEAD_SIZE bytes of p are used. */
void shim_kvfree_rcu(void *p);
/* Zeroed only with SHIM_GFP_ZERO. */
void *shim___vmalloc(size_t size, unsigned int gfp) SHIM_SLEEPS;
void shim_vfree(const void *p) SHIM_SLEEPS;

/* ---- cred.c ---- */
bool shim_capable(int cap);
/* In the initial user namespace, of who opened the file. */
bool shim_file_capable(const struct file *file, int cap);
/* In the initial user namespace. */
u32 shim_current_uid(void);

/* ---- delay.c: the CPU is busy meanwhile ---- */
void shim_ndelay(unsigned long nsecs);
void shim_udelay(unsigned long usecs); /* some thousands at most */

/* ---- file.c: a descriptor that a daemon handed over ---- */
struct file *shim_fget(int fd);
void shim_fput(struct file *file);
unsigned int shim_file_mode(const struct file *file);  /* SHIM_FMODE_* */
unsigned int shim_file_flags(const struct file *file); /* SHIM_O_* */
bool shim_file_is_regular(const struct file *file);
s64 shim_i_size_read(const struct file *file);
/* CONTEXT: sleeps. Bytes read, 0 at the end, or negative errno. */
s64 shim_kernel_read(struct file *file, void *to, size_t count, s64 *pos) SHIM_SLEEPS;

/* ---- kref.c ---- */
void shim_kref_init(struct kref *kref);
void shim_kref_get(struct kref *kref);
bool shim_kref_get_unless_zero(struct kref *kref);
bool shim_kref_put(struct kref *kref, void (*release)(struct kref *kref));

/* ---- lockdep.c: a class for a lock of its own, in memory that is neither code nor data of a module ---- */
void shim_lockdep_register_key(struct lock_class_key *key);
void shim_lockdep_unregister_key(struct lock_class_key *key) SHIM_SLEEPS;

/* ---- log.c: one line each, with the module's name in front ---- */
__attribute__((format(printf, 1, 2))) void shim_pr_info(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void shim_pr_warn(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void shim_pr_warn_ratelimited(const char *fmt, ...);
/* As it is; level is SHIM_LOGLEVEL_*. */
__attribute__((format(printf, 2, 0))) void shim_vprintk_emit(int level, const char *fmt, __builtin_va_list args);

/* ---- module.c ---- */
bool shim_try_module_get(struct module *module);
void shim_module_put(struct module *module);
int shim_module_refcount(struct module *module);
const char *shim_module_name(const struct module *module);
/* The executable part that stays after init: [*start, *start + *size). */
void shim_module_text(const struct module *module, unsigned long *start, unsigned long *size);

/* ---- mutex.c ---- */
void shim_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key);
void shim_mutex_destroy(struct mutex *lock);
void shim_mutex_lock(struct mutex *lock) SHIM_SLEEPS;
bool shim_mutex_trylock(struct mutex *lock);
void shim_mutex_unlock(struct mutex *lock);

/* ---- pid.c: the process behind an open file ---- */
struct pid *shim_get_current_tgid(void);
void shim_put_pid(struct pid *pid);
/* It is exiting as a whole (a thread may still be in a system call), or has. */
bool shim_process_gone(struct pid *pid);
/* In the caller's pid namespace; 0: not visible there. */
int shim_pid_vnr(struct pid *pid);

/* ---- rcu.c ---- */
/* CONTEXT: sleeps, for tens of milliseconds. */
void shim_synchronize_rcu_tasks(void) SHIM_SLEEPS;

/* ---- rwsem.c ---- */
void shim_init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key);
void shim_down_read(struct rw_semaphore *sem) SHIM_SLEEPS;
void shim_down_write(struct rw_semaphore *sem) SHIM_SLEEPS;
void shim_up_read(struct rw_semaphore *sem);
void shim_up_write(struct rw_semaphore *sem);

/* ---- sched.c ---- */
/* The thread that asks. */
struct task_struct *shim_current(void);
void shim_cond_resched(void) SHIM_SLEEPS;
void shim_might_sleep(void) SHIM_SLEEPS;
/* So long at least, unless somebody wakes the thread. */
void shim_schedule_timeout_idle(u64 timeout_ns) SHIM_SLEEPS;

/* ---- spinlock.c ---- */
void shim_spin_lock_init(struct spinlock *lock, const char *name, struct lock_class_key *key);
void shim_spin_lock(struct spinlock *lock);
bool shim_spin_trylock(struct spinlock *lock);
void shim_spin_unlock(struct spinlock *lock);
unsigned long shim_spin_lock_irqsave(struct spinlock *lock); /* the flags for the other */
void shim_spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags);

/* ---- time.c ---- */
u64 shim_ktime_get_ns(void); /* CLOCK_MONOTONIC */

/* ---- timerqueue.c ---- */
void shim_timerqueue_init_head(struct timerqueue_head *head);
void shim_timerqueue_init(struct timerqueue_node *node, u64 expires_ns);
void shim_timerqueue_add(struct timerqueue_head *head, struct timerqueue_node *node);
void shim_timerqueue_del(struct timerqueue_head *head, struct timerqueue_node *node);
struct timerqueue_node *shim_timerqueue_getnext(struct timerqueue_head *head);
u64 shim_timerqueue_expires(const struct timerqueue_node *node);

/* ---- uaccess.c: user addresses are u64, as on the wire; 0 or -EFAULT ---- */
int shim_copy_from_user(void *to, u64 from, size_t n) SHIM_SLEEPS;
int shim_copy_to_user(u64 to, const void *from, size_t n) SHIM_SLEEPS;
/* -E2BIG when what lies beyond ksize is not zero. */
int shim_copy_struct_from_user(void *dst, size_t ksize, u64 src, size_t usize) SHIM_SLEEPS;

/* ---- wait.c ---- */
void shim_init_waitqueue_head(struct wait_queue_head *wq, const char *name, struct lock_class_key *key);
void shim_wake_up(struct wait_queue_head *wq);
void shim_wake_up_all(struct wait_queue_head *wq);
bool shim_waitqueue_active(struct wait_queue_head *wq);
void shim_wait_event(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg) SHIM_SLEEPS;
int shim_wait_event_interruptible(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg) SHIM_SLEEPS;
int shim_wait_event_interruptible_exclusive(struct wait_queue_head *wq, bool (*condition)(void *arg),
					    void *arg) SHIM_SLEEPS;
int shim_wait_event_killable(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg) SHIM_SLEEPS;
/* state is SHIM_TASK_*, timeout_ns SHIM_KTIME_MAX for none. 0, -ETIME, -ERESTARTSYS. */
int shim___wait_event_hrtimeout(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg, s64 timeout_ns,
				unsigned int state) SHIM_SLEEPS;
void shim_poll_wait(struct file *file, struct wait_queue_head *wq, struct poll_table_struct *table) SHIM_SLEEPS;

/* ---- work.c ---- */
struct workqueue_struct *shim_alloc_workqueue(const char *name, unsigned int flags, int max_active) SHIM_SLEEPS;
void shim_destroy_workqueue(struct workqueue_struct *wq) SHIM_SLEEPS;
/* The work runs kextbridge_work_c(work). */
void shim_init_work(struct work_struct *work, const char *name, struct lock_class_key *key);
bool shim_queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool shim_flush_work(struct work_struct *work) SHIM_SLEEPS;
bool shim_cancel_work_sync(struct work_struct *work) SHIM_SLEEPS;
/* The work that this thread runs, if it was made by shim_init_work, else NULL. */
struct work_struct *shim_current_work(void);
/* The work runs kextbridge_delayed_work_c(work). */
void shim_init_delayed_work(struct delayed_work *work, const char *name, struct lock_class_key *key);
bool shim_mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, u64 delay_ns);
bool shim_cancel_delayed_work_sync(struct delayed_work *work) SHIM_SLEEPS;

/* ---- xarray.c: the array's own lock, taken with bottom halves off, is the lock of what is in it ---- */
void shim_xa_init_flags(struct xarray *xa, unsigned int flags, const char *name, struct lock_class_key *key);
void shim_xa_destroy(struct xarray *xa);
void shim_xa_lock_bh(struct xarray *xa);
void shim_xa_unlock_bh(struct xarray *xa);
void *shim_xa_load(struct xarray *xa, unsigned long index);
/* First entry at or after *index. */
void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long max);
/*
 * LOCKING: xa_lock held; with a gfp that may sleep it is dropped for an allocation and taken again. A null entry
 * reserves the index. -EBUSY: there is an entry.
 */
int shim___xa_insert(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp);
void *shim___xa_store(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp);
void *shim___xa_erase(struct xarray *xa, unsigned long index);
/* An entry that is a number, at most LONG_MAX. */
void *shim_xa_mk_value(unsigned long v);
unsigned long shim_xa_to_value(const void *entry);

/* ---- trace.c: one tracepoint each, off unless somebody looks ---- */
void shim_trace_submit(u32 tag, u32 load_tag, u32 kind, const char *identifier, const char *name);
void shim_trace_fetch(u32 tag, u32 load_tag, u32 kind);
void shim_trace_reply(u32 tag, u32 load_tag, s32 result, u32 length, s32 status);
void shim_trace_cancel(u32 tag, u32 load_tag, s32 result);
void shim_trace_timeout(u32 tag, u32 load_tag);
void shim_trace_callback(u32 tag, u32 load_tag, s32 result, u32 length, u64 latency_ns);
void shim_trace_retain(u32 load_tag, u32 retains, s32 result);
void shim_trace_release(u32 load_tag, u32 retains, s32 result);
void shim_trace_start(u32 load_tag, const char *identifier, s32 result);
void shim_trace_stop(u32 load_tag, const char *identifier, s32 result);

#ifdef __cplusplus
}
#endif

#endif
