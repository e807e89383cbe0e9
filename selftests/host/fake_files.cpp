// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's files, user memory and credentials.
#include "fake_inside.hpp"

#include <algorithm>
#include <map>
#include <shared_mutex>

// ---- cred

extern "C" bool shim_capable(int cap)
{
	bool has = cap == SHIM_CAP_SYS_ADMIN ? fake::current().sys_admin : fake::current().sys_module;

	fake::current().refused += !has;
	return has;
}

extern "C" bool shim_file_capable(const struct file *file, int)
{
	return file->opener_sys_module;
}

extern "C" u32 shim_current_uid(void)
{
	return fake::current().uid;
}
// ---- files

namespace {

struct Descriptors {
	std::mutex mutex;
	std::map<int, file *> files;
	int next = 3;
};

} // namespace

extern "C" struct file *shim_fget(int fd)
{
	Descriptors &table = fake::immortal<Descriptors>();
	std::lock_guard lock(table.mutex);
	auto found = table.files.find(fd);

	if (found == table.files.end())
		return nullptr;
	found->second->refs.fetch_add(1);
	fake::counters.file_refs.fetch_add(1);
	return found->second;
}

extern "C" void shim_fput(struct file *file)
{
	if (file->refs.fetch_sub(1) <= 1)
		fake::bug("fput without a reference");
	fake::counters.file_refs.fetch_sub(1);
}

extern "C" unsigned int shim_file_mode(const struct file *file)
{
	return file->mode;
}

extern "C" unsigned int shim_file_flags(const struct file *file)
{
	return file->flags;
}

extern "C" bool shim_file_is_regular(const struct file *file)
{
	return file->regular;
}

extern "C" s64 shim_i_size_read(const struct file *file)
{
	return static_cast<s64>(file->contents.size());
}

extern "C" s64 shim_kernel_read(struct file *file, void *to, size_t count, s64 *pos)
{
	fake::may_sleep("kernel_read");
	if (!(file->mode & SHIM_FMODE_READ))
		fake::bug("kernel_read of a file that is not open for reading");
	if (file->while_read) {
		auto run = std::move(file->while_read);

		file->while_read = nullptr;
		run(*file);
	}
	if (file->fail_read_at >= 0 && *pos >= file->fail_read_at)
		return -SHIM_EIO;
	s64 size = static_cast<s64>(file->contents.size());

	if (*pos >= size)
		return 0;
	// A short read now and then, as a file system may give.
	size_t given = std::min({count, static_cast<size_t>(size - *pos), size_t{4096}});

	memcpy(to, file->contents.data() + *pos, given);
	*pos += static_cast<s64>(given);
	return static_cast<s64>(given);
}

// ---- user memory

namespace {

struct BadRanges {
	std::atomic<bool> any{false}; // so that the usual copy takes no lock
	std::shared_mutex mutex;
	std::vector<std::pair<u64, u64>> ranges;
};

bool is_bad(u64 address, size_t size)
{
	fake::may_sleep("user memory access");
	fake::point(fake::Point::UserCopy, nullptr);
	if (!size)
		return false;
	if (fake::user_copy_fails() || !address || address + size < address || address + size > (1ull << 47))
		return true;
	BadRanges &bad = fake::immortal<BadRanges>();

	if (!bad.any.load(std::memory_order_relaxed))
		return false;
	std::shared_lock lock(bad.mutex);

	for (auto [start, end] : bad.ranges)
		if (address < end && start < address + size)
			return true;
	return false;
}

void *pointer(u64 address)
{
	return reinterpret_cast<void *>(address);
}

} // namespace

extern "C" int shim_copy_from_user(void *to, u64 from, size_t n)
{
	if (is_bad(from, n)) {
		memset(to, 0, n);
		return -SHIM_EFAULT;
	}
	if (n)
		memcpy(to, pointer(from), n);
	return 0;
}

extern "C" int shim_copy_to_user(u64 to, const void *from, size_t n)
{
	if (is_bad(to, n))
		return -SHIM_EFAULT;
	if (n)
		memcpy(pointer(to), from, n);
	return 0;
}

extern "C" int shim_copy_struct_from_user(void *dst, size_t ksize, u64 src, size_t usize)
{
	size_t size = std::min(ksize, usize);

	if (usize > ksize) {
		if (is_bad(src + size, usize - size))
			return -SHIM_EFAULT;
		for (size_t i = size; i < usize; i++)
			if (static_cast<const unsigned char *>(pointer(src))[i])
				return -SHIM_E2BIG;
	}
	memset(static_cast<char *>(dst) + size, 0, ksize - size);
	return shim_copy_from_user(dst, src, size);
}

namespace fake {

u64 user(const void *address)
{
	return reinterpret_cast<u64>(address);
}

void add_bad_range(const void *start, size_t size)
{
	BadRanges &bad = immortal<BadRanges>();
	std::unique_lock lock(bad.mutex);

	bad.ranges.emplace_back(user(start), user(start) + size);
	bad.any = true;
}

void clear_bad_ranges()
{
	BadRanges &bad = immortal<BadRanges>();
	std::unique_lock lock(bad.mutex);

	bad.ranges.clear();
	bad.any = false;
}

int install_fd(file &file)
{
	Descriptors &table = immortal<Descriptors>();
	std::lock_guard lock(table.mutex);

	file.refs.fetch_add(1);
	table.files[table.next] = &file;
	return table.next++;
}

void close_fd(int fd)
{
	Descriptors &table = immortal<Descriptors>();
	std::lock_guard lock(table.mutex);

	table.files.at(fd)->refs.fetch_sub(1);
	table.files.erase(fd);
}

} // namespace fake
