/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between a driver's module and kmdf.ko. scripts/driver.mk generates the C file that defines kmdf_driver_glue,
 * with Linux's headers: hence no type of Windows here. The tags are those of ntdef.h, wdm.h and wdftypes.h, so
 * that kCFI sees one prototype of DriverEntry.
 */
#ifndef _KMDF_GLUE_H
#define _KMDF_GLUE_H

#ifdef __cplusplus
extern "C" {
#endif

struct module;
struct _DRIVER_OBJECT;
struct _UNICODE_STRING;
struct WDFDRIVER__;

struct kmdf_driver_glue {
	/* Set by the driver's module. */
	struct module *module;
	const char *name;
	int (*entry)(struct _DRIVER_OBJECT *driver_object, struct _UNICODE_STRING *registry_path);
	/* kmdf.ko's. */
	struct WDFDRIVER__ *driver;
	void *state;
};

/* One in each driver's module. */
extern struct kmdf_driver_glue kmdf_driver_glue;

/*
 * What module_init calls: DriverEntry, then EvtDriverDeviceAdd once for each of `instances` devices. 0, or a
 * negative errno, and then nothing is left of the driver. glue lives until kmdf_driver_exit() has returned.
 */
int kmdf_driver_init(struct kmdf_driver_glue *glue, unsigned int instances);

/* What module_exit calls: removes the devices, calls EvtDriverUnload, deletes the driver. After success only. */
void kmdf_driver_exit(struct kmdf_driver_glue *glue);

#ifdef __cplusplus
}
#endif

#endif
