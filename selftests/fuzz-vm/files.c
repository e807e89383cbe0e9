// SPDX-License-Identifier: GPL-2.0-only
/* Descriptors: of the nodes, several each, and of everything that may be handed in as the file of a reply. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define ELASTIC_SIZE 20000

int controls[CONTROLS], daemons[DAEMONS], bench = -1;
static int pollers = -1; /* an epoll */

enum { GOOD, LARGE, HUGE_FILE, EMPTY, ELASTIC, PIPE, SOCKET, FOLDER, DEVICE, WRITE_ONLY, BOTH, PATH, PROC, SYS, FILES };
static int files[FILES];
static int elastic; /* for writing */

/* One that is open, if there is one. */
static int open_one(const int *slots, uint32_t count, uint32_t op)
{
	for (uint32_t i = 0; i < count; i++)
		if (slots[(op + i) % count] >= 0)
			return slots[(op + i) % count];
	return -1;
}

int control_of(uint32_t op)
{
	return open_one(controls, CONTROLS, op);
}

int daemon_of(uint32_t op)
{
	return open_one(daemons, DAEMONS, op);
}

/* A file of the pattern, opened again for reading only; *writer may be NULL. */
static int pattern_file(const char *name, off_t length, off_t filled, int *writer)
{
	static uint8_t pattern[4096];
	int fd = memfd_create(name, MFD_CLOEXEC), again;
	char path[64];

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = 0xc0 | (i & 0xf);
	for (off_t at = 0; at < filled; at += sizeof(pattern))
		if (pwrite(fd, pattern, sizeof(pattern), at) < 0)
			abort();
	if (ftruncate(fd, length))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	if (writer)
		*writer = fd;
	else
		close(fd);
	return again;
}

void files_init(void)
{
	int pair[2];

	for (int i = 0; i < CONTROLS; i++)
		controls[i] = -1;
	for (int i = 0; i < DAEMONS; i++)
		daemons[i] = -1;
	bench = open("/dev/kbtest", O_RDWR | O_CLOEXEC);
	pollers = epoll_create1(EPOLL_CLOEXEC);
	files[GOOD] = pattern_file("good", 777, 777, NULL);
	files[LARGE] = pattern_file("large", 100000, 8192, NULL);
	files[HUGE_FILE] = pattern_file("huge", 0x180000000, 0, NULL); /* longer than 32 bits say */
	files[EMPTY] = pattern_file("empty", 0, 0, NULL);
	files[ELASTIC] = pattern_file("elastic", ELASTIC_SIZE, ELASTIC_SIZE, &elastic);
	files[PIPE] = pipe2(pair, O_CLOEXEC) ? -1 : pair[0];
	files[SOCKET] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? -1 : pair[0];
	files[FOLDER] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	files[DEVICE] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	files[WRITE_ONLY] = open("/tmp/fuzz-write-only", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	files[BOTH] = open("/tmp/fuzz-both", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	files[PATH] = open("/tmp/fuzz-both", O_PATH | O_CLOEXEC);
	files[PROC] = open("/proc/version", O_RDONLY | O_CLOEXEC);
	/* Says that it is longer than it is. */
	files[SYS] = open("/sys/module/kextbridge/initstate", O_RDONLY | O_CLOEXEC);
}

void files_disturb(void)
{
	static _Atomic uint32_t turn;
	uint32_t now = turn++;

	/* Behind the pattern a file that grows has zeros. */
	if (now % 16 == 0 && ftruncate(elastic, now % 32 ? ELASTIC_SIZE : now * 37 % ELASTIC_SIZE))
		return;
}

int any_file(uint32_t op)
{
	static const int numbers[] = {-1, -2, 1000, 0x7fffffff, (int)0x80000000, 0};

	if (often(op, 130))
		return files[GOOD];
	if (often(op, 220))
		return files[pick(op, FILES)];
	if (often(op, 230))
		return control_of(op >> 8);
	return often(op, 240) ? daemon_of(op >> 8) : numbers[pick(op, 6)];
}

static int replace(int *slot, int fd)
{
	int err = fd < 0 ? errno : 0;

	if (*slot >= 0)
		close(*slot);
	*slot = fd;
	return err;
}

int make_control_open(const struct call *call)
{
	return replace(&controls[call->op[0] % CONTROLS],
		       open("/dev/kextbridge", O_RDWR | O_CLOEXEC | (call->op[1] % 2 ? O_NONBLOCK : 0)));
}

int make_control_close(const struct call *call)
{
	int *slot = &controls[call->op[0] % CONTROLS];
	int fd = *slot;

	*slot = -1;
	return fd < 0 ? SKIPPED : close(fd) ? errno : 0;
}

int make_daemon_open(const struct call *call)
{
	/* There is only one; the old one goes first. */
	if (daemon_of(0) >= 0 && call->op[2] % 8)
		return SKIPPED;
	make_daemon_close(call);
	return replace(&daemons[call->op[0] % DAEMONS],
		       open("/dev/kextd", O_RDWR | O_CLOEXEC | (call->op[1] % 4 ? O_NONBLOCK : 0)));
}

int make_daemon_close(const struct call *call)
{
	int *slot = &daemons[call->op[0] % DAEMONS];
	int fd = *slot;

	*slot = -1;
	return fd < 0 ? SKIPPED : close(fd) ? errno : 0;
}

/* In both roles: now and then a descriptor of the other node. */
static int any_node(uint32_t op)
{
	return op & 1 ? control_of(op >> 1) : daemon_of(op >> 1);
}

int make_dup(const struct call *call)
{
	bool daemon = call->op[0] & 1;
	int fd = daemon ? daemon_of(call->op[0] >> 1) : control_of(call->op[0] >> 1);
	int *slot = daemon ? &daemons[call->op[1] % DAEMONS] : &controls[call->op[1] % CONTROLS];

	return fd < 0 || fd == *slot ? SKIPPED : replace(slot, fcntl(fd, F_DUPFD_CLOEXEC, 10));
}

int make_poll(const struct call *call)
{
	struct pollfd fds[3];
	int count = 1 + call->op[1] % 3;

	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){.fd = any_node(call->op[0] >> i),
					 .events = call->op[2] & (POLLIN | POLLPRI | POLLOUT | POLLERR)};
	return poll(fds, count, call->op[3] % 64 ? 0 : 2) < 0 ? errno : 0;
}

int make_epoll(const struct call *call)
{
	static const uint32_t events[] = {EPOLLIN,           EPOLLPRI,
					  EPOLLIN | EPOLLET, EPOLLIN | EPOLLPRI | EPOLLONESHOT,
					  EPOLLHUP,          EPOLLIN | EPOLLEXCLUSIVE};
	struct epoll_event event = {.events = events[call->op[2] % 6]}, got[4];
	int fd = any_node(call->op[0]), err;

	if (call->op[1] % 3 == 0)
		return epoll_wait(pollers, got, 4, call->op[3] % 64 ? 0 : 2) < 0 ? errno : 0;
	if (fd < 0)
		return SKIPPED;
	err = epoll_ctl(pollers,
			call->op[1] % 3 == 1 ? EPOLL_CTL_ADD :
			call->op[3] % 4 == 1 ? EPOLL_CTL_MOD :
					       EPOLL_CTL_DEL,
			fd, &event);
	return err ? errno : 0;
}

int make_flags(const struct call *call)
{
	int fd = any_node(call->op[0]), on = call->op[1] % 2;

	if (fd < 0)
		return SKIPPED;
	if (call->op[2] % 2)
		return fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0) ? errno : 0;
	return ioctl(fd, FIONBIO, &on) ? errno : 0;
}

