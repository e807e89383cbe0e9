/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The base types of Windows drivers. LLP64 on a 64-bit kernel: ULONG and LONG have 32 bits, ULONG_PTR has 64.
 * A driver's translation unit sees these headers only, and none of Linux. It needs -fshort-wchar, as Kbuild has.
 */
#ifndef _KMDF_NTDEF_H
#define _KMDF_NTDEF_H

#include "sal.h"
#include "specstrings.h"
#include "driverspecs.h"
#include "guiddef.h"

/* Compiler words of Windows. */
#ifndef __cplusplus
/*
 * Kbuild makes `inline` a macro whose functions are emitted in each unit. Here it is C's own; and what a driver
 * writes as __inline is inlined always, since no unit emits it.
 */
#undef inline
#undef __inline__
#undef __inline
#define __inline inline __attribute__((__always_inline__))
#endif
#define FORCEINLINE inline __attribute__((__always_inline__))
#define __forceinline FORCEINLINE
#define CFORCEINLINE FORCEINLINE
#define DECLSPEC_NOINLINE __attribute__((__noinline__))
#define DECLSPEC_NORETURN __attribute__((__noreturn__))
#define DECLSPEC_ALIGN(x) __attribute__((__aligned__(x)))
#define DECLSPEC_IMPORT
#define DECLSPEC_EXPORT
#define DECLSPEC_SELECTANY __attribute__((weak))
#define DECLSPEC_DEPRECATED_DDK
#define DECLSPEC_RESTRICT

#define __declspec(x) KMDF_DECLSPEC_##x
#define KMDF_DECLSPEC_align(x) __attribute__((__aligned__(x)))
#define KMDF_DECLSPEC_noinline __attribute__((__noinline__))
#define KMDF_DECLSPEC_noreturn __attribute__((__noreturn__))
#define KMDF_DECLSPEC_selectany __attribute__((weak))
#define KMDF_DECLSPEC_dllimport
#define KMDF_DECLSPEC_dllexport
#define KMDF_DECLSPEC_novtable
#define KMDF_DECLSPEC_nothrow
#define KMDF_DECLSPEC_restrict
#define KMDF_DECLSPEC_noalias
#define KMDF_DECLSPEC_deprecated
#define KMDF_DECLSPEC_DEPRECATED
#define KMDF_DECLSPEC_allocate(x)
#define KMDF_DECLSPEC_code_seg(x)
#define KMDF_DECLSPEC_uuid(x)

#ifdef __clang__ /* has it with -fms-extensions */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wbuiltin-macro-redefined"
#endif
#define __pragma(x)
#ifdef __clang__
#pragma clang diagnostic pop
#endif
#define __fallthrough __attribute__((__fallthrough__))
#define _Fallthrough_ __fallthrough
#define __cdecl
#define __stdcall
#define __fastcall
#define NTAPI
#define FASTCALL
#define WINAPI
#define CALLBACK
#define NTSYSAPI
#define NTKERNELAPI
#define NTHALAPI
#define UNALIGNED
#define RESTRICTED_POINTER
#define __unaligned
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#define __ptr64
#define POINTER_64
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOLATILE volatile
#define VOID void
#ifdef __cplusplus
#define EXTERN_C extern "C"
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#endif

#ifndef NULL
#ifdef __cplusplus
#define NULL __null
#else
#define NULL ((void *)0)
#endif
#endif
#define NULL64 NULL

/* A checked build: what KdPrint() and ASSERT() look at. */
#ifndef DBG
#define DBG 0
#endif

#ifndef __cplusplus
typedef __WCHAR_TYPE__ wchar_t;
#endif
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

