/* SPDX-License-Identifier: GPL-2.0-only */
#include "modules.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <libkmod.h>
#include <sys/utsname.h>
#include <vector>

#include "../lib/kextbridge.h"
#include "log.hpp"

namespace kext {

namespace {

template <auto function> struct Call {
	template <typename T> void operator()(T *object) const { function(object); }
};
using Context = std::unique_ptr<kmod_ctx, Call<kmod_unref>>;
using Module = std::unique_ptr<kmod_module, Call<kmod_module_unref>>;
using ModuleList = std::unique_ptr<kmod_list, Call<kmod_module_unref_list>>;
using InfoList = std::unique_ptr<kmod_list, Call<kmod_module_info_free_list>>;

constexpr size_t longest_identifier = KEXTBRIDGE_IDENTIFIER_SIZE - 1;

void log_of_libkmod(void *, int priority, const char *, int, const char *, const char *format, va_list arguments)
{
	char line[512];
	const int length = vsnprintf(line, sizeof(line), format, arguments);
	if (length <= 0)
		return;
	std::string_view text(line, std::min<size_t>(static_cast<size_t>(length), sizeof(line) - 1));
	while (text.ends_with('\n'))
		text.remove_suffix(1);
	log::write_limited(priority, "libkmod: " + log::quote(text));
}

/* A context of its own for each job: libkmod's are for one thread, and the index may have changed. */
Context new_context(const std::string &directory)
{
	Context context(kmod_new(directory.empty() ? nullptr : directory.c_str(), nullptr));
	if (context)
		kmod_set_log_fn(context.get(), log_of_libkmod, nullptr);
	return context;
}

std::string first_line(const char *path)
{
	std::ifstream file(path);
	std::string line;
	std::getline(file, line);
	return line;
}

/* EPERM has three reasons that look the same to the caller. */
Answer not_permitted()
{
	if (first_line("/proc/sys/kernel/modules_disabled") == "1")
		return Answer::refusal(kOSKextReturnNotPrivileged,
				       "kernel.modules_disabled is set until the next boot");
	const std::string lockdown = first_line("/sys/kernel/security/lockdown");
	if (!lockdown.empty() && lockdown.find("[none]") == std::string::npos)
		return Answer::refusal(kOSKextReturnNotPrivileged,
				       "kernel lockdown (" + lockdown + ") refuses an unsigned module");
	return Answer::refusal(kOSKextReturnNotPrivileged, "the kernel does not permit it (CAP_SYS_MODULE?)");
}

Answer load_failed(int error)
{
	const std::string text = strerror(error);
	switch (error) {
	case EPERM:
	case EACCES:
		return not_permitted();
	case EKEYREJECTED:
	case EKEYEXPIRED:
	case EKEYREVOKED:
	case ENOKEY:
	case EBADMSG:
	case ELIBBAD:
		return Answer::refusal(kOSKextReturnAuthentication, "the module's signature is refused: " + text);
	case ENOMEM:
		return Answer::refusal(kOSKextReturnNoMemory, text);
	case ENOENT:
		return Answer::refusal(kOSKextReturnLinkError, "an unresolved symbol, see the kernel's log");
	case ENOEXEC:
		return Answer::refusal(kOSKextReturnLinkError, "no module of this kernel, see the kernel's log");
	case EBUSY:
	case ETXTBSY:
		return Answer::refusal(kOSKextReturnInUse, text);
	default:
		return Answer::refusal(kOSKextReturnStartStopError, "its init function failed: " + text);
	}
}

Answer insert(kmod_module *module)
{
	const int outcome = kmod_module_probe_insert_module(module, KMOD_PROBE_APPLY_BLACKLIST_ALIAS_ONLY, nullptr,
							    nullptr, nullptr, nullptr);
	const std::string name = kmod_module_get_name(module);
	if (outcome > 0)
		return Answer::refusal(kOSKextReturnNotLoadable, name + " is on the blacklist of modprobe.d");
	if (outcome == 0 || outcome == -EEXIST)
		return {};
	const char *path = kmod_module_get_path(module);
	if (outcome == -ENOENT && path && access(path, F_OK) != 0)
		return Answer::refusal(kOSKextReturnNotFound, std::string(path) + " is missing (depmod?)");
	if (kmod_module_get_install_commands(module))
		return Answer::refusal(kOSKextReturnNotLoadable, name + ": the install command of modprobe.d failed");
	Answer answer = load_failed(-outcome);
	answer.reason = name + ": " + answer.reason;
	return answer;
}

bool has_alias(const kmod_module *module, const std::string &alias)
{
	kmod_list *raw = nullptr;
	if (kmod_module_get_info(module, &raw) < 0)
		return false;
	const InfoList list(raw);
	for (const kmod_list *entry = raw; entry; entry = kmod_list_next(raw, entry)) {
		if (strcmp(kmod_module_info_get_key(entry), "alias") == 0 && kmod_module_info_get_value(entry) == alias)
			return true;
	}
	return false;
}

/* The .ko files of a folder, by name. */
std::vector<std::string> module_files(int folder)
{
	std::vector<std::string> names;
	const int fd = folder >= 0 ? openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *directory = fd >= 0 ? fdopendir(fd) : nullptr;
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return names;
	}
	while (const dirent *entry = readdir(directory)) {
		if (std::string_view(entry->d_name).ends_with(".ko"))
			names.emplace_back(entry->d_name);
	}
	closedir(directory);
	std::sort(names.begin(), names.end());
	return names;
}

/* What a bundle carries for the running kernel. */
class CarriedModule {
      public:
	CarriedModule(kmod_ctx *context, const Bundle &bundle, bool authenticate, std::string alias)
		: context_(context), bundle_(bundle), authenticate_(authenticate), alias_(std::move(alias))
	{
	}

