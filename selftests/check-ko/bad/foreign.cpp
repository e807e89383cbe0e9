// SPDX-License-Identifier: GPL-2.0-only
// A C++ function of some other module.
// rows: 16
// says: undefined symbol _ZN5other4callEv
namespace other {
void call();
}

void forward()
{
	other::call();
}
