/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What the test driver kmapi.ko (/dev/kmdf/kmapi) does with the framework by itself, a device control each: in the kernel
 * and with its compiler's flags, what the host ring does with the same calls. Out: struct kmapi_result.
 */
#ifndef _KMAPI_H
#define _KMAPI_H

/* CTL_CODE(FILE_DEVICE_UNKNOWN, 0xa00 + number, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define KMAPI_CODE(number) (0x220000u | (0xa00u + (number)) << 2)

#define KMAPI_PRINT KMAPI_CODE(0)
#define KMAPI_PRINT_WIDE KMAPI_CODE(1)
#define KMAPI_COLLECTION KMAPI_CODE(2)
#define KMAPI_MEMORY KMAPI_CODE(3)
#define KMAPI_OBJECT KMAPI_CODE(4)
#define KMAPI_KERNEL KMAPI_CODE(5)
#define KMAPI_REFUSED KMAPI_CODE(6) /* what answers STATUS_NOT_SUPPORTED */
#define KMAPI_BAD_DEVICE KMAPI_CODE(7)
#define KMAPI_BAD_QUEUE KMAPI_CODE(8)
#define KMAPI_SYNCHRONOUS KMAPI_CODE(9) /* sent and waited for in one call */
#define KMAPI_FORMAT KMAPI_CODE(10)
#define KMAPI_REQUEST KMAPI_CODE(11) /* what a driver can ask about the client's own */
#define KMAPI_LOCK KMAPI_CODE(12)
#define KMAPI_PRINT_CUT KMAPI_CODE(13)
#define KMAPI_HANDLE KMAPI_CODE(14) /* handles of nothing and of something else */
#define KMAPI_LEVEL KMAPI_CODE(15)  /* what must not be called above PASSIVE_LEVEL */
#define KMAPI_ENTRY KMAPI_CODE(16)  /* what DriverEntry was told */
#define KMAPI_LATE KMAPI_CODE(17)   /* children of what is being deleted */
#define KMAPI_OTHER KMAPI_CODE(18)  /* sends to a device of kmtest.ko, which must be loaded */
#define KMAPI_LAST KMAPI_OTHER

/* Makes one of each and deletes them; no output, its status is that of the first that could not be made. */
#define KMAPI_CREATE KMAPI_CODE(19)

/* In: four bytes, out: eight; METHOD_NEITHER. The last four are those that came in. */
#define KMAPI_NEITHER (KMAPI_CODE(20) | 3u)

struct kmapi_result {
	unsigned int checks;
	unsigned int failed;
	unsigned int broken;   /* how often a rule was broken on purpose */
	unsigned int lines[6]; /* of the first that failed */
};

#endif
