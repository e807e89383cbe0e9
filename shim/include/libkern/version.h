/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The version of the kernel as a macOS driver sees it: of Darwin 24.4, whose KPI this follows. That it is not Darwin,
 * `version` and `ostype` say; the driver's own version is OSKextGetCurrentVersionString().
 */
#ifndef _LIBKERN_VERSION_H
#define _LIBKERN_VERSION_H

#define VERSION_MAJOR 24
#define VERSION_MINOR 4
#define VERSION_VARIANT ""
#define VERSION_REVISION 0
#define VERSION_STAGE 0x80 /* released */
#define VERSION_PRERELEASE_LEVEL 0
#define OSTYPE "kextbridge"
#define OSRELEASE "24.4.0"

#define KEXTBRIDGE_VERSION_OF static const __attribute__((__unused__))
KEXTBRIDGE_VERSION_OF int version_major = VERSION_MAJOR;
KEXTBRIDGE_VERSION_OF int version_minor = VERSION_MINOR;
KEXTBRIDGE_VERSION_OF char version_variant[] = VERSION_VARIANT;
KEXTBRIDGE_VERSION_OF int version_revision = VERSION_REVISION;
KEXTBRIDGE_VERSION_OF int version_stage = VERSION_STAGE;
KEXTBRIDGE_VERSION_OF int version_prerelease_level = VERSION_PRERELEASE_LEVEL;
KEXTBRIDGE_VERSION_OF char ostype[] = OSTYPE;
KEXTBRIDGE_VERSION_OF char osrelease[] = OSRELEASE;
KEXTBRIDGE_VERSION_OF char version[] = "kextbridge on Linux, with the KPI of Darwin " OSRELEASE;
#undef KEXTBRIDGE_VERSION_OF

#endif
