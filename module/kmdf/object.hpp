// SPDX-License-Identifier: GPL-2.0-only
// What all handles stand for: kref, parent, typed contexts, cleanup and destroy callbacks.
//
// A handle is no address: a slot of the table, a generation that does not come back, and a mark that makes it fault when
// it is followed. What is stale, foreign or of another type is found at look-up.
//
// Deletion has two passes over the tree below the object: dispose (each object's own end, then its EvtCleanup; children
// first), then the references that creation has made are dropped, and EvtDestroy follows the last one. A parent keeps its
// children until each has had its EvtCleanup, and waits for those that somebody else deletes.
#pragma once

#include "common.hpp"

namespace kmdf {

enum class Type : u8 {
	Driver,
	Device,
	Queue,
	Request,
	File,
	Timer,
	WorkItem,
	SpinLock,
	WaitLock,
	Memory,
	Target,
	String,
	Collection,
	General,
};

// Behind it the driver's own structure.
struct alignas(16) Context {
	Context *next;
	const WDF_OBJECT_CONTEXT_TYPE_INFO *type; // UniqueType: its address is its identity
	Object *owner;
	PFN_WDF_OBJECT_CONTEXT_CLEANUP cleanup;
	PFN_WDF_OBJECT_CONTEXT_DESTROY destroy;
	bool apart; // an allocation of its own

	void *data() { return this + 1; }
};

class Object {
	// Readers of the table look at it while kvfree_rcu() has taken the first bytes for itself.
	[[maybe_unused]] void *spare_ = nullptr;
	u64 handle_ = 0;
	kref refs_;
	bool destroyed_ = false; // EvtDestroy has been called
	Work late_;              // what could not be done where it was due: its end, or its destruction

	static void last_put(kref *refs);
	static void late_function(void *object) KEXTBRIDGE_EXCLUDES(core_lock());
	void destroy();
	friend class Doomed;

      protected:
	Object(Type type, Driver *driver);
	~Object() = default;

      public:
	const Type type;
	bool deletable = true;        // by its driver
	bool passive_dispose = false; // dispose() may sleep
	bool passive_release = false; // release_parts() may sleep
	bool deleting KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	task_struct *ender KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr; // who is in its end; null: nobody yet
	u32 driver_refs KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;          // by WdfObjectReference()
	Driver *const driver; // SAFETY: outlives all of its objects; null: it is the driver

	// Which waits for its EvtCleanup before it has its own. A request's device counts it, and has it not among its children.
	Object *parent KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	ListNode sibling KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Object, &Object::sibling> children KEXTBRIDGE_GUARDED_BY(core_lock());

	Context *contexts = nullptr; // grows under the lock, never shrinks

	Object(const Object &) = delete;
	Object &operator=(const Object &) = delete;

	void get() { shim_kref_get(&refs_); }
	bool get_unless_zero() { return shim_kref_get_unless_zero(&refs_); }
	// CONTEXT: the last one calls EvtDestroy: not under core.lock.
	void put() KEXTBRIDGE_EXCLUDES(core_lock()) { shim_kref_put(&refs_, last_put); }

	// An object that was never handed out goes without callbacks.
	void discard()
	{
		destroyed_ = true;
		put();
	}

	// A request that has not been submitted goes without callbacks, too.
	void not_yet() { destroyed_ = true; }
	void from_now_on() { destroyed_ = false; }

	u64 handle_value() const { return handle_; }
	void *handle() const { return reinterpret_cast<void *>(handle_); }

	// Into the table. 0 or -ENOMEM.
	int publish();

	// Its own end, when it is deleted: before its EvtCleanup, after its children's.
	virtual void dispose() KEXTBRIDGE_EXCLUDES(core_lock()) {}
	// dispose() comes later: from now on nothing of it begins. CONTEXT: any.
	virtual void condemn() KEXTBRIDGE_EXCLUDES(core_lock()) {}
	// This thread is in its callback, for which dispose() waits.
	virtual bool runs_here() const KEXTBRIDGE_REQUIRES(core_lock()) { return false; }
	// What it owns, after its EvtDestroy.
	virtual void release_parts() {}

