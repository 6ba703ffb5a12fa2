// SPDX-License-Identifier: Apache-2.0
/*
 * What a scalar's text means. The two YAML schemas follow the two Go libraries
 * that Kubernetes' tools read with; they differ in a few words and prefixes only.
 */
#include "value_resolve.h"

#include <math.h>

#include "text.h"
#include "value.h"
#include "value_number.h"

/* --- words ---------------------------------------------------------------------- */
enum word { WORD_NONE, WORD_NULL, WORD_TRUE, WORD_FALSE, WORD_NAN, WORD_INF, WORD_NEGATIVE_INF };

/* Lower case, Capitalized or UPPER CASE; nothing in between. */
static bool is_cased(struct kilter_str text, const char *lower)
{
    size_t len = strlen(lower);
    if (text.len != len)
        return false;
    bool plain = true, capital = true, upper = true;
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i], u = lower[i] >= 'a' && lower[i] <= 'z' ? (char)(lower[i] - 32) : lower[i];
        plain = plain && c == lower[i];
        capital = capital && c == (i ? lower[i] : u);
        upper = upper && c == u;
    }
    return plain || capital || upper;
}

static bool is_one_of(struct kilter_str text, const char *const *texts)
{
    for (; *texts; texts++) {
        if (kilter_str_eq_c(text, *texts))
            return true;
    }
    return false;
}

static enum word find_word(struct kilter_str text, bool old_booleans)
{
    static const char *const nans[] = { ".nan", ".NaN", ".NAN", NULL };
    static const char *const infs[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL };
    static const char *const negative_infs[] = { "-.inf", "-.Inf", "-.INF", NULL };
    if (text.len > 5)
        return WORD_NONE;
    if (!text.len || kilter_str_eq_c(text, "~") || is_cased(text, "null"))
        return WORD_NULL;
    if (is_cased(text, "true"))
        return WORD_TRUE;
    if (is_cased(text, "false"))
        return WORD_FALSE;
    if (old_booleans && (is_cased(text, "yes") || is_cased(text, "y") || is_cased(text, "on")))
        return WORD_TRUE;
    if (old_booleans && (is_cased(text, "no") || is_cased(text, "n") || is_cased(text, "off")))
        return WORD_FALSE;
    if (is_one_of(text, nans))
        return WORD_NAN;
    if (is_one_of(text, infs))
        return WORD_INF;
    return is_one_of(text, negative_infs) ? WORD_NEGATIVE_INF : WORD_NONE;
}

static void set_bool(struct kilter_scalar *ret, bool value)
{
    ret->kind = KILTER_BOOL;
    ret->as.boolean = value;
}

static void set_float(struct kilter_scalar *ret, double value)
{
    ret->kind = KILTER_FLOAT;
    ret->as.number = value;
}

static bool resolve_word(struct kilter_str text, bool old_booleans, struct kilter_scalar *ret)
{
    switch (find_word(text, old_booleans)) {
    case WORD_NONE:
        return false;
    case WORD_NULL:
        ret->kind = KILTER_NULL;
        return true;
    case WORD_TRUE:
        set_bool(ret, true);
        return true;
    case WORD_FALSE:
        set_bool(ret, false);
        return true;
    case WORD_NAN:
        set_float(ret, NAN);
        return true;
    case WORD_INF:
        set_float(ret, INFINITY);
        return true;
    case WORD_NEGATIVE_INF:
        set_float(ret, -INFINITY);
        return true;
    }
    return false;
}

/* --- integers -------------------------------------------------------------------- */

