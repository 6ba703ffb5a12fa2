/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: what a program says about itself, one record a line on standard error.
 *
 * Whatever a message holds, it stays one line: control characters and broken
 * UTF-8 are escaped. Under the journal (JOURNAL_STREAM names our standard
 * error) a record begins with its priority, "<4>", and has no time; elsewhere
 * with the time and the level. Each record is one write. Setting up belongs to
 * the start of a program; logging may come from any thread.
 */
#ifndef KL_BASE_LOG_H
#define KL_BASE_LOG_H

#include <kilter/plugin.h>

#define KL_LOG_RECORD_MAX 8192u /* bytes of one message; what is longer is cut, and says so */

enum kl_log_form {
    KL_LOG_TEXT = 0,
    KL_LOG_JSON = 1, /* {"time":"...","level":"info","message":"..."} */
};

/* Records above `threshold` (KILTER_LOG_INFO is the default) are dropped. */
void kl_log_setup(enum kilter_log_level threshold, enum kl_log_form form);
/* Where records go instead of standard error, for tests; -1 is standard error. */
void kl_log_set_fd(int fd);
/* Whether a record of this level would be written. */
bool kl_log_enabled(enum kilter_log_level level);
void kl_log(enum kilter_log_level level, const char *format, ...) KILTER_PRINTF(2, 3);
/* The message as it stands, any bytes. */
void kl_log_str(enum kilter_log_level level, struct kilter_str message);
/* "error", "warning", "info", "debug". */
const char *kl_log_level_name(enum kilter_log_level level);
/* Reads a level's name; KILTER_E_INVALID when it is none. */
int kl_log_level_parse(struct kilter_str name, enum kilter_log_level *ret);

#endif
