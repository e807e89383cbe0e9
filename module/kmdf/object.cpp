// SPDX-License-Identifier: GPL-2.0-only
// Objects: the table of handles, the tree, contexts, and the calls WdfObject...
#include "object.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

// A handle: this mark, 32 bits of generation, 24 of slot. No address of the kernel or of a program looks like it.
constexpr u64 kHandleMark = 0x57ull << 56;
constexpr u64 kHandleMarkMask = 0xffull << 56;
constexpr u32 kSlotBits = 24;
constexpr u32 kSlots = (1u << kSlotBits) - 1;

static const char *const kTypeNames[] = {
	"WDFDRIVER",   "WDFDEVICE",   "WDFQUEUE",  "WDFREQUEST",  "WDFFILEOBJECT", "WDFTIMER",      "WDFWORKITEM",
	"WDFSPINLOCK", "WDFWAITLOCK", "WDFMEMORY", "WDFIOTARGET", "WDFSTRING",     "WDFCOLLECTION", "WDFOBJECT",
};

static constinit lock_class_key late_key = {};

const char *type_name(Type type)
{
	return kTypeNames[static_cast<int>(type)];
}

Object::Object(Type type, Driver *driver) : type(type), driver(driver)
{
	shim_kref_init(&refs_);
	late_.init(late_function, this, "kmdf_late", &late_key);
	children.init();
}

int Object::publish()
{
	u32 slot;
	int err = shim_xa_alloc_bh(&core.handles, &slot, this, kSlots, gfp_here());

	if (err)
		return err;
	if (driver)
		driver->object_made();
	// ORDER: nobody has the handle before this returns; who guesses it finds handle_ 0 or the new one.
	__atomic_store_n(
		&handle_,
		kHandleMark | static_cast<u64>(__atomic_add_fetch(&core.generation, 1, __ATOMIC_RELAXED)) << kSlotBits |
			slot,
		__ATOMIC_RELEASE);
	return 0;
}

Ref<Object> find_object(const void *handle)
{
	u64 value = reinterpret_cast<u64>(handle);

	if ((value & kHandleMarkMask) != kHandleMark)
		return Ref<Object>();
	shim_rcu_read_lock();
	Object *object = static_cast<Object *>(shim_xa_load(&core.handles, value & kSlots));

	// SAFETY: memory of an object is freed a grace period after its slot.
	if (object && !object->get_unless_zero())
		object = nullptr;
	shim_rcu_read_unlock();
	Ref<Object> found = Ref<Object>::adopt(object);

	return found && found->handle_value() == value ? static_cast<Ref<Object> &&>(found) : Ref<Object>();
}

void report_handle(const void *handle, const char *call, const void *caller)
{
	Ref<Object> other = find_object(handle);

	if (!handle)
		report(Rule::NullParameter, nullptr, "%s was given no handle, at %pS", call, caller);
	else if (other)
		report(Rule::InvalidHandle, other.get(), "%s was given a %s, at %pS", call, type_name(other->type),
		       caller);
	else
		report(Rule::InvalidHandle, nullptr, "%s was given %llx, which is no handle (any more), at %pS", call,
		       reinterpret_cast<u64>(handle), caller);
}

// ---- contexts

NTSTATUS check_attributes(const WDF_OBJECT_ATTRIBUTES *attributes)
{
	if (!attributes)
		return STATUS_SUCCESS;
	if (attributes->Size != sizeof(*attributes))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (attributes->ContextTypeInfo) {
		if (attributes->ContextSizeOverride &&
		    attributes->ContextSizeOverride < attributes->ContextTypeInfo->ContextSize)
			return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
	} else if (attributes->ContextSizeOverride) {
		return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
	}
	u32 level = number_of(attributes->ExecutionLevel);
	u32 scope = number_of(attributes->SynchronizationScope);

	if (level < WdfExecutionLevelInheritFromParent || level > WdfExecutionLevelDispatch)
		return STATUS_WDF_EXECUTION_LEVEL_INVALID;
	if (scope < WdfSynchronizationScopeInheritFromParent || scope > WdfSynchronizationScopeNone)
		return STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID;
	return STATUS_SUCCESS;
}

static const WDF_OBJECT_CONTEXT_TYPE_INFO *unique_type(const WDF_OBJECT_CONTEXT_TYPE_INFO *type)
{
	return type->UniqueType ? type->UniqueType : type;
}

