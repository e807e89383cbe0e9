/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of the daemon protocol in property lists, under the names that macOS programs know. What begins with
 * kKextbridge is our own: macOS has no word for it.
 *
 * A request is a dictionary with a predicate (a string) and, where the predicate wants them, arguments (a dictionary).
 * kext_request(3) says what each takes and gives.
 */
#ifndef _KEXT_REQUEST_KEYS_H
#define _KEXT_REQUEST_KEYS_H

#define kKextRequestPredicateKey "Kext Request Predicate"
#define kKextRequestArgumentsKey "Kext Request Arguments"

/* ---- what a program asks kext_request() for */

#define kKextRequestPredicateGetLoaded "Get Loaded Kext Info"
#define kKextRequestPredicateGetKernelRequests "Get Kernel Requests"
#define kKextRequestPredicateSendResource "Send Resource"
#define kKextRequestPredicateStart "Start"
#define kKextRequestPredicateStop "Stop"
#define kKextRequestPredicateUnload "Unload"
#define kKextRequestPredicateGetAllLoadRequests "Get All Load Requests"

/* ---- what is in the array of Get Kernel Requests */

#define kKextRequestPredicateRequestResource "Kext Resource Request"
#define kKextRequestPredicateRequestLoad "Kext Load Request"
#define kKextRequestPredicateLoadNotification "Kext Load Notification"
#define kKextRequestPredicateUnloadNotification "Kext Unload Notification"
#define kKextRequestPredicateRequestDaemonExit "IOKit Daemon Exit"
#define kKextbridgePredicateRequestUnload "Kextbridge Unload Request"
#define kKextbridgePredicateCancelNotification "Kextbridge Cancel Notification"

/* ---- arguments */

#define kKextRequestArgumentBundleIdentifierKey "CFBundleIdentifier"
#define kKextRequestArgumentNameKey "Name"
#define kKextRequestArgumentRequestTagKey "Request Tag"
#define kKextRequestArgumentResultKey "Kext Request Result Code"
#define kKextRequestArgumentValueKey "Value"
#define kKextRequestArgumentInfoKeysKey "Kext Request Info Keys"
#define kKextRequestArgumentDelayAutounloadKey "Delay Autounload"
#define kKextRequestArgumentTerminateIOServicesKey "Terminate IOServices"
#define kKextbridgeArgumentLoadTagKey "Kextbridge Load Tag"
#define kKextbridgeArgumentMaxLengthKey "Kextbridge Max Length"
#define kKextbridgeArgumentModuleKey "Kextbridge Module"

/* ---- what Get Loaded Kext Info says of a kext */

#define kKextInfoIdentifierKey "CFBundleIdentifier"
#define kKextInfoVersionKey "CFBundleVersion"
#define kKextInfoLoadTagKey "OSBundleLoadTag"
#define kKextInfoRetainCountKey "OSBundleRetainCount"
#define kKextInfoStartedKey "OSBundleStarted"
#define kKextbridgeInfoModuleKey "KextbridgeModule"
#define kKextbridgeInfoModuleRefcountKey "KextbridgeModuleRefcount"
#define kKextbridgeInfoPendingKey "KextbridgePendingRequests"
#define kKextbridgeInfoInstancesKey "KextbridgeInstances"
#define kKextbridgeInfoRefusedKey "KextbridgeRefusedCalls"

#endif /* _KEXT_REQUEST_KEYS_H */
