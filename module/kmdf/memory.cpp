// SPDX-License-Identifier: GPL-2.0-only
// Memory objects, strings and collections. Contracts: wdfmemory.h, wdfstring.h, wdfcollection.h.
#include "memory.hpp"

#include "core.hpp"
#include "unicode.hpp"
#include "shim/enforce.h"

namespace kmdf {

void Memory::release_parts()
{
	if (backing == Backing::Own)
		shim_kvfree_rcu(buffer);
	request = Ref<Request>();
}

// kvfree_rcu() takes two words of it.
static void *allocate_pool(size_t size)
{
	return shim_kzalloc(size < 16 ? 16 : size, gfp_here());
}

static bool fits(size_t offset, size_t bytes, size_t size)
{
	return offset <= size && bytes <= size - offset;
}

class String final : public Object {
      public:
	static constexpr Type kType = Type::String;

	explicit String(Driver *driver) : Object(Type::String, driver) {}
	void release_parts() override { shim_kfree(text.Buffer); }
	NTSTATUS set(const UNICODE_STRING &from)
	{
		WCHAR *copy = static_cast<WCHAR *>(shim_kzalloc(from.Length + sizeof(WCHAR), gfp_here()));

		if (!copy)
			return STATUS_INSUFFICIENT_RESOURCES;
		if (from.Length)
			__builtin_memcpy(copy, from.Buffer, from.Length);
		shim_kfree(text.Buffer);
		text.Buffer = copy;
		text.Length = from.Length;
		text.MaximumLength = static_cast<USHORT>(from.Length + sizeof(WCHAR));
		return STATUS_SUCCESS;
	}

	UNICODE_STRING text = {};
};

struct Item {
	ListNode node;
	Ref<Object> object;
};

class Collection final : public Object {
      public:
	static constexpr Type kType = Type::Collection;

	explicit Collection(Driver *driver) : Object(Type::Collection, driver) { items.init(); }
	void release_parts() override KEXTBRIDGE_UNCHECKED // nobody else can see it any more
	{
		while (Item *item = items.front()) {
			item->node.unlink();
			item->object = Ref<Object>();
			shim_kfree(item);
		}
	}

	List<Item, &Item::node> items KEXTBRIDGE_GUARDED_BY(core_lock());
	u32 count KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;

	// Null: fewer.
	Item *at_locked(u32 index) KEXTBRIDGE_REQUIRES(core_lock())
	{
		Item *item = items.front();

		while (item && index--)
			item = items.next(*item);
		return item;
	}
	void remove_item(u32 index, const Object *object);
};

// By index, or by what it is. Reported when it is not there.
void Collection::remove_item(u32 index, const Object *object)
{
	Item *item;
	{
		SpinGuard guard(core.lock);

		item = object ? items.front() : at_locked(index);
		while (object && item && item->object.get() != object)
			item = items.next(*item);
		if (item) {
			item->node.unlink();
			count--;
		}
	}
	if (!item)
		return report(Rule::ObjectMisuse, this, "has no such item to remove");
	item->object = Ref<Object>();
	shim_kfree(item);
}

static WDFOBJECT item_handle(WDFCOLLECTION handle, u32 index, bool last, const char *call, const void *caller)
{
	Ref<Collection> collection = find<Collection>(handle, call, caller);

	if (!collection)
		return nullptr;
	SpinGuard guard(core.lock);
	Item *item = last ? collection->items.back() : collection->at_locked(index);

	return item ? item->object->handle() : nullptr;
}

} // namespace kmdf

using namespace kmdf;

// ---- WdfMemory...

