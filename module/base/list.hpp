// SPDX-License-Identifier: GPL-2.0-only
// Intrusive doubly linked list: insertion cannot fail, an element leaves in O(1) without naming its list.
// CONTEXT: any; the caller's lock protects it.
// Example: List<Request, &Request::queue_node> pending; pending.push_back(request);
#pragma once

#include "shim/types.h"

namespace kextbridge {

template <auto Member> struct MemberOf;
template <typename T, typename M, M T::*Member> struct MemberOf<Member> {
	using Type = T;
	using Field = M;
};

// The object that this is the Member of.
// SAFETY: the caller knows that it is one. (offsetof is not for types with private members or bases.)
template <auto Member> typename MemberOf<Member>::Type *container_of(typename MemberOf<Member>::Field *field)
{
	using T = typename MemberOf<Member>::Type;
	constexpr size_t probe = 4096;
	size_t offset = reinterpret_cast<size_t>(&(reinterpret_cast<T *>(probe)->*Member)) - probe;

	return reinterpret_cast<T *>(reinterpret_cast<unsigned char *>(field) - offset);
}

struct ListNode {
	ListNode *next = nullptr;
	ListNode *prev = nullptr;

	bool linked() const { return next != nullptr; }

	void unlink()
	{
		if (!linked())
			return;
		prev->next = next;
		next->prev = prev;
		next = prev = nullptr;
	}
};

template <typename T, ListNode T::*Member> class List final {
	ListNode head_;

	static T *owner(ListNode *node) { return container_of<Member>(node); }

	static void insert(ListNode *node, ListNode *after)
	{
		node->prev = after;
		node->next = after->next;
		after->next->prev = node;
		after->next = node;
	}

      public:
	void init() { head_.next = head_.prev = &head_; }
	bool empty() const { return head_.next == &head_; }
	T *front() { return empty() ? nullptr : owner(head_.next); }
	T *back() { return empty() ? nullptr : owner(head_.prev); }
	T *next(T &item)
	{
		ListNode *node = (item.*Member).next;

		return node == &head_ ? nullptr : owner(node);
	}
	T *previous(T &item)
	{
		ListNode *node = (item.*Member).prev;

		return node == &head_ ? nullptr : owner(node);
	}
	void insert_after(T &item, T &after) { insert(&(item.*Member), &(after.*Member)); }
	void push_back(T &item) { insert(&(item.*Member), head_.prev); }
	void push_front(T &item) { insert(&(item.*Member), &head_); }
};

} // namespace kextbridge
