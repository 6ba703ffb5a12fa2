/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int log_threshold = KILTER_LOG_INFO;
static atomic_int log_form = KL_LOG_TEXT;
static atomic_int log_fd = -1;
static atomic_int log_journal = -1; /* whether standard error is the journal; -1: not looked yet */

static const struct {
    enum kilter_log_level level;
    const char *name;
} level_names[] = {
    { KILTER_LOG_ERROR, "error" },
    { KILTER_LOG_WARNING, "warning" },
    { KILTER_LOG_INFO, "info" },
    { KILTER_LOG_DEBUG, "debug" },
};

const char *kl_log_level_name(enum kilter_log_level level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (level <= level_names[i].level)
            return level_names[i].name;
    return "debug";
}

int kl_log_level_parse(struct kilter_str name, enum kilter_log_level *ret)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (kilter_str_eq_c(name, level_names[i].name)) {
            *ret = level_names[i].level;
            return KILTER_OK;
        }
    return KILTER_E_INVALID;
}

void kl_log_setup(enum kilter_log_level threshold, enum kl_log_form form)
{
    log_threshold = (int)threshold;
    log_form = (int)form;
}

void kl_log_set_fd(int fd)
{
    log_fd = fd;
    log_journal = -1;
}

bool kl_log_enabled(enum kilter_log_level level)
{
    return (int)level <= log_threshold;
}

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the stream that goes to the journal. */
static bool is_journal(int fd)
{
    if (log_journal >= 0)
        return log_journal;
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long long device, inode;
    log_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
                  st.st_dev == device && st.st_ino == inode;
    return log_journal;
}

/* Length of the UTF-8 sequence at `s`, or 0 when it is broken or a control character. */
static size_t printable(struct kilter_str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f;
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    struct kilter_str one = kilter_str_sub(s, 0, len);
    if (one.len < len || !kilter_str_is_utf8(one))
        return 0;
    return c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0 ? 0 : len; /* C1 controls */
}

static void add_escaped(struct kilter_buf *out, struct kilter_str message, bool json)
{
    bool cut = message.len > KL_LOG_RECORD_MAX;
    struct kilter_str rest = kilter_str_sub(message, 0, KL_LOG_RECORD_MAX);
    while (rest.len > 0) {
        unsigned char c = (unsigned char)rest.ptr[0];
        size_t len = printable(rest);
        if (json && (c == '"' || c == '\\'))
            kilter_buf_printf(out, "\\%c", c);
        else if (len > 0)
            kilter_buf_append(out, rest.ptr, len);
        else if (c == '\n' || c == '\t' || c == '\r')
            kilter_buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (json)
            kilter_buf_printf(out, "\\u%04x", c);
        else
            kilter_buf_printf(out, "\\x%02x", c);
        rest = kilter_str_sub(rest, len > 0 ? len : 1, rest.len);
    }
    if (cut)
        kilter_buf_printf(out, " [%zu more bytes cut]", message.len - KL_LOG_RECORD_MAX);
}

static void write_all(int fd, struct kilter_str text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody listens; there is no better place to say so */
        text = kilter_str_sub(text, (size_t)n, text.len);
    }
}

void kl_log_str(enum kilter_log_level level, struct kilter_str message)
{
    if (!kl_log_enabled(level))
        return;
    int saved = errno;
    int fd = log_fd >= 0 ? log_fd : STDERR_FILENO;
    bool json = log_form == KL_LOG_JSON;
    char time[32];
    struct kilter_buf out = KILTER_BUF_INIT(KL_LOG_RECORD_MAX * 6 + 256);
    kl_clock_format(kl_clock_wall_ms(), time);
    if (is_journal(fd))
        kilter_buf_printf(&out, "<%d>", (int)level);
    if (json)
        kilter_buf_printf(&out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", time, kl_log_level_name(level));
    else if (!is_journal(fd))
        kilter_buf_printf(&out, "%s %s: ", time, kl_log_level_name(level));
    add_escaped(&out, message, json);
    kilter_buf_c(&out, json ? "\"}\n" : "\n");
    if (!out.failed)
        write_all(fd, kilter_buf_view(&out));
    kilter_buf_release(&out);
    errno = saved;
}

void kl_log(enum kilter_log_level level, const char *format, ...)
{
    if (!kl_log_enabled(level))
        return;
    int saved = errno;
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof(text)) {
        kl_log_str(level, kilter_str_n(text, (size_t)len));
    } else if (len >= 0) {
        char *longer = malloc((size_t)len + 1);
        if (longer) {
            va_start(args, format);
            vsnprintf(longer, (size_t)len + 1, format, args);
            va_end(args);
            kl_log_str(level, kilter_str_n(longer, (size_t)len));
            free(longer);
        }
    }
    errno = saved;
}
