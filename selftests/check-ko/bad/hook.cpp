// SPDX-License-Identifier: GPL-2.0-only
// A hook for tests, in a release.
// rows: release
// says: test hook kextbridge_test_chaos
extern "C" {
int kextbridge_test_chaos = 1;
}
