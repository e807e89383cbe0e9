// SPDX-License-Identifier: GPL-2.0-only
/* Page ranges: kext_alloc(), kext_free(). That each of their allocations can fail is in sweeps/driver.h. */
#include "kselftest_harness.h"

#include <stdio.h>

#include <mach/kern_return.h>

#include "lib/fixture.h"

#define PAGE 4096ull
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aull

/* What /proc/vmallocinfo has of kextbridge's. (Beyond 2 MiB the kernel's own list of pages would be one more.) */
struct areas {
	unsigned int count;
	unsigned long pages;
};

static struct areas areas_now(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	struct areas areas = {};
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		const char *pages = strstr(line, " pages=");

		if (!pages || !strstr(line, "[kextbridge]"))
			continue;
		areas.count++;
		areas.pages += strtoul(pages + 7, NULL, 10);
	}
	if (file)
		fclose(file);
	return areas;
}

static int allocate(struct kb *kb, struct kbtest_memory *memory, uint64_t size)
{
	*memory = (struct kbtest_memory){
		.op = KBTEST_ALLOC, .addr = UNTOUCHED, .size = size, .flags = KBTEST_TOUCH, .result = -1};
	return kb_memory(kb, memory);
}

static int give_back(struct kb *kb, uint64_t addr, uint64_t size)
{
	struct kbtest_memory memory = {.op = KBTEST_FREE, .addr = addr, .size = size};

	return kb_memory(kb, &memory);
}

static int at(struct kb *kb, uint64_t *addr, uint64_t size, uint32_t fixed)
{
	struct kbtest_memory memory = {.op = KBTEST_ALLOC, .addr = *addr, .size = size, .fixed = fixed};
	int result = kb_memory(kb, &memory);

	*addr = memory.addr;
	return result;
}

TEST_F(bare, T_171_kext_alloc_gives_zeroed_pages)
{
	static const uint64_t sizes[] = {1, PAGE - 1, PAGE, PAGE + 1, 17 * PAGE, 1000000, 2u << 20};
	struct areas before = areas_now(), now;
	struct kbtest_memory memory[ARRAY_SIZE(sizes)];
	unsigned long pages = 0;

	/* The second time they are where the first ones were, and have been written to. */
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &memory[i], sizes[i]));
			EXPECT_EQ(0, memory[i].addr % PAGE);
			EXPECT_EQ(KBTEST_MEMORY_ZEROED, memory[i].found) TH_LOG("%llu bytes", memory[i].size);
			for (unsigned int j = 0; j < i; j++)
				EXPECT_TRUE(memory[j].addr + sizes[j] <= memory[i].addr ||
					    memory[i].addr + sizes[i] <= memory[j].addr);
			pages += (sizes[i] + PAGE - 1) / PAGE;
		}
		now = areas_now();
		EXPECT_EQ(before.count + ARRAY_SIZE(sizes), now.count);
		EXPECT_EQ(before.pages + pages, now.pages);
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
			EXPECT_EQ(0, give_back(&self->kb, memory[i].addr,
					       round ? (sizes[i] + PAGE - 1) / PAGE * PAGE : sizes[i]));
		now = areas_now();
		EXPECT_EQ(before.count, now.count);
		pages = 0;
	}
}

TEST_F(bare, T_171_nothing_is_no_range)
{
	struct areas before = areas_now();

	for (uint32_t fixed = 0; fixed < 2; fixed++) {
		uint64_t addr = UNTOUCHED;

		EXPECT_EQ(KERN_SUCCESS, at(&self->kb, &addr, 0, fixed));
		EXPECT_EQ(0, addr);
	}
	EXPECT_EQ(0, give_back(&self->kb, 0, 0));
	EXPECT_EQ(before.count, areas_now().count);
}

TEST_F(bare, T_171_kext_free_takes_only_what_was_given)
{
	struct kbtest_memory range, other;
	struct areas before = areas_now();

	ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &range, 3 * PAGE));
	ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &other, PAGE));
	const uint64_t wrong[][2] = {
		{range.addr, 2 * PAGE},
		{range.addr + PAGE, 2 * PAGE},
		{range.addr, 3 * PAGE + 1},
		{range.addr, 0},
		{range.addr, UINT64_MAX},
		{range.addr + 1, 3 * PAGE},
		{other.addr, 3 * PAGE},
		{0, PAGE},
		{1, 1},
		{UINT64_MAX, 1},
		{(uint64_t)&range, sizeof(range)},
		{0xffffffff81000000, PAGE},
		{0xfffffffffffff000, PAGE},
		{0x8000000000000000, PAGE},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(0, give_back(&self->kb, wrong[i][0], wrong[i][1]));
		EXPECT_EQ(before.count + 2, areas_now().count) TH_LOG("wrong[%u]", i);
	}
	EXPECT_EQ(0, give_back(&self->kb, range.addr, 3 * PAGE));
	EXPECT_EQ(before.count + 1, areas_now().count);
	EXPECT_EQ(0, give_back(&self->kb, range.addr, 3 * PAGE));
	EXPECT_EQ(0, give_back(&self->kb, other.addr, PAGE));
	EXPECT_EQ(0, give_back(&self->kb, other.addr, PAGE));
	EXPECT_EQ(before.count, areas_now().count);
}

