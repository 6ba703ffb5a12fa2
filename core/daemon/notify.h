/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h: telling systemd how the daemon is (sd_notify(3)'s protocol): a
 * datagram to the socket that NOTIFY_SOCKET names. Does nothing elsewhere.
 */
#ifndef KL_DAEMON_NOTIFY_H
#define KL_DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STATUS=...", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1", "WATCHDOG=1". */
void kl_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* How often to send WATCHDOG=1, in ms: half of what WATCHDOG_USEC allows; 0: not asked for. */
uint64_t kl_notify_watchdog_ms(void);

#endif
