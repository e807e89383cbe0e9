// SPDX-License-Identifier: GPL-2.0-only
// Retains itself when it starts and never releases: once loaded it stays. As a firewall does.
#include <libkern/OSKextLib.h>

#include "glue.h"

namespace {

OSReturn retained = kOSReturnError;

bool run(kbpattern_call *call)
{
	call->result = retained;
	return kbpattern_is(call, "retained");
}

kern_return_t start(kmod_info_t *, void *)
{
	retained = OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag());
	return retained == kOSReturnSuccess && kbpattern_glue_open(run) ? KERN_SUCCESS : KERN_FAILURE;
}

kern_return_t stop(kmod_info_t *, void *)
{
	kbpattern_glue_close();
	return KERN_SUCCESS;
}

} // namespace

KMOD_EXPLICIT_DECL(com.example.kbpattern_pin, "1.0", start, stop);
