/* SPDX-License-Identifier: GPL-2.0-only */
/* A node of kextbridge.ko that is made up: the calls on a descriptor are answered by the test. */
#pragma once

class FakeNode {
      public:
	virtual ~FakeNode() = default;
	/* 0 or a negative errno. On any thread. */
	virtual int call(unsigned long request, void *argument) = 0;
};

/* From now on `node` answers the calls on `fd`, which is open on something; NULL: the kernel does again. */
void answer_calls(int fd, FakeNode *node);
