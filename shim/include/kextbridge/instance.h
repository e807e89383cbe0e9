/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects that keep their kext loaded: while one lives, the kext is not unloaded by itself, and an unload that somebody
 * asks for is refused with InUse; `kextctl list` shows how many there are, the log names the class. For C++ drivers a base
 * class, for C drivers the two calls. No constructor runs at load: a class is known from its first object on.
 */
#ifndef _KEXTBRIDGE_INSTANCE_H
#define _KEXTBRIDGE_INSTANCE_H

#include <mach/kmod.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One per class, static and not const: `static struct kextbridge_class stream = {"Stream"};`. The rest is the core's. */
struct kextbridge_class {
	const char *name;
	int32_t instances;
	uint32_t known;
	struct kextbridge_class *next;
};

/* The function behind the next one: the core learns of the class. CONTEXT: any but hard interrupts. */
void kextbridge_class_register(const kmod_info_t *caller, struct kextbridge_class *cls);

/*
 * An object has come to life. CONTEXT: any but hard interrupts; after the first call for a class, an atomic addition.
 */
static inline void kextbridge_instance_created(struct kextbridge_class *cls)
{
	__atomic_add_fetch(&cls->instances, 1, __ATOMIC_RELAXED);
	/* ORDER: known is set once the class can be found: who sees it set is counted. */
	if (!__atomic_load_n(&cls->known, __ATOMIC_ACQUIRE))
		kextbridge_class_register(&kmod_info, cls);
}

/*
 * An object is dead. CONTEXT: any. Nothing else happens: a kext that waits for it to leave does so with the next scan.
 */
static inline void kextbridge_instance_destroyed(struct kextbridge_class *cls)
{
	__atomic_sub_fetch(&cls->instances, 1, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}

#include <kextbridge/instance.hpp>
#endif

#endif