typedef char CHAR, CCHAR;
typedef signed char SCHAR;
typedef unsigned char UCHAR, BYTE, BOOLEAN;
typedef short SHORT, CSHORT;
typedef unsigned short USHORT, WORD;
typedef int LONG, INT, BOOL;
typedef unsigned int ULONG, UINT, DWORD;
typedef long long LONGLONG;
typedef unsigned long long ULONGLONG, DWORDLONG;
typedef wchar_t WCHAR;
typedef signed char INT8;
typedef unsigned char UINT8;
typedef short INT16;
typedef unsigned short UINT16;
typedef int INT32, LONG32;
typedef unsigned int UINT32, ULONG32, DWORD32;
typedef long long INT64, LONG64;
typedef unsigned long long UINT64, ULONG64, DWORD64;
typedef long INT_PTR, LONG_PTR;
typedef unsigned long UINT_PTR, ULONG_PTR, DWORD_PTR, SIZE_T;
typedef long SSIZE_T;
typedef ULONG_PTR KAFFINITY;
typedef int NTSTATUS;
typedef UCHAR KIRQL;
typedef CHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
typedef ULONG ACCESS_MASK;
typedef ULONG DEVICE_TYPE;
typedef ULONG LOGICAL;
typedef LONGLONG USN;

typedef void *PVOID, *LPVOID, *HANDLE;
typedef const void *PCVOID, *LPCVOID;
typedef PVOID *PPVOID;
typedef HANDLE *PHANDLE;
typedef CHAR *PCHAR, *PSZ, *PSTR, *LPSTR, *PCCHAR, *PNZCH, *PCH, *LPCH;
typedef const CHAR *PCSTR, *LPCSTR, *PCSZ, *PCCH, *LPCCH;
typedef UCHAR *PUCHAR, *PBYTE, *PBOOLEAN, *LPBYTE;
typedef SHORT *PSHORT;
typedef USHORT *PUSHORT, *PWORD;
typedef LONG *PLONG, *PINT, *PBOOL;
typedef ULONG *PULONG, *PDWORD, *PUINT, *LPDWORD;
typedef LONGLONG *PLONGLONG;
typedef ULONGLONG *PULONGLONG;
typedef WCHAR *PWCHAR, *PWSTR, *LPWSTR, *PWCH, *LPWCH, *PZZWSTR, *NTSTRSAFE_PWSTR;
typedef const WCHAR *PCWSTR, *LPCWSTR, *PCWCH, *LPCWCH, *NTSTRSAFE_PCWSTR;
typedef CHAR *NTSTRSAFE_PSTR;
typedef const CHAR *NTSTRSAFE_PCSTR;
typedef INT8 *PINT8;
typedef UINT8 *PUINT8;
typedef INT16 *PINT16;
typedef UINT16 *PUINT16;
typedef INT32 *PINT32, *PLONG32;
typedef UINT32 *PUINT32, *PULONG32;
typedef INT64 *PINT64, *PLONG64;
typedef UINT64 *PUINT64, *PULONG64;
typedef LONG_PTR *PLONG_PTR, *PINT_PTR;
typedef ULONG_PTR *PULONG_PTR, *PUINT_PTR, *PDWORD_PTR;
typedef SIZE_T *PSIZE_T;
typedef NTSTATUS *PNTSTATUS;
typedef KIRQL *PKIRQL;
typedef ACCESS_MASK *PACCESS_MASK;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

