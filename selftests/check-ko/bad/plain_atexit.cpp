// SPDX-License-Identifier: GPL-2.0-only
// The same without __cxa_atexit.
// rows: 5
// says: undefined symbol atexit
// flags: -fno-threadsafe-statics -fno-use-cxa-atexit
struct Log {
	~Log() { asm volatile("" : : : "memory"); }
	int lines;
};

int *log_lines()
{
	static Log log;

	return &log.lines;
}
