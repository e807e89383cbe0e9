/* SPDX-License-Identifier: GPL-2.0-only */
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <thread>

#include "../lib/kextbridge.h"

namespace kext {

std::optional<Options> parse_options(int argc, char **argv, int &status)
{
	Options options;
	bool no_authenticate = false;
	std::vector<std::string> extra;
	options.device = KEXTBRIDGE_DAEMON_DEVICE;
	options.workers = std::max(2u, std::thread::hardware_concurrency());

	CLI::App app("Serves the requests of drivers: resources from bundles, loading and unloading of modules.",
		     "kextd");
	app.set_version_flag("--version", "kextd " KEXTBRIDGE_VERSION);
	app.add_flag("-f,--foreground", options.foreground, "Stay in the foreground and log to stderr");
	app.add_flag("-v,--verbose", options.verbose, "Log each request that was served");
	app.add_option("-b,--bundles", extra,
		       "Look for bundles in DIR first (repeatable), then in /etc/kexts and /usr/lib/kexts")
		->type_name("DIR")
		->expected(1)
		->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
	app.add_option("-m,--modules", options.modules, "The directory of modules.dep (default: the running kernel's)")
		->type_name("DIR");
	app.add_option("-w,--workers", options.workers, "At most N threads serve resources (default: one per CPU)")
		->type_name("N")
		->check(CLI::Range(1u, 256u));
	app.add_option("--device", options.device, "The device node (default: " KEXTBRIDGE_DAEMON_DEVICE ")")
		->type_name("PATH");
	app.add_flag("--no-authenticate", no_authenticate,
		     "Serve bundles whoever owns them and may write to them; for development only");
	app.footer("Signals: TERM and INT answer what is in hand and end; HUP looks for bundles again.\n"
		   "Exit status: 0 ended by a signal, 1 failed, 2 usage.");
	try {
		app.parse(argc, argv);
	} catch (const CLI::ParseError &error) {
		status = app.exit(error) == 0 ? 0 : 2;
		return std::nullopt;
	}
	options.authenticate = !no_authenticate;
	options.roots = std::move(extra);
	options.roots.insert(options.roots.end(), {"/etc/kexts", "/usr/lib/kexts"});
	/* The daemon changes to / when it goes to the background. */
	for (std::string *path : {&options.modules, &options.device}) {
		if (!path->empty())
			*path = std::filesystem::absolute(*path);
	}
	for (std::string &root : options.roots)
		root = std::filesystem::absolute(root);
	return options;
}

} // namespace kext
