/* SPDX-License-Identifier: GPL-2.0-only */
/* T-163: texts that are versions of a kext, and texts that are none; for the host ring and the VM ring. */
#ifndef _VERSIONS_H
#define _VERSIONS_H

#define VERSIONS                                                                                                   \
	"1", "0", "1.0", "1.0.0", "9999.9999.9999", "1.0d1", "1.0a255", "1.2.3b4", "10.0f1", "1.0fc1", "1.0 beta", \
		"1.0\tbeta"

#define NO_VERSIONS                                                                                                \
	"", "x", ".", "1.", "1..0", "1.0.0.0", "12345", "1.0x1", "1.0d", "1.0d1000", "1.0d256", "1.0f0", "1.0fc0", \
		"1.0d1x", "1.0dc1", "-1", "1,0", "1.0\001"

#endif