static size_t context_size(const WDF_OBJECT_ATTRIBUTES &attributes)
{
	size_t size = attributes.ContextTypeInfo ? attributes.ContextTypeInfo->ContextSize : 0;

	return attributes.ContextSizeOverride > size ? attributes.ContextSizeOverride : size;
}

static bool wants_context(const WDF_OBJECT_ATTRIBUTES *attributes)
{
	return attributes &&
	       (attributes->ContextTypeInfo || attributes->EvtCleanupCallback || attributes->EvtDestroyCallback);
}

static size_t context_room(const WDF_OBJECT_ATTRIBUTES *attributes)
{
	return wants_context(attributes) ? sizeof(Context) + context_size(*attributes) : 0;
}

static Context *make_context(Object &object, void *room, const WDF_OBJECT_ATTRIBUTES &attributes)
{
	Context *context = new (Placement{room}) Context;

	context->next = nullptr;
	context->type = attributes.ContextTypeInfo ? unique_type(attributes.ContextTypeInfo) : nullptr;
	context->owner = &object;
	context->cleanup = attributes.EvtCleanupCallback;
	context->destroy = attributes.EvtDestroyCallback;
	context->apart = false;
	return context;
}

void init_context(Object &object, void *room, const WDF_OBJECT_ATTRIBUTES *attributes)
{
	if (wants_context(attributes))
		object.contexts = make_context(object, room, *attributes);
}

void *allocate_object(size_t size, const WDF_OBJECT_ATTRIBUTES *attributes, void **room, unsigned int gfp)
{
	size_t offset = (size + 15) & ~static_cast<size_t>(15);
	u8 *memory = static_cast<u8 *>(shim_kzalloc(offset + context_room(attributes), gfp));

	*room = memory ? memory + offset : nullptr;
	return memory;
}

// A context is found without a lock: it is stored whole, and never taken away.
static Context *find_context(const Object &object, const WDF_OBJECT_CONTEXT_TYPE_INFO *type)
{
	for (Context *c = __atomic_load_n(&object.contexts, __ATOMIC_ACQUIRE); c; c = c->next) {
		if (c->type == type)
			return c;
	}
	return nullptr;
}

// ---- the tree

bool Object::attach(Object &to)
{
	SpinGuard guard(core.lock);

	if (to.deleting || deleting)
		return false;
	sibling.unlink();
	parent = &to;
	to.children.push_back(*this);
	return true;
}

// Its end sleeps, and this thread must not; or it waits for something that this thread is in the middle of.
static bool ends_later_locked(Object &object, bool atomic) KEXTBRIDGE_REQUIRES(core.lock)
{
	// NOLINTNEXTLINE(misc-no-recursion): as deep as a driver has parented its objects
	if (object.ender == shim_current() || object.runs_here() ||
	    (atomic && (object.passive_dispose || object.deleting)))
		return true;
	for (Object *child = object.children.front(); child; child = object.children.next(*child)) {
		if (ends_later_locked(*child, atomic))
			return true;
	}
	return false;
}

// The next one whose end is the caller's. What cannot be waited for here is its grandparent's from now on, who waits.
static Object *take_child(Object &object)
{
	bool atomic = at_dispatch();

	for (;;) {
		Object *child;
		bool begun;
		{
			SpinGuard guard(core.lock);

			child = object.children.front();
			while (child && child->deleting && !ends_later_locked(*child, atomic))
				child = object.children.next(*child);
			if (!child)
				return nullptr;
			bool later = ends_later_locked(*child, atomic);

			begun = child->deleting;
			child->deleting = true;
			if (!later)
				return child;
			child->sibling.unlink();
			child->parent = object.parent;
			if (child->parent)
				child->parent->children.push_back(*child);
		}
		if (begun)
			continue;
		report(Rule::ObjectMisuse, child, "ends after its parent, which cannot wait for it here");
		child->end_later();
	}
}

static void enter(Object &object)
{
	SpinGuard guard(core.lock);

	object.ender = shim_current();
}

void Doomed::end_one(Object &object)
{
	object.dispose();
	object.await_children();
	for (Context *c = object.contexts; c; c = c->next) {
		if (c->cleanup) {
			CallbackGuard check("EvtCleanupCallback", &object);

			c->cleanup(object.handle());
		}
	}
	SpinGuard guard(core.lock);

	object.sibling.unlink();
	object.parent = nullptr;
	objects_.push_back(object);
	if (core.gone.active())
		core.gone.wake_all();
}