	/* False: it carries none with the alias. */
	bool load(Answer &answer)
	{
		utsname names{};
		if (uname(&names) != 0)
			return false;
		return load_from({bundle_.folder, "Contents", "Modules", names.release}, answer) ||
		       load_from({bundle_.folder, "Contents", "Modules"}, answer);
	}

      private:
	/* Whether what is open at `fd` may be used; `refused` says why not. */
	bool trusts(const UniqueFd &fd, const std::string &path, Answer &refused) const
	{
		struct stat status {};
		if (!fd || !authenticate_)
			return static_cast<bool>(fd);
		const char *problem = fstat(fd.get(), &status) == 0 ? distrust(status) : "cannot be examined";
		if (problem)
			refused = Answer::refusal(kOSKextReturnAuthentication, path + " " + problem);
		return !problem;
	}

	bool load_from(const std::vector<std::string> &steps, Answer &answer)
	{
		Answer refused;
		UniqueFd at(::open(bundle_.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
		std::string path = bundle_.root;
		if (!trusts(at, path, refused))
			return give(refused, answer);
		for (const std::string &step : steps) {
			at.reset(open_component(at.get(), step.c_str(), O_PATH | O_DIRECTORY, Reach::Anywhere));
			path += "/" + step;
			if (!trusts(at, path, refused))
				return give(refused, answer);
		}
		for (const std::string &name : module_files(at.get())) {
			std::string module_path = path;
			module_path.append("/").append(name);
			const UniqueFd file(
				open_component(at.get(), name.c_str(), O_RDONLY | O_NONBLOCK, Reach::Anywhere));
			if (!trusts(file, module_path, refused))
				continue;
			/* The path is safe to use again: all of it can be changed by root alone. */
			kmod_module *raw = nullptr;
			if (kmod_module_new_from_path(context_, module_path.c_str(), &raw) < 0)
				continue;
			const Module module(raw);
			if (has_alias(raw, alias_)) {
				answer = insert(raw);
				return true;
			}
		}
		return give(refused, answer);
	}

	static bool give(Answer &refused, Answer &answer)
	{
		if (refused.result == kOSReturnSuccess)
			return false;
		answer = std::move(refused);
		return true;
	}

	kmod_ctx *const context_;
	const Bundle &bundle_;
	const bool authenticate_;
	const std::string alias_;
};

bool load_carried(kmod_ctx *context, const std::string &identifier, BundleStore &store, Answer &answer)
{
	auto index = store.index();
	const Bundle *bundle = index->find(identifier);
	/* A bundle that was good may have changed hands since. */
	if (store.refresh(index)) {
		index = store.index();
		bundle = index->find(identifier);
	}
	if (!bundle)
		return false;
	if (bundle->verdict != Bundle::Verdict::Good) {
		answer = refuse_bundle(*bundle);
		return true;
	}
	return CarriedModule(context, *bundle, store.authenticate(), "kext:" + identifier).load(answer);
}

bool is_name(std::string_view name, size_t longest, std::string_view extra)
{
	if (name.empty() || name.size() > longest)
		return false;
	return std::all_of(name.begin(), name.end(), [&](char c) {
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		       extra.find(c) != std::string_view::npos;
	});
}

} // namespace

Answer load_module(const std::string &identifier, const std::string &directory, BundleStore &store)
{
	if (!is_name(identifier, longest_identifier, "._-"))
		return Answer::refusal(kOSKextReturnInvalidArgument, "is no bundle identifier");
	const Context context = new_context(directory);
	if (!context)
		return Answer::refusal(kOSKextReturnNoMemory, "libkmod gives no context");

	kmod_list *raw = nullptr;
	const std::string alias = "kext:" + identifier;
	const int error = kmod_module_new_from_lookup(context.get(), alias.c_str(), &raw);
	const ModuleList list(raw);
	if (error == -ENOMEM)
		return Answer::refusal(kOSKextReturnNoMemory, "libkmod: out of memory");

	Answer answer;
	if (!raw) {
		if (load_carried(context.get(), identifier, store, answer))
			return answer;
		return Answer::refusal(kOSKextReturnNotFound,
				       "no module has the alias " + alias + " and no bundle carries one (depmod?)");
	}
	for (const kmod_list *entry = raw; entry; entry = kmod_list_next(raw, entry)) {
		const Module module(kmod_module_get_module(entry));
		answer = insert(module.get());
		if (answer.result == kOSReturnSuccess)
			return answer;
	}
	return answer;
}

Answer unload_module(const std::string &name)
{
	if (!is_name(name, KEXTBRIDGE_MODULE_SIZE - 1, "_-"))
		return Answer::refusal(kOSKextReturnInvalidArgument, "is no module's name");
	const Context context = new_context({});
	kmod_module *raw = nullptr;
	if (!context || kmod_module_new_from_name(context.get(), name.c_str(), &raw) < 0)
		return Answer::refusal(kOSKextReturnNoMemory, "libkmod gives no module");
	const Module module(raw);
	const int error = -kmod_module_remove_module(raw, KMOD_REMOVE_NOWAIT | KMOD_REMOVE_NOLOG);
	switch (error) {
	case 0:
	case ENOENT: /* it is gone already */
		return {};
	case EAGAIN: /* EWOULDBLOCK: it has users */
	case EBUSY:
		return Answer::refusal(kOSKextReturnInUse, name + " has users");
	case EPERM: {
		Answer answer = not_permitted();
		answer.reason = name + ": " + answer.reason;
		return answer;
	}
	default:
		return Answer::refusal(kOSKextReturnInternalError, name + ": " + strerror(error));
	}
}

} // namespace kext
