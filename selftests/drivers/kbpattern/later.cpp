// SPDX-License-Identifier: GPL-2.0-only
// Has itself unloaded: a retain and a release at once, and some time later it is gone. As a network extension does.
#include <libkern/OSKextLib.h>

#include "glue.h"

namespace {

bool run(kbpattern_call *call)
{
	if (!kbpattern_is(call, "leave"))
		return false;
	call->result = OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag());
	if (call->result == kOSReturnSuccess)
		call->result = OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag());
	return true;
}

kern_return_t start(kmod_info_t *, void *)
{
	return kbpattern_glue_open(run) ? KERN_SUCCESS : KERN_FAILURE;
}

kern_return_t stop(kmod_info_t *, void *)
{
	kbpattern_glue_close();
	return KERN_SUCCESS;
}

} // namespace

KMOD_EXPLICIT_DECL(com.example.kbpattern_later, "1.0", start, stop);
