/* SPDX-License-Identifier: GPL-2.0-only */
/* kextd: starting, signals, ending. */
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <memory>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <thread>

#include "../lib/kextbridge.h"
#include "../lib/unique_fd.hpp"
#include "background.hpp"
#include "log.hpp"
#include "options.hpp"
#include "role.hpp"
#include "server.hpp"

namespace kext {

namespace {

constexpr std::chrono::seconds longest_drain{10};

log::Sink choose_sink(const Options &options)
{
	if (!options.foreground)
		return log::Sink::Syslog;
	return getenv("JOURNAL_STREAM") ? log::Sink::Journal : log::Sink::Stderr;
}

void explain_end(int error)
{
	switch (-error) {
	case EOWNERDEAD:
		log::error("this process is not the daemon any more: another kextd has taken over");
		break;
	case ENOTTY:
		log::error("the device is no node of kextbridge.ko");
		break;
	default:
		log::error("cannot fetch requests: {}", strerror(-error));
	}
}

/* SIGUSR1 only gets the fetching thread out of its system call. */
void wake(int) {}

bool prepare_signals(sigset_t &handled)
{
	struct sigaction action {};
	action.sa_handler = wake;
	sigset_t blocked;
	sigemptyset(&handled);
	for (const int signal : {SIGTERM, SIGINT, SIGHUP})
		sigaddset(&handled, signal);
	blocked = handled;
	sigaddset(&blocked, SIGUSR1);
	return sigaction(SIGUSR1, &action, nullptr) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR &&
	       pthread_sigmask(SIG_BLOCK, &blocked, nullptr) == 0;
}

void raise_file_limit()
{
	rlimit limit{};
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The fetching thread. */
class Fetcher {
      public:
	Fetcher(Server &server, int ended) : server_(server), ended_(ended), thread_([this] { body(); }) {}
	~Fetcher() { (void)stop(); }

	/* What run() returned. */
	int stop()
	{
		if (!thread_.joinable())
			return error_;
		server_.stop();
		/* The signal may come just before the thread goes to sleep: send it until it has worked. */
		while (!done_.load()) {
			(void)pthread_kill(thread_.native_handle(), SIGUSR1);
			std::this_thread::sleep_for(std::chrono::milliseconds(1));
		}
		thread_.join();
		return error_;
	}

      private:
	void body()
	{
		(void)pthread_setname_np(pthread_self(), "kextd-fetch");
		sigset_t wanted;
		sigemptyset(&wanted);
		sigaddset(&wanted, SIGUSR1);
		(void)pthread_sigmask(SIG_UNBLOCK, &wanted, nullptr);
		try {
			error_ = server_.run();
		} catch (const std::bad_alloc &) {
			error_ = -ENOMEM;
		} catch (const std::exception &error) {
			log::error("{}", error.what());
			error_ = -EIO;
		}
		done_.store(true);
		const uint64_t one = 1;
		[[maybe_unused]] const auto written = write(ended_, &one, sizeof(one));
	}

	Server &server_;
	const int ended_;
	int error_ = 0;
	std::atomic<bool> done_{false};
	std::thread thread_;
};

/* 0: none is there. */
int next_signal(int signals)
{
	signalfd_siginfo signal{};
	if (read(signals, &signal, sizeof(signal)) != sizeof(signal))
		return 0;
	return static_cast<int>(signal.ssi_signo);
}

/* Waits for signals; returns when it is time to end. */
void supervise(Server &server, int signals, int ended)
{
	pollfd waiters[] = {{signals, POLLIN, 0}, {ended, POLLIN, 0}};
	for (;;) {
		if (poll(waiters, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			log::error("poll: {}", strerror(errno));
			return;
		}
		if (waiters[1].revents)
			return;
		const int signal = next_signal(signals);
		if (!signal)
			continue;
		if (signal != SIGHUP) {
			log::info("{}: answering what is in hand", strsignal(signal));
			return;
		}
		log::info("looking for bundles again");
		Background::reloading();
		server.rescan();
		Background::reloaded();
	}
}

/* Answers what is in hand. False: that takes too long, or a second signal is in a hurry. */
bool drain(Server &server, int signals)
{
	const auto end = std::chrono::steady_clock::now() + longest_drain;
	while (!server.drain(std::chrono::milliseconds(100))) {
		const int signal = next_signal(signals);
		if (std::chrono::steady_clock::now() >= end || signal == SIGTERM || signal == SIGINT)
			return false;
	}
	return true;
}

int serve(const Options &options, Background &background, const sigset_t &handled)
{
	int status = 0;
	const Daemon daemon = become_daemon(options.device, handled, status);
	if (!daemon)
		return status;
	const UniqueFd signals(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
	const UniqueFd ended(eventfd(0, EFD_CLOEXEC));
	if (!signals || !ended) {
		log::complain(strerror(errno));
		return 1;
	}
	if (!options.authenticate)
		log::warning("--no-authenticate: bundles are served whoever owns them; for development only");

	Server server(options, daemon.get());
	Fetcher fetcher(server, ended.get());
	background.ready();
	log::info("serving requests");
	supervise(server, signals.get(), ended.get());
	Background::stopping();

	const int error = fetcher.stop();
	if (error)
		explain_end(error);
	if (!drain(server, signals.get())) {
		log::warning("some requests take too long: they are left to the next kextd");
		/* A thread may hang in the kernel: the role must not wait for it. */
		(void)close(kextbridge_daemon_fd(daemon.get()));
		_exit(error ? 1 : 0);
	}
	log::info("ended");
	return error ? 1 : 0;
}

int start(int argc, char **argv)
{
	int status = 0;
	const auto options = parse_options(argc, argv, status);
	if (!options)
		return status;
	sigset_t handled;
	Background background;
	log::open(choose_sink(*options), options->verbose);
	raise_file_limit();
	if (!prepare_signals(handled) || !background.enter(!options->foreground))
		return 1;
	return serve(*options, background, handled);
}

} // namespace

} // namespace kext

int main(int argc, char **argv)
{
	try {
		return kext::start(argc, argv);
	} catch (const std::exception &error) {
		kext::log::error("{}", error.what());
		return 1;
	}
}
