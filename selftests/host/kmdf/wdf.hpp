// SPDX-License-Identifier: GPL-2.0-only
// What a test of kmdf.ko includes.
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "../fake_threads.hpp"
#include "../harness.hpp"
#include "fake_kmdf.hpp"
#include "kmdf_core.hpp"
#include "uapi/kmdf.h"
#include "windows.hpp"
