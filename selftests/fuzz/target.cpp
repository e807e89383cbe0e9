// SPDX-License-Identifier: GPL-2.0-only
// libFuzzer's two entry points. TARGET --seeds DIR writes the seeds and runs nothing.
#include "target.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fuzz {

void wrong(const char *format, ...)
{
	va_list arguments;

	fputs("fuzz: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

static void write_seeds(const std::string &folder)
{
	unsigned int number = 0;

	for (const std::string &seed : seeds()) {
		char name[32];

		snprintf(name, sizeof(name), "/seed-%03u", number++);
		FILE *file = fopen((folder + name).c_str(), "wb");

		if (!file || fwrite(seed.data(), 1, seed.size(), file) != seed.size() || fclose(file)) {
			perror((folder + name).c_str());
			exit(1);
		}
	}
}

} // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	if (*count == 3 && !strcmp((*arguments)[1], "--seeds")) {
		fuzz::write_seeds((*arguments)[2]);
		exit(0);
	}
	return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz::run(data, size);
	return 0;
}
