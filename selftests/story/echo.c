// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A client of the echo driver (drivers/kmecho), as a program for Windows would be one; no test, and no library but libc.
 *
 *   kmecho             writes 512 and 30720 bytes, reads them back, compares
 *   kmecho -Async [N]  N reads and N writes of 40960 bytes, up to 100 of each under way at once; without N for ever
 *
 * Exit status: 0 if all went well.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the driver's header declares for both sides, here as the text that sysfs has. */
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
	static const struct guid name = {l, w1, w2, {b1, b2, b3, b4, b5, b6, b7, b8}}
struct guid {
	uint32_t data1;
	uint16_t data2, data3;
	uint8_t data4[8];
};
#include "../drivers/kmecho/public.h"

#define CLASS "/sys/class/kmdf"
#define MOST_REQUESTS 100
#define ASYNC_LENGTH 40960

static int complain(const char *what)
{
	fprintf(stderr, "kmecho: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- the device, by its interface */

static bool has_interface(const char *device, const char *wanted)
{
	char path[512], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), CLASS "/%s/interfaces", device);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = !strncasecmp(line, wanted, strlen(wanted));
	fclose(file);
	return found;
}

static int find_device(const struct guid *guid, char *path, size_t size)
{
	const uint8_t *d = guid->data4;
	struct dirent **devices;
	char wanted[64];
	unsigned int found = 0;
	int count;

	snprintf(wanted, sizeof(wanted), "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", guid->data1, guid->data2,
		 guid->data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
	count = scandir(CLASS, &devices, NULL, versionsort);
	for (int i = 0; i < count; i++) {
		const char *name = devices[i]->d_name;

		if (name[0] != '.' && has_interface(name, wanted) && !found++)
			snprintf(path, size, "/dev/kmdf/%s", name);
		free(devices[i]);
	}
	if (count >= 0)
		free(devices);
	if (found > 1)
		fprintf(stderr, "kmecho: %u devices have the interface %s: this is the first\n", found, wanted);
	if (!found)
		fprintf(stderr, "kmecho: no device has the interface %s: is the driver loaded?\n", wanted);
	return found ? 0 : -1;
}

/* ---- without arguments */

static int echo(int fd, size_t length)
{
	unsigned char *sent = malloc(length);
	unsigned char *got = calloc(1, length);
	ssize_t count;
	int err = -1;

	if (!sent || !got) {
		complain("memory");
		goto out;
	}
	for (size_t i = 0; i < length; i++)
		sent[i] = i & 0xff;
	count = write(fd, sent, length);
	if (count < 0) {
		complain("write");
		goto out;
	}
	if ((size_t)count != length) {
		fprintf(stderr, "kmecho: %zd of %zu bytes were written\n", count, length);
		goto out;
	}
	printf("%zu bytes are written\n", length);
	count = read(fd, got, length);
	if (count < 0) {
		complain("read");
		goto out;
	}
	if ((size_t)count != length || memcmp(sent, got, length)) {
		fprintf(stderr, "kmecho: %zd of %zu bytes were read, or others than were written\n", count, length);
		goto out;
	}
	printf("%zu bytes are read, the same\n", length);
	err = 0;
out:
	free(sent);
	free(got);
	return err;
}

static int echo_once(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return complain(path);
	printf("%s is open\n", path);
	err = echo(fd, 512);
	if (!err)
		err = echo(fd, 30720);
	close(fd);
	return err;
}

/* ---- -Async: what a completion port is for a program of Windows, an aio_context_t is here */

struct direction {
	const char *path;
	const char *name;
	int opcode;
	unsigned long left; /* to be asked for */
	bool forever;
	int err;
};

struct stream {
	struct direction *direction;
	aio_context_t context;
	int fd;
	unsigned int under_way;
	struct iocb requests[MOST_REQUESTS];
	unsigned char buffers[MOST_REQUESTS][ASYNC_LENGTH];
};

static int ask(struct stream *stream, unsigned int index)
{
	struct iocb *request = &stream->requests[index];

	*request = (struct iocb){
		.aio_data = index,
		.aio_lio_opcode = stream->direction->opcode,
		.aio_fildes = stream->fd,
		.aio_buf = (uintptr_t)stream->buffers[index],
		.aio_nbytes = ASYNC_LENGTH,
	};
	if (syscall(SYS_io_submit, stream->context, 1L, &request) != 1)
		return complain("io_submit");
	if (!stream->direction->forever)
		stream->direction->left--;
	stream->under_way++;
	return 0;
}

static bool more(const struct direction *direction)
{
	return direction->forever || direction->left;
}

static int answer(struct stream *stream)
{
	struct io_event event;
	long count = syscall(SYS_io_getevents, stream->context, 1L, 1L, &event, NULL);

	if (count < 0 && errno == EINTR)
		return 0;
	if (count != 1)
		return complain("io_getevents");
	stream->under_way--;
	if (event.res < 0) {
		errno = -event.res;
		return complain(stream->direction->name);
	}
	printf("%s %lu: %ld bytes\n", stream->direction->name, (unsigned long)event.data, (long)event.res);
	return more(stream->direction) ? ask(stream, event.data) : 0;
}

static void *run(void *arg)
{
	struct direction *direction = arg;
	struct stream *stream = calloc(1, sizeof(*stream));

	direction->err = -1;
	if (!stream) {
		complain("memory");
		return NULL;
	}
	stream->direction = direction;
	stream->fd = open(direction->path, O_RDWR | O_CLOEXEC);
	if (stream->fd < 0)
		complain(direction->path);
	else if (syscall(SYS_io_setup, (long)MOST_REQUESTS, &stream->context))
		complain("io_setup");
	else
		direction->err = 0;
	for (unsigned int i = 0; i < MOST_REQUESTS && !direction->err && more(direction); i++)
		direction->err = ask(stream, i);
	while (!direction->err && stream->under_way)
		direction->err = answer(stream);
	/* Cancels what is under way, and waits for it. */
	if (stream->context)
		syscall(SYS_io_destroy, stream->context);
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream);
	return NULL;
}

static int echo_async(const char *path, const char *number)
{
	unsigned long count = number ? strtoul(number, NULL, 10) : 0;
	struct direction reads = {path, "read", IOCB_CMD_PREAD, count, !number, 0};
	struct direction writes = {path, "write", IOCB_CMD_PWRITE, count, !number, 0};
	pthread_t reader;

	/* A line per completion, also into a pipe. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	errno = pthread_create(&reader, NULL, run, &reads);
	if (errno)
		return complain("thread");
	run(&writes);
	pthread_join(reader, NULL);
	return reads.err || writes.err ? -1 : 0;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

int main(int argc, char **argv)
{
	bool async = argc > 1 && !strncasecmp(argv[1], "-Async", strlen("-Async"));
	char path[512];
	int err;

	if ((argc > 1 && !async) || argc > 3 || (argc == 3 && !is_number(argv[2]))) {
		fprintf(stderr, "usage: kmecho [-Async [NUMBER]]\n");
		return 1;
	}
	if (find_device(&GUID_DEVINTERFACE_KMECHO, path, sizeof(path)))
		return 1;
	err = async ? echo_async(path, argc == 3 ? argv[2] : NULL) : echo_once(path);
	if (fflush(stdout))
		err = complain("stdout");
	return err ? 1 : 0;
}
