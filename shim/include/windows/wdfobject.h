/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects: references, parents, contexts. Calls are for at most DISPATCH_LEVEL.
 *
 * Deletion: first the children, then the object's own EvtCleanupCallback, then the reference of its creation
 * goes; EvtDestroyCallback runs when the last reference has gone, and the memory goes after it. Contexts can be
 * used in both.
 */
#ifndef _KMDF_WDFOBJECT_H
#define _KMDF_WDFOBJECT_H

#include "wdftypes.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The object is going away: drop what you hold for it. PASSIVE_LEVEL for objects that wait when deleted, else at most
 * DISPATCH_LEVEL.
 */
typedef VOID EVT_WDF_OBJECT_CONTEXT_CLEANUP(WDFOBJECT Object);
typedef EVT_WDF_OBJECT_CONTEXT_CLEANUP *PFN_WDF_OBJECT_CONTEXT_CLEANUP;

/* Nobody has a reference any more. The last call about this object. */
typedef VOID EVT_WDF_OBJECT_CONTEXT_DESTROY(WDFOBJECT Object);
typedef EVT_WDF_OBJECT_CONTEXT_DESTROY *PFN_WDF_OBJECT_CONTEXT_DESTROY;

typedef const struct _WDF_OBJECT_CONTEXT_TYPE_INFO *PCWDF_OBJECT_CONTEXT_TYPE_INFO;
typedef PCWDF_OBJECT_CONTEXT_TYPE_INFO (*PFN_GET_UNIQUE_CONTEXT_TYPE)(void);

/* A type of context. UniqueType is its identity. */
typedef struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
	ULONG Size;
	PCCH ContextName;
	size_t ContextSize;
	PCWDF_OBJECT_CONTEXT_TYPE_INFO UniqueType;
	PFN_GET_UNIQUE_CONTEXT_TYPE EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO, *PWDF_OBJECT_CONTEXT_TYPE_INFO;

typedef struct _WDF_OBJECT_ATTRIBUTES {
	ULONG Size;
	PFN_WDF_OBJECT_CONTEXT_CLEANUP EvtCleanupCallback;
	PFN_WDF_OBJECT_CONTEXT_DESTROY EvtDestroyCallback;
	WDF_EXECUTION_LEVEL ExecutionLevel;
	WDF_SYNCHRONIZATION_SCOPE SynchronizationScope;
	WDFOBJECT ParentObject;
	size_t ContextSizeOverride; /* 0, or more than the type's size */
	PCWDF_OBJECT_CONTEXT_TYPE_INFO ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES, *PWDF_OBJECT_ATTRIBUTES;

FORCEINLINE VOID WDF_OBJECT_ATTRIBUTES_INIT(PWDF_OBJECT_ATTRIBUTES Attributes)
{
	KMDF_INIT_STRUCT(Attributes);
	Attributes->ExecutionLevel = WdfExecutionLevelInheritFromParent;
	Attributes->SynchronizationScope = WdfSynchronizationScopeInheritFromParent;
}

/*
 * The context of that type, zeroed when it was allocated; it lives as long as the object. NULL, with a report, if
 * the object has none. any level. Drivers call the accessor that WDF_DECLARE_CONTEXT_TYPE* makes.
 */
PVOID WdfObjectGetTypedContextWorker(WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO TypeInfo);

/*
 * One more context, in *Context. STATUS_OBJECT_NAME_EXISTS, which is NT_SUCCESS: it has one of this type, and
 * that is returned; STATUS_DELETE_PENDING: it is being deleted; STATUS_WDF_OBJECT_ATTRIBUTES_INVALID,
 * STATUS_INFO_LENGTH_MISMATCH: bad attributes; STATUS_INSUFFICIENT_RESOURCES. Its callbacks run as the object's.
 */
NTSTATUS WdfObjectAllocateContext(WDFOBJECT Handle, PWDF_OBJECT_ATTRIBUTES ContextAttributes, PVOID *Context);

/* The object that a context belongs to. any level. */
WDFOBJECT WdfObjectContextGetObject(PVOID ContextPointer);

/*
 * A reference keeps the handle and the contexts valid, and nothing else: it gives no right to complete a request.
 * Drivers use the macros below. A dereference too many is reported.
 */
VOID WdfObjectReferenceActual(WDFOBJECT Handle, PVOID Tag, LONG Line, PCCH File);
VOID WdfObjectDereferenceActual(WDFOBJECT Handle, PVOID Tag, LONG Line, PCCH File);

/*
 * A general object; its parent is the driver unless given. STATUS_INSUFFICIENT_RESOURCES,
 * STATUS_INFO_LENGTH_MISMATCH, STATUS_WDF_OBJECT_ATTRIBUTES_INVALID. The caller owns it.
 */
NTSTATUS WdfObjectCreate(PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Object);

/*
 * Deletes what the driver created, with its children. Refused, with a report, for what is not the driver's to
 * delete: devices that are no control devices, default queues, file objects, requests that a queue presented. Waits for
 * children that somebody else deletes. A worker waits, and calls EvtCleanupCallback, later: for timers, work items and
 * queues above PASSIVE_LEVEL; from the function of a timer or work item, for that one and what is above it; and in an
 * EvtCleanupCallback, for what is above its object. Nothing of a timer or work item begins after this all the same.
 */
VOID WdfObjectDelete(WDFOBJECT Object);

/* STATUS_NOT_FOUND: there is nothing to query. */
NTSTATUS WdfObjectQuery(WDFOBJECT Object, const GUID *Guid, ULONG QueryBufferLength, PVOID QueryBuffer);

#ifdef __cplusplus
}
#endif

