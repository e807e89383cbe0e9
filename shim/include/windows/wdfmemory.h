/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory objects. At most DISPATCH_LEVEL. */
#ifndef _KMDF_WDFMEMORY_H
#define _KMDF_WDFMEMORY_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_MEMORY_DESCRIPTOR_TYPE {
	WdfMemoryDescriptorTypeInvalid = 0,
	WdfMemoryDescriptorTypeBuffer,
	WdfMemoryDescriptorTypeMdl,
	WdfMemoryDescriptorTypeHandle
} WDF_MEMORY_DESCRIPTOR_TYPE;

typedef struct _WDF_MEMORY_DESCRIPTOR {
	WDF_MEMORY_DESCRIPTOR_TYPE Type;
	union {
		struct {
			PVOID Buffer;
			ULONG Length;
		} BufferType;
		struct {
			PMDL Mdl;
			ULONG BufferLength;
		} MdlType;
		struct {
			WDFMEMORY Memory;
			PWDFMEMORY_OFFSET Offsets;
		} HandleType;
	} u;
} WDF_MEMORY_DESCRIPTOR, *PWDF_MEMORY_DESCRIPTOR;

FORCEINLINE VOID WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(PWDF_MEMORY_DESCRIPTOR Descriptor, PVOID Buffer, ULONG BufferLength)
{
	RtlZeroMemory(Descriptor, sizeof(*Descriptor));
	Descriptor->Type = WdfMemoryDescriptorTypeBuffer;
	Descriptor->u.BufferType.Buffer = Buffer;
	Descriptor->u.BufferType.Length = BufferLength;
}

FORCEINLINE VOID WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(PWDF_MEMORY_DESCRIPTOR Descriptor, WDFMEMORY Memory,
						   PWDFMEMORY_OFFSET Offsets)
{
	RtlZeroMemory(Descriptor, sizeof(*Descriptor));
	Descriptor->Type = WdfMemoryDescriptorTypeHandle;
	Descriptor->u.HandleType.Memory = Memory;
	Descriptor->u.HandleType.Offsets = Offsets;
}

/*
 * Memory with an object around it; its parent is the driver unless given, and the memory goes with the object. The
 * caller owns it. Not zeroed. Buffer, where its address goes, may be NULL. STATUS_INVALID_PARAMETER: BufferSize is
 * 0; STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS WdfMemoryCreate(PWDF_OBJECT_ATTRIBUTES Attributes, POOL_TYPE PoolType, ULONG PoolTag, size_t BufferSize,
			 WDFMEMORY *Memory, PVOID *Buffer);

/* An object around the caller's memory, which stays the caller's and outlives it. STATUS_INVALID_PARAMETER: size 0. */
NTSTATUS WdfMemoryCreatePreallocated(PWDF_OBJECT_ATTRIBUTES Attributes, PVOID Buffer, size_t BufferSize,
				     WDFMEMORY *Memory);

/* Where it is, and how long in *BufferSize, which may be NULL. Valid as long as the object. */
PVOID WdfMemoryGetBuffer(WDFMEMORY Memory, size_t *BufferSize);

/* Other memory for one of WdfMemoryCreatePreallocated(). STATUS_INVALID_PARAMETER: size 0. */
NTSTATUS WdfMemoryAssignBuffer(WDFMEMORY Memory, PVOID Buffer, size_t BufferSize);

/* STATUS_BUFFER_TOO_SMALL: the object has less than that behind SourceOffset. Nothing is copied then. */
NTSTATUS WdfMemoryCopyToBuffer(WDFMEMORY SourceMemory, size_t SourceOffset, PVOID Buffer, size_t NumBytesToCopyTo);

/*
 * STATUS_INVALID_BUFFER_SIZE: the object has less than that behind DestinationOffset; STATUS_ACCESS_VIOLATION: it
 * is what a client writes. Nothing is copied then.
 */
NTSTATUS WdfMemoryCopyFromBuffer(WDFMEMORY DestinationMemory, size_t DestinationOffset, PVOID Buffer,
				 size_t NumBytesToCopyFrom);

#ifdef __cplusplus
}
#endif

#endif
