/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The other direction: the C++ functions that the C files of shim/ install into the kernel, and the module's
 * parameters. Everything here is extern "C"; nothing else of module/ is visible from C.
 */
#ifndef _SHIM_ENTRY_H
#define _SHIM_ENTRY_H

#include "shim/opaque.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kextbridge_status;

/* Module parameters (shim/entry.c has their text). Written by root at any time: read once per use. */
struct kextbridge_params {
	unsigned int request_timeout_ms;
	unsigned int autounload_delay_ms;
	unsigned int max_pending;
	unsigned int max_pending_per_file;
	unsigned int max_reply_bytes;
	unsigned int max_bytes_per_file;
	unsigned int max_name;
	bool strict_cancel;
	bool unload_stopping; /* unload_result=stopping */
};
extern struct kextbridge_params kextbridge_params;

/* CONTEXT: module init and exit. 0 or negative errno. */
int kextbridge_core_init_c(void);
void kextbridge_core_exit_c(void);

/* CONTEXT: process. The system goes down (there is no way back), is being suspended or is back. */
void kextbridge_shutdown_c(void);
void kextbridge_sleep_c(bool asleep);

#ifdef KEXTBRIDGE_TEST
/* CONTEXT: process. The test build's: the next tag (0: as it is), and how many more are taken. */
void kextbridge_test_tags_c(u32 next, s32 more);
/* As if the system had not gone down. */
void kextbridge_test_no_shutdown_c(void);
#endif

/* CONTEXT: process, may sleep. A work item that shim_init_work or shim_init_delayed_work set up is due. */
void kextbridge_work_c(struct work_struct *work);
void kextbridge_delayed_work_c(struct delayed_work *work);

/* CONTEXT: process, may sleep. The file operations of /dev/kextd. *data is file->private_data. */
int kextbridge_daemon_open_c(struct file *file, void **data);
void kextbridge_daemon_release_c(void *data);
long kextbridge_daemon_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg);
unsigned int kextbridge_daemon_poll_c(struct file *file, void *data, struct poll_table_struct *table);

/* CONTEXT: process, may sleep. The file operations of /dev/kextbridge. */
int kextbridge_control_open_c(struct file *file, void **data);
void kextbridge_control_release_c(void *data);
long kextbridge_control_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg);
unsigned int kextbridge_control_poll_c(struct file *file, void *data, struct poll_table_struct *table);

/* CONTEXT: process. A snapshot for sysfs. */
void kextbridge_stats_c(struct kextbridge_status *status);

#ifdef __cplusplus
}
#endif

#endif