/* Digits of a base up to the end of the text; at least one, and no overflow. */
static bool parse_digits(struct kilter_str digits, unsigned base, uint64_t *ret)
{
    uint64_t value = 0;
    if (!digits.len)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = kl_hex_value(digits.ptr[i]);
        if (digit < 0 || (unsigned)digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

static bool set_integer(struct kilter_scalar *ret, bool negative, bool plus, uint64_t size)
{
    if (negative && size > (uint64_t)INT64_MAX + 1)
        return false;
    if (size <= INT64_MAX || negative) {
        ret->kind = KILTER_INT;
        ret->as.integer = negative ? (int64_t)(0 - size) : (int64_t)size;
        return true;
    }
    if (plus) /* Go's unsigned parser takes no sign */
        return false;
    ret->kind = KILTER_UINT;
    ret->as.unsigned_integer = size;
    return true;
}

/* As Go's ParseInt with base 0: 0x, 0o and 0b in both cases, a leading 0 alone for octal. */
static bool resolve_integer(struct kilter_str text, struct kilter_scalar *ret)
{
    bool negative = text.len && text.ptr[0] == '-', plus = text.len && text.ptr[0] == '+';
    struct kilter_str digits = kilter_str_sub(text, negative || plus, text.len);
    unsigned base = 10;
    if (digits.len > 1 && digits.ptr[0] == '0') {
        char mark = digits.ptr[1] | 0x20;
        base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
        bool marked = mark == 'x' || mark == 'b' || mark == 'o';
        digits = kilter_str_sub(digits, marked ? 2 : 1, digits.len);
    }
    uint64_t size;
    return parse_digits(digits, base, &size) && set_integer(ret, negative, plus, size);
}

/* "0b-1": a sign behind the prefix, which the Go libraries let through. */
static bool resolve_signed_prefix(struct kilter_str text, bool octal_too, struct kilter_scalar *ret)
{
    if (text.len < 4 || text.ptr[0] != '0' || (text.ptr[2] != '-' && text.ptr[2] != '+'))
        return false;
    unsigned base = text.ptr[1] == 'b' ? 2 : text.ptr[1] == 'o' && octal_too ? 8 : 0;
    uint64_t size;
    return base && parse_digits(kilter_str_sub(text, 3, text.len), base, &size) &&
           set_integer(ret, text.ptr[2] == '-', true, size);
}

/* --- floats ------------------------------------------------------------------------ */
static size_t digits_from(struct kilter_str text, size_t at)
{
    while (at < text.len && kl_is_digit(text.ptr[at]))
        at++;
    return at;
}

/* [-+]? ( .digits | digits [. digits?] ) [ e [-+]? digits ] */
static bool is_float(struct kilter_str text)
{
    size_t at = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    size_t whole = at;
    at = digits_from(text, at);
    bool has_whole = at > whole;
    if (at < text.len && text.ptr[at] == '.') {
        size_t fraction = at + 1;
        at = digits_from(text, fraction);
        if (!has_whole && at == fraction)
            return false;
    } else if (!has_whole) {
        return false;
    }
    if (at < text.len && (text.ptr[at] | 0x20) == 'e') {
        at++;
        if (at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+'))
            at++;
        size_t exponent = at;
        at = digits_from(text, exponent);
        if (at == exponent)
            return false;
    }
    return at == text.len;
}

static bool resolve_float(struct kilter_str text, struct kilter_scalar *ret)
{
    double value;
    if (!is_float(text) || !kl_parse_double(text, &value))
        return false;
    set_float(ret, value);
    return true;
}

/* --- plain text ----------------------------------------------------------------------- */
#define NUMBER_TEXT_MAX 512 /* longer than any number that a double tells from another */

/* The text without its underscores; false where one does not stand between two digits, if that matters. */
static bool drop_underscores(struct kilter_str text, bool strictly, char *out, size_t *ret_len)
{
    *ret_len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_')
            out[(*ret_len)++] = text.ptr[i];
        else if (strictly &&
                 (!i || !kl_is_digit(text.ptr[i - 1]) || i + 1 == text.len || !kl_is_digit(text.ptr[i + 1])))
            return false;
    }
    return true;
}

/* A number that begins with its point. */
static bool resolve_fraction(struct kilter_str text, struct kilter_scalar *ret)
{
    char without[NUMBER_TEXT_MAX];
    size_t len;
    return text.len <= sizeof without && drop_underscores(text, true, without, &len) &&
           resolve_float(kilter_str_n(without, len), ret);
}

static bool resolve_number(struct kilter_str text, enum kilter_schema schema, struct kilter_scalar *ret)
{
    char without[NUMBER_TEXT_MAX];
    struct kl_timestamp timestamp;
    if (text.len > sizeof without || kl_parse_timestamp(text, &timestamp))
        return false;
    size_t len;
    drop_underscores(text, false, without, &len);
    struct kilter_str plain = kilter_str_n(without, len);
    return resolve_integer(plain, ret) || resolve_float(plain, ret) ||
           resolve_signed_prefix(plain, schema == KILTER_SCHEMA_KUSTOMIZE, ret);
}

static bool resolve_json(struct kilter_str text, struct kilter_scalar *ret)
{
    bool is_float = false;
    double value;
    if (kilter_str_eq_c(text, "null")) {
        ret->kind = KILTER_NULL;
        return true;
    }
    if (kilter_str_eq_c(text, "true") || kilter_str_eq_c(text, "false")) {
        set_bool(ret, text.len == 4);
        return true;
    }
    if (!kl_is_json_number(text, &is_float))
        return false;
    if (!is_float && resolve_integer(text, ret))
        return true;
    set_float(ret, kl_parse_double(text, &value) ? value : text.ptr[0] == '-' ? -HUGE_VAL : HUGE_VAL);
    return true;
}

static bool resolve_yaml(struct kilter_str text, enum kilter_schema schema, struct kilter_scalar *ret)
{
    bool old_booleans = schema == KILTER_SCHEMA_KUBERNETES;
    if (!text.len)
        return resolve_word(text, old_booleans, ret);
    switch (text.ptr[0]) {
    case '~':
    case 'n':
    case 'N':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'y':
    case 'Y':
    case 'o':
    case 'O':
        return resolve_word(text, old_booleans, ret);
    case '.':
        return resolve_word(text, old_booleans, ret) || resolve_fraction(text, ret);
    case '+':
    case '-':
        return resolve_word(text, old_booleans, ret) || resolve_number(text, schema, ret);
    default:
        return kl_is_digit(text.ptr[0]) && resolve_number(text, schema, ret);
    }
}

void kl_resolve_plain(struct kilter_str text, enum kilter_schema schema, struct kilter_scalar *ret)
{
    ret->text = text;
    if (schema == KILTER_SCHEMA_JSON ? resolve_json(text, ret) : resolve_yaml(text, schema, ret))
        return;
    ret->kind = KILTER_STRING;
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)? : YAML 1.1's numbers to the base of sixty */
static bool is_base60(struct kilter_str text)
{
    size_t at = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (at >= text.len || !kl_is_digit(text.ptr[at]))
        return false;
    while (at < text.len && (kl_is_digit(text.ptr[at]) || text.ptr[at] == '_'))
        at++;
    if (at == text.len || text.ptr[at] != ':')
        return false;
    while (at < text.len && text.ptr[at] == ':') {
        size_t from = ++at;
        at = digits_from(text, at);
        if (at == from || at - from > 2 || (at - from == 2 && text.ptr[from] > '5'))
            return false;
    }
    if (at < text.len && text.ptr[at] == '.') {
        for (at++; at < text.len && (kl_is_digit(text.ptr[at]) || text.ptr[at] == '_');)
            at++;
    }
    return at == text.len;
}

bool kl_looks_typed(struct kilter_str text)
{
    struct kilter_scalar scalar;
    struct kl_timestamp timestamp;
    kl_resolve_plain(text, KILTER_SCHEMA_KUBERNETES, &scalar);
    return scalar.kind != KILTER_STRING || is_base60(text) || kl_parse_timestamp(text, &timestamp);
}

/* --- tags ---------------------------------------------------------------------------- */
static bool is_base64(struct kilter_str text)
{
    struct kilter_buf out = KILTER_BUF_INIT(SIZE_MAX);
    int status = kilter_base64_decode(&out, text);
    kilter_buf_release(&out);
    return status == 0;
}

/* Text under one of YAML's own tags: its kind must be what the tag says. */
static int resolve_tagged(struct kilter_str tag, struct kilter_str text, enum kilter_schema schema,
                          struct kilter_scalar *ret)
{
    struct kl_timestamp timestamp;
    bool fits;
    kl_resolve_plain(text, schema, ret);
    if (kilter_str_eq_c(tag, "!!int"))
        fits = ret->kind == KILTER_INT || ret->kind == KILTER_UINT;
    else if (kilter_str_eq_c(tag, "!!bool"))
        fits = ret->kind == KILTER_BOOL;
    else if (kilter_str_eq_c(tag, "!!null"))
        fits = ret->kind == KILTER_NULL;
    else if (kilter_str_eq_c(tag, "!!timestamp"))
        fits = kl_parse_timestamp(text, &timestamp);
    else if (kilter_str_eq_c(tag, "!!float"))
        fits = ret->kind == KILTER_FLOAT || ret->kind == KILTER_INT;
    else { /* !!str, !, !!binary and what the user invented */
        ret->kind = KILTER_STRING;
        fits = !kilter_str_eq_c(tag, "!!binary") || is_base64(text);
    }
    if (kilter_str_eq_c(tag, "!!float") && ret->kind == KILTER_INT)
        set_float(ret, (double)ret->as.integer);
    return fits ? 0 : KILTER_E_INVALID;
}

int kilter_resolve(const struct kilter_value *value, enum kilter_schema schema, struct kilter_scalar *ret)
{
    if (!kl_is(value, KILTER_SCALAR))
        return KILTER_E_INVALID;
    ret->text = kl_text(value);
    if (value->tag)
        return resolve_tagged(*value->tag, ret->text, schema, ret);
    if (value->style == KILTER_STYLE_PLAIN)
        kl_resolve_plain(ret->text, schema, ret);
    else
        ret->kind = KILTER_STRING;
    return 0;
}
