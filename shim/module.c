// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "compat.h"
#include "shim/shim.h"
#include "test.h"

const char *shim_module_name(const struct module *module)
{
	return module->name;
}

void shim_module_put(struct module *module)
{
	kextbridge_test_point(TEST_MODULE);
	module_put(module);
}

int shim_module_refcount(struct module *module)
{
	return module_refcount(module);
}

void shim_module_text(const struct module *module, unsigned long *start, unsigned long *size)
{
	compat_module_text(module, start, size);
}

bool shim_try_module_get(struct module *module)
{
	kextbridge_test_point(TEST_MODULE);
	return try_module_get(module);
}