// Below an object that is marked nothing is added any more. As deep as a driver has parented its objects: no recursion.
void Doomed::dispose_of(Object &object)
{
	Object *at = &object;

	enter(object);
	for (;;) {
		if (Object *child = take_child(*at)) {
			enter(*child);
			at = child;
			continue;
		}
		Object *up = nullptr;
		if (at != &object) {
			SpinGuard guard(core.lock);

			up = at->parent; // which this thread is ending, too
		}
		end_one(*at);
		if (!up)
			return;
		at = up;
	}
}

Doomed::~Doomed()
{
	while (Object *object = objects_.front()) {
		{
			SpinGuard guard(core.lock);

			object->sibling.unlink();
		}
		object->put(); // what creation has made
	}
}

bool Object::remove()
{
	bool atomic = at_dispatch();
	bool later;
	{
		SpinGuard guard(core.lock);

		if (deleting)
			return false;
		later = ends_later_locked(*this, atomic);
		deleting = true;
	}
	if (later) {
		end_later();
		return true;
	}
	Doomed doomed;

	doomed.dispose_of(*this);
	return true;
}

void Object::end_later()
{
	condemn();
	late_.queue(core.driver_work);
}

void Object::await_children()
{
	auto over = [this] {
		SpinGuard guard(core.lock);

		for (Object *child = children.front(); child; child = children.next(*child)) {
			if (child->deleting)
				return false;
		}
		return true;
	};

	if (!over())
		core.gone.wait(over);
}

void Object::late_function(void *pointer)
{
	Object *object = static_cast<Object *>(pointer);

	// Until it has had its end it has creation's reference.
	if (!object->get_unless_zero())
		return object->destroy();
	Ref<Object> self = Ref<Object>::adopt(object);
	Doomed doomed;

	doomed.dispose_of(*self);
}

void Object::last_put(kref *refs)
{
	Object *object = kextbridge::container_of<&Object::refs_>(refs);

	if (object->passive_release && at_dispatch())
		object->late_.queue(core.driver_work);
	else
		object->destroy();
}

// EvtDestroy may still ask for the object's contexts: it lives once more, and goes with the next last reference.
void Object::destroy()
{
	Context *next;

	if (!destroyed_) {
		destroyed_ = true;
		shim_kref_init(&refs_);
		for (Context *c = contexts; c; c = c->next) {
			if (c->destroy) {
				CallbackGuard check("EvtDestroyCallback", this);

				c->destroy(handle());
			}
		}
		return put();
	}
	Driver *of = driver;
	bool counted = handle_;

	if (counted)
		shim_xa_erase_bh(&core.handles, handle_ & kSlots);
	release_parts();
	for (Context *c = contexts; c; c = next) {
		next = c->next;
		if (c->apart)
			shim_kfree(c);
	}
	shim_kvfree_rcu(this);
	if (of && counted)
		of->object_gone();
}

Driver *driver_of(Object &object)
{
	return object.type == Type::Driver ? static_cast<Driver *>(&object) : object.driver;
}

// driver.mk builds drivers without sibling calls: whoever calls us is in the driver's text.
static Ref<Object> driver_at(const void *caller)
{
	unsigned long address = reinterpret_cast<unsigned long>(caller);
	SpinGuard guard(core.lock);

	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
		if (address - driver->text < driver->text_size)
			return Ref<Object>::retain(driver);
	}
	return Ref<Object>();
}

Ref<Object> find_parent(const WDF_OBJECT_ATTRIBUTES *attributes, const char *call, const void *caller, NTSTATUS *status)
{
	*status = check_attributes(attributes);
	if (!NT_SUCCESS(*status))
		return Ref<Object>();
	const void *handle = attributes ? attributes->ParentObject : nullptr;
	Ref<Object> parent = handle ? find_object(handle) : driver_at(caller);

	if (!parent) {
		if (handle)
			report_handle(handle, call, caller);
		else
			report(Rule::DriverCreate, nullptr, "%s before WdfDriverCreate, at %pS", call, caller);
		*status = handle ? STATUS_INVALID_PARAMETER : STATUS_INVALID_DEVICE_STATE;
	}
	return parent;
}

NTSTATUS hand_out_object(Object *made, Object &parent, void **handle)
{
	if (!made)
		return STATUS_INSUFFICIENT_RESOURCES;
	if (!made->attach(parent)) {
		made->discard();
		return STATUS_DELETE_PENDING;
	}
	if (handle)
		*handle = made->handle();
	return STATUS_SUCCESS;
}

} // namespace kmdf

