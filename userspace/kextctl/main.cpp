/* SPDX-License-Identifier: GPL-2.0-only */
/* kextctl: the command line. */
#include <CLI/CLI.hpp>
#include <functional>

#include "commands.hpp"
#include "context.hpp"
#include "../lib/kmdf.h"

namespace kext::ctl {

namespace {

constexpr const char *exit_codes = "Exit status:\n"
				   "  0  done\n"
				   "  1  the operation failed; the message names the OSReturn\n"
				   "  2  usage\n"
				   "  3  not found (kext, resource, request), or cancelled by another program\n"
				   "  4  no permission\n"
				   "  5  kextbridge is not loaded; of kmdf commands: kmdf is not loaded\n"
				   "  6  no kextd is running, or the system is shutting down\n"
				   "  130  interrupted";

class CommandLine {
      public:
	CommandLine()
	{
		app_.set_version_flag("--version", "kextctl " KEXTBRIDGE_VERSION);
		app_.require_subcommand(1);
		app_.fallthrough();
		app_.footer(exit_codes);
		device_ = app_.add_option("--device", common_.device,
					  "The device node (default: " KEXTBRIDGE_DEVICE
					  "; of kmdf commands: " KMDF_CONTROL_DEVICE ")")
				  ->type_name("PATH");
		app_.add_flag("--json", common_.json, "Print JSON");
		common_.device = KEXTBRIDGE_DEVICE;
		add_looking();
		add_request();
		add_kexts();
		add_rpc();
		add_kmdf();
	}

	int run(int argc, char **argv)
	{
		try {
			app_.parse(argc, argv);
		} catch (const CLI::ParseError &error) {
			return app_.exit(error) == 0 ? ExitOk : ExitUsage;
		}
		return action_();
	}

      private:
	CLI::App *command(const char *name, const char *text, std::function<int()> action)
	{
		CLI::App *command = app_.add_subcommand(name, text);
		command->callback([this, action = std::move(action)] { action_ = action; });
		return command;
	}

	void add_looking()
	{
		command("list",
			"List the kexts: load tag, references, pending requests, living objects, state, flags "
			"(A autounload, P plain rmmod, C in a callback, D autounload delayed), version, identifier, module",
			[this] { return list(common_, delay_autounload_); })
			->add_flag("--delay-autounload", delay_autounload_, "Have idle kexts leave later");
		command("status", "Show the daemon, what is pending, and all counters",
			[this] { return status(common_); });
		CLI::App *watcher = command("watch", "Print a line for each change of a kext or the daemon",
					    [this] { return watch(common_, count_); });
		watcher->add_option("-n,--count", count_, "End after N lines")
			->type_name("N")
			->check(CLI::PositiveNumber);
	}

	void add_request()
	{
		CLI::App *asker = command("request", "Ask for a resource as a driver would",
					  [this] { return request(common_, request_); });
		asker->add_option("identifier", request_.identifier, "The bundle's identifier")->required();
		asker->add_option("name", request_.name, "The resource's name")->required();
		CLI::Option *output = asker->add_option("-o,--output", request_.output,
							"Write it to FILE, which appears when it is complete; - is "
							"stdout (default: stdout, unless that is a terminal)");
		output->type_name("FILE");
		asker->add_option("--timeout", request_.timeout_ms,
				  "Give up after MS milliseconds (default: the module's)")
			->type_name("MS")
			->check(CLI::Range(uint32_t{1}, UINT32_MAX));
		asker->add_option("--max-length", request_.max_length,
				  "Take no more than BYTES, such as 65536 or 64KiB (default: the module's)")
			->type_name("BYTES")
			->transform(CLI::AsSizeValue(false))
			->check(CLI::Range(uint64_t{1}, uint64_t{UINT32_MAX}));
		asker->add_flag("--hold", request_.hold,
				"Never hand it to kextd: print its tag and wait until `kextctl cancel` ends it")
			->excludes(output);
	}