/* Whether a line with this text has come since the descriptor was opened and read to its end. */
static bool logged(int kmsg, const char *text)
{
	char line[8192];
	bool found = false;
	ssize_t length;

	while ((length = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[length < 0 ? 0 : length] = 0;
		found = found || strstr(line, text);
	}
	return found;
}

TEST_F(bare, T_171_what_nobody_frees_goes_with_the_module)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct kbtest_memory memory;

	ASSERT_LE(0, kmsg);
	ASSERT_LE(0, lseek(kmsg, 0, SEEK_END));
	ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &memory, 1));
	ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &memory, 5 * PAGE));
	close(self->kb.bench);
	self->kb.bench = -1;
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_unload_served(&self->kb, "kbtest"));
	kb_daemon_leave(&self->kb);
	close(self->kb.control);
	self->kb.control = -1;
	EXPECT_FALSE(logged(kmsg, "ranges of kext_alloc"));
	ASSERT_EQ(0, kb_rmmod("kextbridge"));
	EXPECT_TRUE(logged(kmsg, "2 ranges of kext_alloc, 6 pages, were never freed"));
	close(kmsg);
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	EXPECT_EQ(0, areas_now().count);
}

TEST_F(bare, T_172_failure_leaves_the_address_alone)
{
	/* Rounded up these are nothing; then those that are sizes, but not of this machine. */
	static const struct {
		uint64_t size;
		int result;
	} sizes[] = {
		{UINT64_MAX, KERN_NO_SPACE},
		{UINT64_MAX - PAGE + 2, KERN_NO_SPACE},
		{UINT64_MAX - PAGE + 1, KERN_RESOURCE_SHORTAGE},
		{1ull << 63, KERN_RESOURCE_SHORTAGE},
		{1ull << 47, KERN_RESOURCE_SHORTAGE},
		{1ull << 40, KERN_RESOURCE_SHORTAGE},
	};
	struct kbtest_memory null = {.op = KBTEST_ALLOC_NULL, .size = PAGE};
	struct areas before = areas_now();

	EXPECT_EQ(KERN_INVALID_ARGUMENT, kb_memory(&self->kb, &null));
	null.size = 0;
	EXPECT_EQ(KERN_INVALID_ARGUMENT, kb_memory(&self->kb, &null));
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t addr = UNTOUCHED;

		EXPECT_EQ(sizes[i].result, at(&self->kb, &addr, sizes[i].size, 0)) TH_LOG("sizes[%u]", i);
		EXPECT_EQ(UNTOUCHED, addr);
	}
	EXPECT_EQ(before.count, areas_now().count);
}

TEST_F(bare, T_173_fixed_at_an_address_that_is_taken)
{
	struct kbtest_memory memory;
	uint64_t addr;

	ASSERT_EQ(KERN_SUCCESS, allocate(&self->kb, &memory, 2 * PAGE));
	const struct {
		uint64_t addr;
		int result;
	} wanted[] = {
		{memory.addr, KERN_NO_SPACE},
		{memory.addr + PAGE, KERN_NO_SPACE},
		{memory.addr + (PAGE << 20), KERN_NO_SPACE}, /* perhaps nobody's: it was not reserved */
		{memory.addr + 1, KERN_INVALID_ADDRESS},
		{memory.addr + PAGE - 1, KERN_INVALID_ADDRESS},
		{0, KERN_INVALID_ADDRESS},
		{0x400000, KERN_INVALID_ADDRESS},
		{0x7ffffffff000, KERN_INVALID_ADDRESS},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++) {
		addr = wanted[i].addr;
		EXPECT_EQ(wanted[i].result, at(&self->kb, &addr, PAGE, 1 + i)) TH_LOG("wanted[%u]", i);
		EXPECT_EQ(wanted[i].addr, addr);
	}
	addr = memory.addr;
	EXPECT_EQ(KERN_NO_SPACE, at(&self->kb, &addr, UINT64_MAX, 1));
	EXPECT_EQ(0, give_back(&self->kb, memory.addr, 2 * PAGE));
	/* Nor is it reserved for who had it. */
	EXPECT_EQ(KERN_NO_SPACE, at(&self->kb, &addr, PAGE, 1));
}

TEST_HARNESS_MAIN
