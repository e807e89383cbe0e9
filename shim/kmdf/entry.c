// SPDX-License-Identifier: GPL-2.0-only
/* Module init and exit of kmdf.ko, parameters, MODULE_*. */
#include <linux/module.h>
#include <linux/string.h>

#include "../param.h"
#include "../test.h"
#include "device.h"
#include "shim/kmdf.h"

struct kmdf_params kmdf_params = {
	.max_pending_per_file = 1024,
	.max_buffer_bytes = 4u << 20,
	.kill_grace_ms = 0,
	.stop_ms = 10000,
	.verifier = KMDF_VERIFIER_WARN,
};

param_once(max_pending_per_file, kmdf_params.max_pending_per_file, uint);
MODULE_PARM_DESC(max_pending_per_file, "requests under way per open file (default 1024)");
param_once(max_buffer_bytes, kmdf_params.max_buffer_bytes, uint);
MODULE_PARM_DESC(max_buffer_bytes, "longest buffer of a request (default 4 MiB)");
param_once(kill_grace_ms, kmdf_params.kill_grace_ms, uint);
MODULE_PARM_DESC(kill_grace_ms,
		 "how long a killed client waits for its driver before it leaves its request behind (default 0)");
param_once(stuck_ms, kmdf_params.stuck_ms, uint);
MODULE_PARM_DESC(stuck_ms,
		 "a driver that has not completed a cancelled request for so long is named (default 0: never)");
param_once(forgotten_ms, kmdf_params.forgotten_ms, uint);
MODULE_PARM_DESC(forgotten_ms,
		 "a driver that has not completed or marked a request for so long is named (default 0: never)");
param_once(stop_ms, kmdf_params.stop_ms, uint);
MODULE_PARM_DESC(stop_ms, "a driver that keeps its device from stopping for so long is named (default 10000)");
param_once(prompt_cancel, kmdf_params.prompt_cancel, bool);
MODULE_PARM_DESC(
	prompt_cancel,
	"EvtRequestCancel of a queue without synchronization does not wait for a handler that is busy (default N)");
param_once(cancel_on_close, kmdf_params.cancel_on_close, bool);
MODULE_PARM_DESC(cancel_on_close, "closing a file cancels what its driver has of it, too (default N)");

static const char *const verifier_names[] = {
	[KMDF_VERIFIER_OFF] = "off",
	[KMDF_VERIFIER_WARN] = "warn",
	[KMDF_VERIFIER_PANIC] = "panic",
};

static int verifier_set(const char *val, const struct kernel_param *kp)
{
	int which = sysfs_match_string(verifier_names, val);

	if (which < 0)
		return which;
	WRITE_ONCE(kmdf_params.verifier, which);
	return 0;
}

static int verifier_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", verifier_names[READ_ONCE(kmdf_params.verifier)]);
}

static const struct kernel_param_ops verifier_ops = {
	.set = verifier_set,
	.get = verifier_get,
};
module_param_cb(verifier, &verifier_ops, NULL, 0644);
MODULE_PARM_DESC(verifier, "what becomes of a driver's breach of KMDF's rules: off, warn or panic (default warn)");

static int __init kmdf_init(void)
{
	int err;

	kextbridge_test_init();
	err = kmdf_core_init_c();
	if (err)
		goto failed;
	err = kmdf_device_init();
	if (err)
		goto no_devices;
	return 0;

no_devices:
	kmdf_core_exit_c();
failed:
	kextbridge_test_exit();
	return err;
}

static void __exit kmdf_exit(void)
{
	kmdf_device_exit();
	kmdf_core_exit_c();
	kextbridge_test_exit();
}

module_init(kmdf_init);
module_exit(kmdf_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KMDF: I/O requests, their cancellation, queues, synchronization");
MODULE_VERSION("0.1");
