/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What the test driver kmbad.ko (/dev/kmdf/kmbad) can be asked to do wrong, a device control each: it breaks one rule of
 * kmdf.md part 2, once, and completes the request. Those that take time keep their request until somebody reads a byte,
 * which a sleeping device serves, too.
 */
#ifndef _KMBAD_H
#define _KMBAD_H

/* CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + number, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define KMBAD_CODE(number) (0x220000u | (0x900u + (number)) << 2)

#define KMBAD_NOTHING KMBAD_CODE(0)
#define KMBAD_COMPLETE_MARKED KMBAD_CODE(1)
#define KMBAD_COMPLETE_AFTER_VAIN_UNMARK KMBAD_CODE(2) /* unmarking has said that EvtRequestCancel will come */
#define KMBAD_COMPLETE_TWICE KMBAD_CODE(3)
#define KMBAD_COMPLETE_QUEUED KMBAD_CODE(4)
#define KMBAD_COMPLETE_PENDING KMBAD_CODE(5) /* with STATUS_PENDING */
#define KMBAD_COMPLETE_TOO_LONG KMBAD_CODE(6)
#define KMBAD_COMPLETE_WITH_MEMORY KMBAD_CODE(7)
#define KMBAD_MARK_TWICE KMBAD_CODE(8)
#define KMBAD_MARK_QUEUED KMBAD_CODE(9)
#define KMBAD_MARK_WITHOUT_CALLBACK KMBAD_CODE(10)
#define KMBAD_UNMARK_UNMARKED KMBAD_CODE(11)
#define KMBAD_IS_CANCELED_MARKED KMBAD_CODE(12)
#define KMBAD_FORWARD_MARKED KMBAD_CODE(13)
#define KMBAD_SEND_MARKED KMBAD_CODE(14)
#define KMBAD_SEND_TWICE KMBAD_CODE(15)
#define KMBAD_STOP_ACK KMBAD_CODE(16) /* outside EvtIoStop */
#define KMBAD_STOP_TWICE KMBAD_CODE(17)
#define KMBAD_STOP_ABOVE_PASSIVE KMBAD_CODE(18)
#define KMBAD_STOP_IN_HANDLER KMBAD_CODE(19)
#define KMBAD_LOCK_TWICE KMBAD_CODE(20)
#define KMBAD_LOCK_RELEASED KMBAD_CODE(21) /* that nobody has */
#define KMBAD_RETURN_RAISED KMBAD_CODE(22) /* the handler returns at DISPATCH_LEVEL */
#define KMBAD_NO_HANDLE KMBAD_CODE(23)
#define KMBAD_WRONG_HANDLE KMBAD_CODE(24)
#define KMBAD_FOREIGN_HANDLE KMBAD_CODE(25) /* of another type */
#define KMBAD_DEREFERENCE KMBAD_CODE(26)    /* once too often */
#define KMBAD_DELETE_QUEUES KMBAD_CODE(27)  /* a request that is not the driver's to delete */
#define KMBAD_KEEP KMBAD_CODE(28)
#define KMBAD_KEEP_MARKED KMBAD_CODE(29)

#endif
