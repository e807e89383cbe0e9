/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a kext declares about itself. KMOD_EXPLICIT_DECL(com.example.driver, "1.0", start, stop) in one
 * source file of a driver gives the module its identity; scripts/driver.mk adds the init and exit
 * functions, MODULE_LICENSE and the rest.
 */
#ifndef _MACH_KMOD_H
#define _MACH_KMOD_H

#include <kextbridge/types.h>
#include <mach/kern_return.h>
#include <mach/mach_types.h>

#define KMOD_MAX_NAME 64
#define KMOD_RETURN_SUCCESS KERN_SUCCESS
#define KMOD_RETURN_FAILURE KERN_FAILURE
#define KMOD_INFO_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

struct kmod_info;

/*
 * start: makes the driver ready. 0, or a failure that undoes the load: whatever it requested is dropped
 *   without a callback. Callbacks wait until it has returned.
 *   CONTEXT: the thread that loads the module (or a worker, when it is started again); may sleep; must not
 *   wait for a resource of its own.
 * stop: KMOD_RETURN_SUCCESS lets the module go, anything else refuses (StartStopError) and the driver stays
 *   as it was. No callback runs during it or after it. What it requests is answered Stopping.
 *   CONTEXT: a worker, or the thread that removes the module; may sleep.
 * data is NULL.
 */
typedef kern_return_t kmod_start_func_t(struct kmod_info *ki, void *data);
typedef kern_return_t kmod_stop_func_t(struct kmod_info *ki, void *data);

/* The field order and packing of the original; next, reference_list, address, size and hdr_size are unused. */
#pragma pack(push, 4)
typedef struct kmod_info {
	struct kmod_info *next;
	int32_t info_version;
	uint32_t id; /* the load tag; 0xffffffff before the module is loaded */
	char name[KMOD_MAX_NAME];
	char version[KMOD_MAX_NAME];
	int32_t reference_count;
	void *reference_list;
	vm_address_t address;
	vm_size_t size;
	vm_size_t hdr_size;
	kmod_start_func_t *start;
	kmod_stop_func_t *stop;
} kmod_info_t;
#pragma pack(pop)

/* The kext's own; one per module, not exported. */
extern kmod_info_t kmod_info __attribute__((visibility("hidden")));

#define KMOD_MODINFO(tag, text) \
	static const char kmod_modinfo_##tag[] __attribute__((used, section(".modinfo"), aligned(1))) = text

/* identifier without quotes, version as a string; both at most 63 bytes. */
#define KMOD_EXPLICIT_DECL(identifier, version_string, start_function, stop_function)          \
	KMOD_MODINFO(alias, "alias=kext:" #identifier);                                        \
	KMOD_MODINFO(bundle_id, "kext_bundle_id=" #identifier);                                \
	KMOD_MODINFO(version, "version=" version_string);                                      \
	kmod_info_t kmod_info = {                                                              \
		0, KMOD_INFO_VERSION, 0xffffffffu,   #identifier, version_string, -1, 0, 0, 0, \
		0, start_function,    stop_function,                                           \
	}

#ifdef __cplusplus
}
#endif

#endif
