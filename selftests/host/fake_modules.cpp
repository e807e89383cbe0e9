// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's modules with their counts, and its processes.
#include "fake_inside.hpp"

#include <cstdio>
#include <map>

// What the kernel frees with the module.
static void check_module(const struct module *module, const char *who)
{
	if (module->state.load() == module::Unloaded)
		fake::bug("%s of a module that is freed", who);
}

extern "C" bool shim_try_module_get(struct module *module)
{
	fake::point(fake::Point::ModuleGet, module);
	check_module(module, "try_module_get");
	int refs = module->refs.load();

	if (module->state.load() == module::Going || module->state.load() == module::Unloaded)
		return false;
	do {
		if (refs <= 0)
			return false;
	} while (!module->refs.compare_exchange_weak(refs, refs + 1));
	return true;
}

extern "C" void shim_module_put(struct module *module)
{
	fake::point(fake::Point::ModulePut, module);
	check_module(module, "module_put");
	if (module->refs.fetch_sub(1) <= 1)
		fake::bug("module_put: count of %s below zero", module->name);
}

extern "C" int shim_module_refcount(struct module *module)
{
	check_module(module, "module_refcount");
	return module->refs.load() - 1;
}

extern "C" const char *shim_module_name(const struct module *module)
{
	check_module(module, "module->name");
	return module->name;
}

extern "C" void shim_module_text(const struct module *module, unsigned long *start, unsigned long *size)
{
	*start = module->text;
	*size = module->text_size;
}

namespace fake {

void init_module(module &module, const char *name, unsigned long text, unsigned long text_size)
{
	snprintf(module.name, sizeof(module.name), "%s", name);
	module.text = text;
	module.text_size = text_size;
	module.refs = 2; // its own, and init's
	module.state = module::Coming;
}

void module_is_live(module &module)
{
	module.state = module::Live;
	module.refs.fetch_sub(1);
}

int delete_module(module &module, bool force, const std::function<void()> &exit)
{
	static std::mutex module_mutex;
	{
		std::lock_guard lock(module_mutex);
		int one = 1;

		if (module.state == module::Unloaded)
			return -2; // ENOENT
		if (module.state != module::Live)
			return -SHIM_EBUSY;
		if (!module.refs.compare_exchange_strong(one, 0)) {
			if (!force)
				return -SHIM_EAGAIN;
			// rmmod -f goes on whatever the count; the references stay.
		}
		module.state = module::Going;
	}
	exit();
	module.state = module::Unloaded;
	return 0;
}

} // namespace fake

// ---- processes

extern "C" struct pid *shim_get_current_tgid(void)
{
	pid *process = fake::current().process ? fake::current().process : &fake::init_process();

	process->refs.fetch_add(1);
	fake::counters.pid_refs.fetch_add(1);
	return process;
}

extern "C" void shim_put_pid(struct pid *pid)
{
	if (pid->refs.fetch_sub(1) <= 0)
		fake::bug("put_pid without a reference");
	fake::counters.pid_refs.fetch_sub(1);
}

extern "C" bool shim_process_gone(struct pid *pid)
{
	return pid->gone.load();
}

extern "C" int shim_pid_vnr(struct pid *pid)
{
	return pid->number;
}

namespace fake {

pid &process(int number)
{
	static std::mutex mutex;
	std::lock_guard lock(mutex);
	pid &found = immortal<std::map<int, pid>>()[number];

	found.number = number;
	return found;
}

pid &init_process()
{
	return process(1);
}

} // namespace fake