/* What the nodes do not offer. */
int make_plain(const struct call *call)
{
	static char bytes[64];
	struct iovec iov = {bytes, sizeof(bytes)};
	int fd = any_node(call->op[0]);
	long result = 0;
	void *map;

	if (fd < 0)
		return SKIPPED;
	switch (call->op[1] % 8) {
	case 0:
		result = read(fd, bytes, sizeof(bytes));
		break;
	case 1:
		result = write(fd, bytes, sizeof(bytes));
		break;
	case 2:
		result = lseek(fd, call->op[2], call->op[3] % 3);
		break;
	case 3:
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED)
			return munmap(map, 4096);
		result = -1;
		break;
	case 4:
		result = readv(fd, &iov, 1);
		break;
	case 5:
		result = fsync(fd);
		break;
	case 6:
		result = ftruncate(fd, 0);
		break;
	case 7:
		result = fcntl(fd, F_SETFL, O_ASYNC);
		break;
	}
	return result < 0 ? errno : 0;
}

int make_odd(const struct call *call)
{
	static uint64_t bytes[512];
	int fd = any_node(call->op[0]);
	unsigned long command = call->op[1] % 3 ? 0xc000b600u | (call->op[2] & 0x3fff00ff) : call->op[2];

	if (fd < 0 || command == FIOASYNC)
		return SKIPPED;
	return ioctl(fd, command, call->op[3] % 4 ? (unsigned long)bytes : call->op[4]) < 0 ? errno : 0;
}

/*
 * A daemon that is gone while a child of its still has its descriptor: the child has no say any more. The parent of all
 * looks at the child's exit status.
 */
int make_orphan(const struct call *call)
{
	struct kextd_exchange args = {.size = sizeof(args), .flags = KEXTD_EXCHANGE_NOWAIT, .max_requests = 1};
	int status = 0, daemon;
	pid_t child;

	for (int i = 0; i < DAEMONS; i++)
		make_daemon_close(&(struct call){.op = {i}});
	child = fork();
	if (child) {
		if (child < 0 || waitpid(child, &status, 0) < 0)
			return errno;
		return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	}
	daemon = open("/dev/kextd", O_RDWR | O_CLOEXEC);
	if (daemon < 0)
		_exit(errno);
	if (fork())
		_exit(0);
	for (int i = 0; i < 1000000; i++)
		if (ioctl(daemon, KEXTD_IOC_EXCHANGE, &args) && errno == EOWNERDEAD)
			_exit(kb_poll(daemon, POLLHUP, 0) ? 0 : ORPHAN_FAILED);
	_exit(ORPHAN_FAILED);
	(void)call;
}