typedef union _LARGE_INTEGER {
	struct {
		ULONG LowPart;
		LONG HighPart;
	};
	struct {
		ULONG LowPart;
		LONG HighPart;
	} u;
	LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
	struct {
		ULONG LowPart;
		ULONG HighPart;
	};
	struct {
		ULONG LowPart;
		ULONG HighPart;
	} u;
	ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

/* Length and MaximumLength are in bytes and without a final NUL, which need not be there. */
typedef struct _UNICODE_STRING {
	USHORT Length;
	USHORT MaximumLength;
	PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
	USHORT Length;
	USHORT MaximumLength;
	PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING, OEM_STRING, *POEM_STRING;
typedef const STRING *PCSTRING, *PCANSI_STRING, *PCOEM_STRING;

#define UNICODE_NULL ((WCHAR)0)
#define ANSI_NULL ((CHAR)0)
#define UNICODE_STRING_MAX_BYTES ((USHORT)65534)
#define UNICODE_STRING_MAX_CHARS ((USHORT)32767)

typedef struct _LIST_ENTRY {
	struct _LIST_ENTRY *Flink;
	struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
	struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

/* Only passed on: nobody looks into it. */
typedef struct _OBJECT_ATTRIBUTES *POBJECT_ATTRIBUTES;
typedef PVOID PSECURITY_DESCRIPTOR;

#define MINCHAR 0x80
#define MAXCHAR 0x7f
#define MINSHORT 0x8000
#define MAXSHORT 0x7fff
#define MINLONG 0x80000000
#define MAXLONG 0x7fffffff
#define MAXUCHAR 0xff
#define MAXUSHORT 0xffff
#define MAXULONG 0xffffffff
#define MAXDWORD 0xffffffff
#define MAXLONGLONG 0x7fffffffffffffffLL
#define MINLONGLONG (-MAXLONGLONG - 1)
#define MAXULONGLONG 0xffffffffffffffffULL
#define MAXULONG_PTR ((ULONG_PTR)-1)
#define MAXLONG_PTR ((LONG_PTR)(MAXULONG_PTR >> 1))
#define MAXSIZE_T ((SIZE_T)-1)
#ifndef INT_MAX
#define INT_MAX __INT_MAX__
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX 0xffffffffu
#endif
#define LONG_MAX 2147483647
#define ULONG_MAX 0xffffffffu

#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)
#define NT_INFORMATION(status) ((ULONG)(status) >> 30 == 1)
#define NT_WARNING(status) ((ULONG)(status) >> 30 == 2)
#define NT_ERROR(status) ((ULONG)(status) >> 30 == 3)

#define FIELD_OFFSET(type, field) ((LONG) __builtin_offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG) __builtin_offsetof(type, field))
#ifndef offsetof
#define offsetof(type, field) __builtin_offsetof(type, field)
#endif
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (__builtin_offsetof(type, field) + sizeof(((type *)0)->field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address) - __builtin_offsetof(type, field)))
#ifndef ARRAYSIZE
#define ARRAYSIZE(array) RTL_NUMBER_OF(array)
#endif
#define _ARRAYSIZE(array) RTL_NUMBER_OF(array)
#ifdef __cplusplus
#define C_ASSERT(e) static_assert(e, #e)
#else
#define C_ASSERT(e) _Static_assert(e, #e)
#endif
#define UNREFERENCED_PARAMETER(p) ((void)(p))
#define UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define DBG_UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#ifdef __cplusplus
#define DEFAULT_UNREACHABLE
#else
#define DEFAULT_UNREACHABLE \
	default:            \
		__builtin_unreachable()
#endif
#define __assume(e) ((void)0)
#define __noop(...) ((void)0)
#define _countof(array) RTL_NUMBER_OF(array)

#define LOWORD(l) ((USHORT)((ULONG_PTR)(l)&0xffff))
#define HIWORD(l) ((USHORT)(((ULONG_PTR)(l) >> 16) & 0xffff))
#define LOBYTE(w) ((UCHAR)((ULONG_PTR)(w)&0xff))
#define HIBYTE(w) ((UCHAR)(((ULONG_PTR)(w) >> 8) & 0xff))
#ifndef __cplusplus
#ifndef min
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#endif
#endif
#define FlagOn(f, mask) ((f) & (mask))
#define BooleanFlagOn(f, mask) ((BOOLEAN)(((f) & (mask)) != 0))
#define SetFlag(f, mask) ((f) |= (mask))
#define ClearFlag(f, mask) ((f) &= ~(mask))

#define PtrToUlong(p) ((ULONG)(ULONG_PTR)(p))
#define PtrToLong(p) ((LONG)(LONG_PTR)(p))
#define UlongToPtr(u) ((PVOID)(ULONG_PTR)(ULONG)(u))
#define LongToPtr(l) ((PVOID)(LONG_PTR)(LONG)(l))
#define HandleToULong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToUlong(h) HandleToULong(h)
#define ULongToHandle(u) ((HANDLE)(ULONG_PTR)(ULONG)(u))
#define Int32x32To64(a, b) ((LONGLONG)(LONG)(a) * (LONGLONG)(LONG)(b))
#define UInt32x32To64(a, b) ((ULONGLONG)(ULONG)(a) * (ULONGLONG)(ULONG)(b))

C_ASSERT(sizeof(WCHAR) == 2);
C_ASSERT(sizeof(ULONG) == 4);
C_ASSERT(sizeof(ULONG_PTR) == sizeof(PVOID));

#endif
