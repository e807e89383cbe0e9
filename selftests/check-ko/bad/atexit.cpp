// SPDX-License-Identifier: GPL-2.0-only
// A function-local static with a destructor.
// rows: 5
// says: undefined symbol __dso_handle
// flags: -fno-threadsafe-statics
struct Log {
	~Log() { asm volatile("" : : : "memory"); }
	int lines;
};

int *log_lines()
{
	static Log log;

	return &log.lines;
}
