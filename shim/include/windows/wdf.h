/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KMDF for Linux drivers, with kmdf.ko. Each header says what its calls do here.
 *
 * Who owns a request: the driver from the moment a handler gets it, or a retrieve call returns it, until it
 * completes, forwards, requeues or sends-and-forgets it. Cancelling never completes what the driver owns.
 */
#ifndef _KMDF_WDF_H
#define _KMDF_WDF_H

#include "wdftypes.h"
#include "wdfcore.h"
#include "wdfobject.h"
#include "wdfsync.h"
#include "wdfdriver.h"
#include "wdfstring.h"
#include "wdfcollection.h"
#include "wdfmemory.h"
#include "wdffileobject.h"
#include "wdfdevice.h"
#include "wdfcontrol.h"
#include "wdfrequest.h"
#include "wdfio.h"
#include "wdftimer.h"
#include "wdfworkitem.h"
#include "wdfiotarget.h"

#endif
