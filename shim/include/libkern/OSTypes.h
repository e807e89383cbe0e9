/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LIBKERN_OSTYPES_H
#define _LIBKERN_OSTYPES_H

typedef unsigned char UInt8;
typedef unsigned short UInt16;
typedef unsigned int UInt32;
typedef unsigned long long UInt64;
typedef signed char SInt8;
typedef signed short SInt16;
typedef signed int SInt32;
typedef signed long long SInt64;

typedef unsigned char Boolean;
typedef SInt32 OSStatus;

#endif