#define WdfObjectReference(handle) WdfObjectReferenceActual(handle, NULL, __LINE__, __FILE__)
#define WdfObjectReferenceWithTag(handle, tag) WdfObjectReferenceActual(handle, tag, __LINE__, __FILE__)
#define WdfObjectDereference(handle) WdfObjectDereferenceActual(handle, NULL, __LINE__, __FILE__)
#define WdfObjectDereferenceWithTag(handle, tag) WdfObjectDereferenceActual(handle, tag, __LINE__, __FILE__)

/*
 * Context types. A descriptor has to be the same object in each translation unit that declares the type, since its
 * address tells types apart: it is weak, and the linker keeps one for the module.
 */
#define WDF_TYPE_NAME_PREFIX(type) _WDF_##type
#define WDF_TYPE_NAME(type) _WDF_##type##_TYPE_INFO
#define WDF_TYPE_NAME_POINTER_TYPE(type) WDF_POINTER_TYPE_##type
#define WDF_GET_CONTEXT_TYPE_INFO(type) (&WDF_TYPE_NAME(type))
#define WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(attributes, type) \
	((attributes)->ContextTypeInfo = WDF_GET_CONTEXT_TYPE_INFO(type)->UniqueType)
#define WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, type) \
	(WDF_OBJECT_ATTRIBUTES_INIT(attributes), (void)WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(attributes, type))
#define WdfObjectGetTypedContext(handle, type) \
	((type *)WdfObjectGetTypedContextWorker((WDFOBJECT)(handle), WDF_GET_CONTEXT_TYPE_INFO(type)->UniqueType))

#define WDF_DECLARE_TYPE_AND_GLOBALS(type, unique_type, get_unique_type)                                       \
	KMDF_EXTERN_C const WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME(type) __attribute__((weak));            \
	const WDF_OBJECT_CONTEXT_TYPE_INFO WDF_TYPE_NAME(type) = {sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), #type, \
								  sizeof(type), unique_type, get_unique_type}

#define WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(type, accessor)                               \
	typedef type *WDF_TYPE_NAME_POINTER_TYPE(type);                                  \
	WDF_DECLARE_TYPE_AND_GLOBALS(type, WDF_GET_CONTEXT_TYPE_INFO(type), NULL);       \
	FORCEINLINE WDF_TYPE_NAME_POINTER_TYPE(type) accessor(WDFOBJECT Handle)          \
	{                                                                                \
		return (WDF_TYPE_NAME_POINTER_TYPE(type))WdfObjectGetTypedContextWorker( \
			Handle, WDF_GET_CONTEXT_TYPE_INFO(type)->UniqueType);            \
	}

/* The accessor is WdfObjectGet_TYPE(). */
#define WDF_DECLARE_CONTEXT_TYPE(type) WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(type, WdfObjectGet_##type)

#endif