	void add_kexts()
	{
		command("cancel", "Cancel a request made by a program", [this] { return cancel(common_, tag_); })
			->add_option("tag", tag_, "The request's tag")
			->required();
		command("retain", "Keep a kext loaded", [this] { return retain(common_, kext_); })
			->add_option("kext", kext_, "Its load tag or identifier")
			->required();
		command("release", "Give a reference back; an idle kext leaves some time after the last one",
			[this] { return release(common_, kext_); })
			->add_option("kext", kext_, "Its load tag or identifier")
			->required();
		CLI::App *loader = command("load", "Load a kext", [this] { return load(common_, load_); });
		loader->add_option("identifier", load_.identifier, "Its identifier")->required();
		loader->add_flag("--no-wait", load_.no_wait, "Only queue it for kextd");
		loader->add_flag("--delay-autounload", load_.delay_autounload,
				 "It is not unloaded by the first look for idle kexts");
		command("start", "Start a kext that is loaded and stopped", [this] { return start(common_, kext_); })
			->add_option("kext", kext_, "Its load tag or identifier")
			->required();
		command("stop", "Stop a kext that stays loaded", [this] { return stop(common_, kext_); })
			->add_option("kext", kext_, "Its load tag or identifier")
			->required();
		CLI::App *unloader = command("unload", "Stop a kext and delete its module",
					     [this] { return unload(common_, kext_, if_idle_); });
		unloader->add_option("kext", kext_, "Its load tag or identifier")->required();
		unloader->add_flag("--if-idle", if_idle_, "Not while it has pending requests");
	}

	void add_rpc()
	{
		CLI::App *caller = command("rpc", "Send one request of the daemon protocol, print its response",
					   [this] { return rpc(common_, rpc_); });
		caller->add_option("file", rpc_.file, "The request, a property list in XML; - is stdin")->required();
		caller->add_flag("--daemon", rpc_.daemon,
				 "Be the daemon for this request; what it fetches is given back when the command ends");
	}

	CLI::App *kmdf_command(CLI::App *kmdf, const char *name, const char *text, std::function<int()> action)
	{
		CLI::App *command = kmdf->add_subcommand(name, text);
		command->callback([this, action = std::move(action)] {
			action_ = action;
			if (device_->empty())
				common_.device = KMDF_CONTROL_DEVICE;
		});
		return command;
	}

	void add_kmdf()
	{
		CLI::App *kmdf = app_.add_subcommand("kmdf", "Devices of KMDF drivers: their queues and requests");
		kmdf->require_subcommand(1);
		kmdf_command(kmdf, "list", "Show all devices, their queues, and the requests that are not completed",
			     [this] { return kmdf_list(common_); });
		kmdf_command(kmdf, "state",
			     "Show a line per device and queue (a queue's flags: D default, A accepts, P presents, "
			     "M power-managed, O off)",
			     [this] { return kmdf_state(common_, kmdf_device_); })
			->add_option("device", kmdf_device_, "Its name (default: all)");
		CLI::App *canceller = kmdf_command(kmdf, "cancel", "Cancel requests, and say what they were doing",
						   [this] { return kmdf_cancel(common_, kmdf_cancel_); });
		canceller->require_option(1, 0);
		CLI::Option *ids = canceller->add_option("id", kmdf_cancel_.ids, "Requests (kextctl kmdf list)");
		canceller->add_option("--device", kmdf_cancel_.device, "All requests of this device")
			->type_name("NAME")
			->excludes(ids);
		canceller->add_option("--pid", kmdf_cancel_.pid, "All requests of this process")
			->type_name("PID")
			->excludes(ids);
	}

	CLI::App app_{"Lists kexts, asks for resources, cancels, retains, releases, loads, starts, stops and unloads.",
		      "kextctl"};
	Common common_;
	RequestOptions request_;
	uint64_t count_ = 0;
	uint32_t tag_ = 0;
	std::string kext_;
	LoadOptions load_;
	RpcOptions rpc_;
	CLI::Option *device_ = nullptr;
	std::string kmdf_device_;
	KmdfCancelOptions kmdf_cancel_;
	bool if_idle_ = false;
	bool delay_autounload_ = false;
	std::function<int()> action_;
};

} // namespace

} // namespace kext::ctl

int main(int argc, char **argv)
{
	try {
		return kext::ctl::CommandLine().run(argc, argv);
	} catch (const kext::ctl::Failure &failure) {
		kext::ctl::note(failure.what());
		return failure.code();
	} catch (const std::exception &error) {
		kext::ctl::note(error.what());
		return kext::ctl::ExitFailed;
	}
}
