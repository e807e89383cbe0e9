// SPDX-License-Identifier: GPL-2.0-only
// The one C++ translation unit of kextbridge.ko (guide: two units with the same inline function do not link into a
// module). In the order of a request's way.
#include "oskext.cpp"
#include "client.cpp"
#include "submit.cpp"
#include "cancel.cpp"
#include "kext.cpp"
#include "in_flight.cpp"
#include "wire.cpp"
#include "payload.cpp"
#include "daemon.cpp"
#include "control.cpp"
#include "view.cpp"
#include "load.cpp"
#include "unload.cpp"
#include "text.cpp"
#include "core.cpp"