	// Adopts the object: from now on it is deleted with the parent. False: one of them is being deleted.
	bool attach(Object &to) KEXTBRIDGE_EXCLUDES(core_lock());
	// Deletes it and what is below. False: somebody has begun already.
	// CONTEXT: any; a worker does what sleeps at DISPATCH_LEVEL, or would wait for this thread.
	bool remove() KEXTBRIDGE_EXCLUDES(core_lock());
	// The worker does it. OWNERSHIP: the caller has marked it as deleting; creation's reference is the worker's.
	void end_later() KEXTBRIDGE_EXCLUDES(core_lock());
	// Until no child of it is being deleted.
	// CONTEXT: sleeps if there is one.
	void await_children() KEXTBRIDGE_EXCLUDES(core_lock());
};

// A tree on its way out: dispose_of() an object that is marked as deleting; its end drops what creation had made.
class Doomed final {
	List<Object, &Object::sibling> objects_; // in the order of their EvtCleanup

      public:
	Doomed() { objects_.init(); }
	~Doomed() KEXTBRIDGE_EXCLUDES(core_lock());
	void dispose_of(Object &object) KEXTBRIDGE_EXCLUDES(core_lock());

      private:
	void end_one(Object &object) KEXTBRIDGE_EXCLUDES(core_lock());
	Doomed(const Doomed &) = delete;
	Doomed &operator=(const Doomed &) = delete;
};

// A virtual table's address and spare_ are what it takes.
static_assert(SHIM_RCU_HEAD_SIZE <= 2 * sizeof(void *));

// Success, or what WDF_OBJECT_ATTRIBUTES is refused with. Null is fine.
NTSTATUS check_attributes(const WDF_OBJECT_ATTRIBUTES *attributes);

// Makes the context in the room behind the object, or only notes the callbacks.
void init_context(Object &object, void *room, const WDF_OBJECT_ATTRIBUTES *attributes);

void *allocate_object(size_t size, const WDF_OBJECT_ATTRIBUTES *attributes, void **room, unsigned int gfp);

// The table of handles. T::kType says what is wanted.
Ref<Object> find_object(const void *handle);
void report_handle(const void *handle, const char *call, const void *caller);
const char *type_name(Type type);
Driver *driver_of(Object &object);

// SAFETY: Object is the first base of each.
template <typename T>
Ref<T> find(const void *handle, const char *call, const void *caller = __builtin_return_address(0))
{
	Ref<Object> object = find_object(handle);

	if (object && object->type == T::kType)
		return Ref<T>::adopt(static_cast<T *>(object.release()));
	report_handle(handle, call, caller);
	return Ref<T>();
}

// An object with its context, in the table; a child of nobody yet. Null: no memory.
template <typename T, typename... Arguments>
Ref<T> make(const WDF_OBJECT_ATTRIBUTES *attributes, unsigned int gfp, const Arguments &...arguments)
{
	void *room;
	void *memory = allocate_object(sizeof(T), attributes, &room, gfp);

	if (!memory)
		return Ref<T>();
	T *object = new (Placement{memory}) T(arguments...);

	init_context(*object, room, attributes);
	if (object->publish()) {
		object->discard();
		return Ref<T>();
	}
	return Ref<T>::adopt(object);
}

// What WdfObjectCreate() makes.
class General final : public Object {
      public:
	static constexpr Type kType = Type::General;

	explicit General(Driver *driver) : Object(Type::General, driver) {}
};

// The parent that the attributes name, or else the driver whose code `caller` is in. Null, with *status: there is none.
Ref<Object> find_parent(const WDF_OBJECT_ATTRIBUTES *attributes, const char *call, const void *caller,
			NTSTATUS *status);

// A new object becomes its parent's, and the driver gets its handle. Null: there was no memory for it.
NTSTATUS hand_out_object(Object *object, Object &parent, void **handle) KEXTBRIDGE_EXCLUDES(core_lock());
template <typename T> NTSTATUS hand_out(Ref<T> object, Object &parent, void *handle)
{
	// OWNERSHIP: creation's reference is the parent's from now on.
	return hand_out_object(object.release(), parent, static_cast<void **>(handle));
}

} // namespace kmdf
