// SPDX-License-Identifier: GPL-2.0-only
/* The same structures from a 32-bit program (compat32.c). */
#include "kselftest_harness.h"

#include "lib/fixture.h"

TEST_F(bare, T_090_32_bit_program_asks_and_serves)
{
	char path[4200];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/compat32", kb_program_dir());
	pid = fork();
	if (!pid) {
		execl(path, path, NULL);
		_exit(errno == ENOEXEC ? 100 : 101);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		SKIP(return, "this kernel runs no 32-bit programs");
	EXPECT_EQ(0, WEXITSTATUS(status)) TH_LOG("the step that failed, see compat32.c");
}

TEST_HARNESS_MAIN