extern "C" NTSTATUS WdfMemoryCreate(PWDF_OBJECT_ATTRIBUTES Attributes, POOL_TYPE, ULONG, size_t BufferSize,
				    WDFMEMORY *Memory, PVOID *Buffer)
{
	NTSTATUS status;
	Ref<Object> parent = find_parent(Attributes, "WdfMemoryCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	if (!BufferSize || !Memory)
		return STATUS_INVALID_PARAMETER;
	void *buffer = allocate_pool(BufferSize);

	if (!buffer)
		return STATUS_INSUFFICIENT_RESOURCES;
	Ref<kmdf::Memory> memory = make<kmdf::Memory>(Attributes, gfp_here(), driver_of(*parent));

	if (!memory) {
		shim_kfree(buffer);
		return STATUS_INSUFFICIENT_RESOURCES;
	}
	memory->buffer = buffer;
	memory->size = BufferSize;
	memory->backing = Backing::Own;
	status = hand_out(static_cast<Ref<kmdf::Memory> &&>(memory), *parent, Memory);
	if (NT_SUCCESS(status) && Buffer)
		*Buffer = buffer;
	return status;
}

extern "C" NTSTATUS WdfMemoryCreatePreallocated(PWDF_OBJECT_ATTRIBUTES Attributes, PVOID Buffer, size_t BufferSize,
						WDFMEMORY *Memory)
{
	NTSTATUS status;
	Ref<Object> parent =
		find_parent(Attributes, "WdfMemoryCreatePreallocated", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	if (!Buffer || !BufferSize || !Memory)
		return STATUS_INVALID_PARAMETER;
	Ref<kmdf::Memory> memory = make<kmdf::Memory>(Attributes, gfp_here(), driver_of(*parent));

	if (memory) {
		memory->buffer = Buffer;
		memory->size = BufferSize;
	}
	return hand_out(static_cast<Ref<kmdf::Memory> &&>(memory), *parent, Memory);
}

extern "C" NTSTATUS WdfMemoryAssignBuffer(WDFMEMORY Memory, PVOID Buffer, size_t BufferSize)
{
	Ref<kmdf::Memory> memory = find<kmdf::Memory>(Memory, "WdfMemoryAssignBuffer");

	if (!memory || !Buffer || !BufferSize || memory->backing != Backing::Driver)
		return STATUS_INVALID_PARAMETER;
	memory->buffer = Buffer;
	memory->size = BufferSize;
	return STATUS_SUCCESS;
}

extern "C" PVOID WdfMemoryGetBuffer(WDFMEMORY Memory, size_t *BufferSize)
{
	Ref<kmdf::Memory> memory = find<kmdf::Memory>(Memory, "WdfMemoryGetBuffer");

	if (BufferSize)
		*BufferSize = memory ? memory->size : 0;
	return memory ? memory->buffer : nullptr;
}

extern "C" NTSTATUS WdfMemoryCopyToBuffer(WDFMEMORY SourceMemory, size_t SourceOffset, PVOID Buffer,
					  size_t NumBytesToCopyTo)
{
	Ref<kmdf::Memory> memory = find<kmdf::Memory>(SourceMemory, "WdfMemoryCopyToBuffer");

	if (!memory || !Buffer || !NumBytesToCopyTo)
		return STATUS_INVALID_PARAMETER;
	if (!fits(SourceOffset, NumBytesToCopyTo, memory->size))
		return STATUS_BUFFER_TOO_SMALL;
	__builtin_memcpy(Buffer, static_cast<u8 *>(memory->buffer) + SourceOffset, NumBytesToCopyTo);
	return STATUS_SUCCESS;
}

extern "C" NTSTATUS WdfMemoryCopyFromBuffer(WDFMEMORY DestinationMemory, size_t DestinationOffset, PVOID Buffer,
					    size_t NumBytesToCopyFrom)
{
	Ref<kmdf::Memory> memory = find<kmdf::Memory>(DestinationMemory, "WdfMemoryCopyFromBuffer");

	if (!memory || !Buffer || !NumBytesToCopyFrom)
		return STATUS_INVALID_PARAMETER;
	if (!memory->writable)
		return STATUS_ACCESS_VIOLATION;
	if (!fits(DestinationOffset, NumBytesToCopyFrom, memory->size))
		return STATUS_INVALID_BUFFER_SIZE;
	__builtin_memcpy(static_cast<u8 *>(memory->buffer) + DestinationOffset, Buffer, NumBytesToCopyFrom);
	return STATUS_SUCCESS;
}

// ---- WdfString..., WdfCollection...

extern "C" NTSTATUS WdfStringCreate(PCUNICODE_STRING UnicodeString, PWDF_OBJECT_ATTRIBUTES StringAttributes,
				    WDFSTRING *String)
{
	NTSTATUS status;
	Ref<Object> parent = find_parent(StringAttributes, "WdfStringCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	Ref<kmdf::String> string = make<kmdf::String>(StringAttributes, gfp_here(), driver_of(*parent));

	if (string && UnicodeString) {
		status = string->set(*UnicodeString);
		if (!NT_SUCCESS(status)) {
			string.release()->discard();
			return status;
		}
	}
	return hand_out(static_cast<Ref<kmdf::String> &&>(string), *parent, String);
}

extern "C" VOID WdfStringGetUnicodeString(WDFSTRING String, PUNICODE_STRING UnicodeString)
{
	Ref<kmdf::String> string = find<kmdf::String>(String, "WdfStringGetUnicodeString");

	if (string && UnicodeString)
		*UnicodeString = string->text;
}

extern "C" NTSTATUS WdfDriverRetrieveVersionString(WDFDRIVER Driver, WDFSTRING String)
{
	Ref<kmdf::String> string = find<kmdf::String>(String, "WdfDriverRetrieveVersionString");
	WCHAR text[64];
	UNICODE_STRING version;

	if (!string || !find<kmdf::Driver>(Driver, "WdfDriverRetrieveVersionString"))
		return STATUS_INVALID_PARAMETER;
	widen(text, sizeof(text) / sizeof(text[0]), "kextbridge kmdf ", "1.33", version);
	return string->set(version);
}

extern "C" NTSTATUS WdfCollectionCreate(PWDF_OBJECT_ATTRIBUTES CollectionAttributes, WDFCOLLECTION *Collection)
{
	NTSTATUS status;
	Ref<Object> parent =
		find_parent(CollectionAttributes, "WdfCollectionCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	return hand_out(make<kmdf::Collection>(CollectionAttributes, gfp_here(), driver_of(*parent)), *parent,
			Collection);
}

extern "C" ULONG WdfCollectionGetCount(WDFCOLLECTION Collection)
{
	Ref<kmdf::Collection> collection = find<kmdf::Collection>(Collection, "WdfCollectionGetCount");

	if (!collection)
		return 0;
	SpinGuard guard(core.lock);

	return collection->count;
}

extern "C" NTSTATUS WdfCollectionAdd(WDFCOLLECTION Collection, WDFOBJECT Object)
{
	Ref<kmdf::Collection> collection = find<kmdf::Collection>(Collection, "WdfCollectionAdd");
	Ref<kmdf::Object> object = find_object(Object);

	if (!collection || !object)
		return STATUS_INVALID_PARAMETER;
	Item *item = static_cast<Item *>(shim_kzalloc(sizeof(*item), gfp_here()));

	if (!item)
		return STATUS_INSUFFICIENT_RESOURCES;
	new (Placement{item}) Item;
	item->object = static_cast<Ref<kmdf::Object> &&>(object);
	SpinGuard guard(core.lock);

	collection->items.push_back(*item);
	collection->count++;
	return STATUS_SUCCESS;
}

extern "C" VOID WdfCollectionRemove(WDFCOLLECTION Collection, WDFOBJECT Item)
{
	Ref<kmdf::Collection> collection = find<kmdf::Collection>(Collection, "WdfCollectionRemove");
	Ref<Object> object = find_object(Item);

	if (collection && object)
		collection->remove_item(0, object.get());
}

extern "C" VOID WdfCollectionRemoveItem(WDFCOLLECTION Collection, ULONG Index)
{
	if (Ref<kmdf::Collection> collection = find<kmdf::Collection>(Collection, "WdfCollectionRemoveItem"))
		collection->remove_item(Index, nullptr);
}

extern "C" WDFOBJECT WdfCollectionGetItem(WDFCOLLECTION Collection, ULONG Index)
{
	return item_handle(Collection, Index, false, "WdfCollectionGetItem", __builtin_return_address(0));
}

extern "C" WDFOBJECT WdfCollectionGetFirstItem(WDFCOLLECTION Collection)
{
	return item_handle(Collection, 0, false, "WdfCollectionGetFirstItem", __builtin_return_address(0));
}

extern "C" WDFOBJECT WdfCollectionGetLastItem(WDFCOLLECTION Collection)
{
	return item_handle(Collection, 0, true, "WdfCollectionGetLastItem", __builtin_return_address(0));
}
