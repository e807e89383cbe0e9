/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GUIDs. DEFINE_GUID declares one; in a translation unit that defined INITGUID before (or includes
 * <initguid.h>) it defines it too. Several units may define the same: the linker keeps one.
 */
#ifndef _KMDF_GUIDDEF_H
#define _KMDF_GUIDDEF_H

typedef struct _GUID {
	unsigned int Data1;
	unsigned short Data2;
	unsigned short Data3;
	unsigned char Data4[8];
} GUID;

typedef GUID *LPGUID, *PGUID;
typedef const GUID *LPCGUID, *PCGUID;
typedef GUID IID, CLSID;

#ifdef __cplusplus
#define REFGUID const GUID &
#define KMDF_EXTERN_C extern "C"
#else
#define REFGUID const GUID *
#define KMDF_EXTERN_C extern
#endif

#ifdef __cplusplus
inline bool IsEqualGUID(const GUID &a, const GUID &b)
{
	return !__builtin_memcmp(&a, &b, sizeof(GUID));
}

inline bool operator==(const GUID &a, const GUID &b)
{
	return IsEqualGUID(a, b);
}
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)
#else
#define IsEqualGUID(a, b) (!__builtin_memcmp((a), (b), sizeof(GUID)))
#define InlineIsEqualGUID(a, b) IsEqualGUID(a, b)
#endif
#define IsEqualIID(a, b) IsEqualGUID(a, b)
#define IsEqualCLSID(a, b) IsEqualGUID(a, b)

#endif

/* Outside the guard: a later <initguid.h> changes what DEFINE_GUID does. */
#undef DEFINE_GUID
#ifdef INITGUID
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) \
	KMDF_EXTERN_C const GUID name __attribute__((weak));         \
	const GUID name = {l, w1, w2, {b1, b2, b3, b4, b5, b6, b7, b8}}
#else
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8) KMDF_EXTERN_C const GUID name
#endif
