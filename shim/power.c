// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel tells of the whole system: shutdown and suspend. */
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "power.h"
#include "shim/entry.h"

static int reboot_notify(struct notifier_block *nb, unsigned long event, void *command)
{
	kextbridge_shutdown_c();
	return NOTIFY_DONE;
}

static int pm_notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		kextbridge_sleep_c(true);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		kextbridge_sleep_c(false);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {.notifier_call = reboot_notify};
static struct notifier_block pm_block = {.notifier_call = pm_notify};

int power_init(void)
{
	int err = register_reboot_notifier(&reboot_block);

	if (err)
		return err;
	err = register_pm_notifier(&pm_block);
	if (err)
		unregister_reboot_notifier(&reboot_block);
	return err;
}

void power_exit(void)
{
	unregister_pm_notifier(&pm_block);
	unregister_reboot_notifier(&reboot_block);
}
