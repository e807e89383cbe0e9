// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: reading variable 'result' requires holding xa_lock
#include "request.hpp"
#include "shim/enforce.h"

namespace kextbridge {

s32 result_of(const Request &request);
s32 result_of(const Request &request)
{
	return request.result;
}

} // namespace kextbridge
