// SPDX-License-Identifier: Apache-2.0
/* The error object, status texts and the version. */
#include <kilter/base.h>

#include <errno.h>
#include <stdio.h>

#include "text.h"

/* Copies as much of a text as fits, never half a UTF-8 character. */
static void store_message(struct kilter_error *err, const char *text, size_t len)
{
    if (len >= sizeof err->message)
        len = kl_utf8_floor(text, sizeof err->message - 1);
    memcpy(err->message, text, len);
    err->message[len] = 0;
}

/* The arguments may point into err->message, so the text is made beside it first. */
KILTER_PRINTF(2, 0)
static void format_message(struct kilter_error *err, const char *format, va_list args, const char *tail)
{
    char text[sizeof err->message * 2];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        len = 0;
    if ((size_t)len >= sizeof text)
        len = sizeof text - 1;
    if (tail && (size_t)len < sizeof text - 3) {
        int more = snprintf(text + len, sizeof text - (size_t)len, ": %s", tail);
        if (more > 0)
            len = (size_t)(len + more) < sizeof text ? len + more : (int)sizeof text - 1;
    }
    store_message(err, text, (size_t)len);
}

int kilter_error_set(struct kilter_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    format_message(err, format, args, NULL);
    va_end(args);
    err->code = code;
    err->sys_errno = 0;
    return code;
}

static int status_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
        return KILTER_E_NOT_FOUND;
    case EACCES:
    case EPERM:
        return KILTER_E_PERMISSION;
    case ENOMEM:
        return KILTER_E_NOMEM;
    default:
        return KILTER_E_IO;
    }
}

int kilter_error_errno(struct kilter_error *err, int sys_errno, const char *format, ...)
{
    int code = status_of_errno(sys_errno);
    if (!err)
        return code;
    char unknown[40];
    const char *tail = strerrordesc_np(sys_errno);
    if (!tail) {
        snprintf(unknown, sizeof unknown, "system error %d", sys_errno);
        tail = unknown;
    }
    va_list args;
    va_start(args, format);
    format_message(err, format, args, tail);
    va_end(args);
    err->code = code;
    err->sys_errno = sys_errno;
    return code;
}

int kilter_error_wrap(struct kilter_error *err, const char *format, ...)
{
    if (!err)
        return KILTER_E_INTERNAL;
    va_list args;
    va_start(args, format);
    format_message(err, format, args, err->message[0] ? err->message : kilter_status_text(err->code));
    va_end(args);
    return err->code;
}

const char *kilter_status_text(int code)
{
    switch (code) {
    case KILTER_OK:
        return "success";
    case KILTER_E_NOMEM:
        return "out of memory";
    case KILTER_E_INVALID:
        return "invalid input";
    case KILTER_E_LIMIT:
        return "limit reached";
    case KILTER_E_IO:
        return "input/output error";
    case KILTER_E_NOT_FOUND:
        return "not found";
    case KILTER_E_CONFLICT:
        return "conflict";
    case KILTER_E_CANCELLED:
        return "cancelled";
    case KILTER_E_TIMEOUT:
        return "deadline passed";
    case KILTER_E_NEED:
        return "another repository is needed first";
    case KILTER_E_UNSUPPORTED:
        return "not supported";
    case KILTER_E_PERMISSION:
        return "not permitted";
    case KILTER_E_INTERNAL:
        return "internal error";
    default:
        return "unknown status";
    }
}

const char *kilter_version(void)
{
    return KILTER_VERSION_TEXT;
}

uint32_t kilter_abi_minor(void)
{
    return KILTER_ABI_MINOR;
}