using namespace kmdf;

extern "C" PVOID WdfObjectGetTypedContextWorker(WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO TypeInfo)
{
	Ref<Object> object = find_object(Handle);

	if (!object) {
		report_handle(Handle, "WdfObjectGetTypedContext", __builtin_return_address(0));
		return nullptr;
	}
	Context *context = find_context(*object, unique_type(TypeInfo));

	if (!context) {
		report(Rule::ObjectMisuse, object.get(), "has no context of type %s", TypeInfo->ContextName);
		return nullptr;
	}
	return context->data();
}

extern "C" NTSTATUS WdfObjectAllocateContext(WDFOBJECT Handle, PWDF_OBJECT_ATTRIBUTES ContextAttributes, PVOID *Context)
{
	Ref<Object> object = find_object(Handle);

	if (!object) {
		report_handle(Handle, "WdfObjectAllocateContext", __builtin_return_address(0));
		return STATUS_INVALID_PARAMETER;
	}
	NTSTATUS status = check_attributes(ContextAttributes);

	if (!NT_SUCCESS(status))
		return status;
	if (!ContextAttributes || !ContextAttributes->ContextTypeInfo)
		return STATUS_WDF_OBJECT_ATTRIBUTES_INVALID;
	void *room = shim_kzalloc(context_room(ContextAttributes), gfp_here());

	if (!room)
		return STATUS_INSUFFICIENT_RESOURCES;
	kmdf::Context *made = make_context(*object, room, *ContextAttributes);

	made->apart = true;
	{
		SpinGuard guard(core.lock);
		kmdf::Context *there = find_context(*object, made->type);

		if (object->deleting) {
			status = STATUS_DELETE_PENDING;
		} else if (there) {
			status = STATUS_OBJECT_NAME_EXISTS;
			if (Context)
				*Context = there->data();
		} else {
			made->next = object->contexts;
			__atomic_store_n(&object->contexts, made, __ATOMIC_RELEASE);
			if (Context)
				*Context = made->data();
			return STATUS_SUCCESS;
		}
	}
	shim_kfree(room);
	return status;
}

extern "C" WDFOBJECT WdfObjectContextGetObject(PVOID ContextPointer)
{
	// SAFETY: the driver says that it is one.
	return ContextPointer ? (static_cast<kmdf::Context *>(ContextPointer) - 1)->owner->handle() : nullptr;
}

extern "C" VOID WdfObjectReferenceActual(WDFOBJECT Handle, PVOID, LONG, PCCH)
{
	Ref<Object> object = find_object(Handle);

	if (!object)
		return report_handle(Handle, "WdfObjectReference", __builtin_return_address(0));
	{
		SpinGuard guard(core.lock);

		object->driver_refs++;
	}
	object.release(); // OWNERSHIP: the driver's, until WdfObjectDereference()
}

extern "C" VOID WdfObjectDereferenceActual(WDFOBJECT Handle, PVOID, LONG, PCCH)
{
	Ref<Object> object = find_object(Handle);
	bool had;

	if (!object)
		return report_handle(Handle, "WdfObjectDereference", __builtin_return_address(0));
	{
		SpinGuard guard(core.lock);

		had = object->driver_refs > 0;
		object->driver_refs -= had;
	}
	if (!had)
		return report(Rule::ObjectMisuse, object.get(), "dereferenced more often than referenced");
	object->put();
}

extern "C" NTSTATUS WdfObjectCreate(PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Object)
{
	NTSTATUS status;
	Ref<kmdf::Object> parent = find_parent(Attributes, "WdfObjectCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	return hand_out(make<General>(Attributes, gfp_here(), driver_of(*parent)), *parent, Object);
}

extern "C" VOID WdfObjectDelete(WDFOBJECT Handle)
{
	Ref<Object> object = find_object(Handle);

	if (!object)
		return report_handle(Handle, "WdfObjectDelete", __builtin_return_address(0));
	if (!object->deletable)
		return report(Rule::ObjectMisuse, object.get(), "is not the driver's to delete");
	if (!object->remove())
		report(Rule::ObjectMisuse, object.get(), "deleted twice");
}

extern "C" NTSTATUS WdfObjectQuery(WDFOBJECT, const GUID *, ULONG, PVOID)
{
	return STATUS_NOT_SUPPORTED; // there are no private interfaces to ask for
}
