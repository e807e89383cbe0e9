// SPDX-License-Identifier: GPL-2.0-only
/* Module init and exit, parameters, MODULE_*: what must be C. */
#include <linux/module.h>
#include <linux/string.h>

#include "chardev.h"
#include "param.h"
#include "power.h"
#include "shim/entry.h"
#include "test.h"

struct kextbridge_params kextbridge_params = {
	.request_timeout_ms = 120000,
	.autounload_delay_ms = 60000,
	.max_pending = 16384,
	.max_pending_per_file = 1024,
	.max_reply_bytes = 256u << 20,
	.max_bytes_per_file = 512u << 20,
	.max_name = 1023,
};

param_once(request_timeout_ms, kextbridge_params.request_timeout_ms, uint);
MODULE_PARM_DESC(request_timeout_ms,
		 "deadline of a request that names none, from its issue, in ms; 0: none (default 120000)");
param_once(autounload_delay_ms, kextbridge_params.autounload_delay_ms, uint);
MODULE_PARM_DESC(autounload_delay_ms,
		 "from a release to the scan that unloads idle kexts, in ms, at least 1 (default 60000)");
param_once(max_pending, kextbridge_params.max_pending, uint);
MODULE_PARM_DESC(max_pending, "unfinished requests per kext (default 16384)");
param_once(max_pending_per_file, kextbridge_params.max_pending_per_file, uint);
MODULE_PARM_DESC(max_pending_per_file, "unfinished or uncollected requests per open /dev/kextbridge (default 1024)");
param_once(max_reply_bytes, kextbridge_params.max_reply_bytes, uint);
MODULE_PARM_DESC(max_reply_bytes, "longest payload of a reply (default 256 MiB)");
param_once(max_bytes_per_file, kextbridge_params.max_bytes_per_file, uint);
MODULE_PARM_DESC(max_bytes_per_file,
		 "payload bytes that wait to be collected per open /dev/kextbridge (default 512 MiB)");
param_once(max_name, kextbridge_params.max_name, uint);
MODULE_PARM_DESC(max_name, "longest identifier or resource name in bytes, without NUL, at most 3072 (default 1023)");
param_once(strict_cancel, kextbridge_params.strict_cancel, bool);
MODULE_PARM_DESC(strict_cancel, "a kext can cancel its own requests only (default N)");

static int unload_result_set(const char *val, const struct kernel_param *kp)
{
	if (sysfs_streq(val, "timeout"))
		WRITE_ONCE(kextbridge_params.unload_stopping, false);
	else if (sysfs_streq(val, "stopping"))
		WRITE_ONCE(kextbridge_params.unload_stopping, true);
	else
		return -EINVAL;
	return 0;
}

static int unload_result_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", kextbridge_params.unload_stopping ? "stopping" : "timeout");
}

static const struct kernel_param_ops unload_result_ops = {
	.set = unload_result_set,
	.get = unload_result_get,
};
module_param_cb(unload_result, &unload_result_ops, NULL, 0644);
MODULE_PARM_DESC(
	unload_result,
	"what pending requests of a kext that is unloaded are called back with: timeout or stopping (default timeout)");

static int __init kextbridge_init(void)
{
	int err;

	kextbridge_test_init();
	err = kextbridge_core_init_c();
	if (err)
		goto failed;
	err = power_init();
	if (err)
		goto no_power;
	err = chardev_init();
	if (err)
		goto no_devices;
	return 0;

no_devices:
	power_exit();
no_power:
	kextbridge_core_exit_c();
failed:
	kextbridge_test_exit();
	return err;
}

static void __exit kextbridge_exit(void)
{
	chardev_exit();
	power_exit();
	kextbridge_core_exit_c();
	kextbridge_test_exit();
}

module_init(kextbridge_init);
module_exit(kextbridge_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("OSKext resource requests, cancellation, retain, release and autounload");
MODULE_VERSION("0.1");
