/* SPDX-License-Identifier: Apache-2.0 */
#include "git/semver.h"

/* --- versions ----------------------------------------------------------------- */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_identifier_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* A decimal number without leading zeros at *at. */
static bool take_number(struct kilter_str text, size_t *at, uint64_t *ret)
{
    size_t i = *at, first = i;
    uint64_t number = 0;

    while (i < text.len && is_digit(text.ptr[i])) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
        i++;
    }
    if (i == first || (i > first + 1 && text.ptr[first] == '0'))
        return false;
    *ret = number;
    *at = i;
    return true;
}

static bool is_numeric(struct kilter_str identifier)
{
    for (size_t i = 0; i < identifier.len; i++)
        if (!is_digit(identifier.ptr[i]))
            return false;
    return identifier.len > 0;
}

/* Dot-separated identifiers at *at; numeric ones of a prerelease have no leading zeros. */
static bool take_identifiers(struct kilter_str text, size_t *at, bool prerelease, struct kilter_str *ret)
{
    size_t first = *at, i = first;

    for (;;) {
        size_t start = i;
        while (i < text.len && is_identifier_char(text.ptr[i]))
            i++;
        struct kilter_str identifier = kilter_str_sub(text, start, i - start);
        if (identifier.len == 0)
            return false;
        if (prerelease && identifier.len > 1 && identifier.ptr[0] == '0' && is_numeric(identifier))
            return false;
        if (i >= text.len || text.ptr[i] != '.')
            break;
        i++;
    }
    *ret = kilter_str_sub(text, first, i - first);
    *at = i;
    return true;
}

/* What may follow the three numbers. */
static bool take_suffixes(struct kilter_str text, size_t *at, struct kl_semver *ret)
{
    ret->prerelease = KILTER_STR("");
    ret->build = KILTER_STR("");
    if (*at < text.len && text.ptr[*at] == '-') {
        (*at)++;
        if (!take_identifiers(text, at, true, &ret->prerelease))
            return false;
    }
    if (*at < text.len && text.ptr[*at] == '+') {
        (*at)++;
        if (!take_identifiers(text, at, false, &ret->build))
            return false;
    }
    return true;
}

static size_t skip_v(struct kilter_str text, size_t at)
{
    return at < text.len && (text.ptr[at] == 'v' || text.ptr[at] == 'V') ? at + 1 : at;
}

int kl_semver_parse(struct kilter_str text, struct kl_semver *ret)
{
    struct kl_semver version = { 0 };
    uint64_t *const parts[3] = { &version.major, &version.minor, &version.patch };
    size_t at = skip_v(text, 0);

    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            if (at >= text.len || text.ptr[at] != '.')
                return KILTER_E_INVALID;
            at++;
        }
        if (!take_number(text, &at, parts[i]))
            return KILTER_E_INVALID;
    }
    if (!take_suffixes(text, &at, &version) || at != text.len)
        return KILTER_E_INVALID;
    *ret = version;
    return 0;
}

static int compare_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static struct kilter_str next_identifier(struct kilter_str *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != '.')
        len++;
    struct kilter_str identifier = kilter_str_sub(*rest, 0, len);
    *rest = kilter_str_sub(*rest, len + 1, rest->len);
    return identifier;
}

static int compare_identifier(struct kilter_str a, struct kilter_str b)
{
    bool a_numeric = is_numeric(a), b_numeric = is_numeric(b);

    if (a_numeric != b_numeric)
        return a_numeric ? -1 : 1;
    if (a_numeric && a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return kilter_str_cmp(a, b);
}

static int compare_prerelease(struct kilter_str a, struct kilter_str b)
{
    if (a.len == 0 || b.len == 0)
        return (a.len == 0) - (b.len == 0);
    while (a.len > 0 && b.len > 0) {
        int order = compare_identifier(next_identifier(&a), next_identifier(&b));
        if (order)
            return order;
    }
    return (a.len > 0) - (b.len > 0);
}

int kl_semver_compare(const struct kl_semver *a, const struct kl_semver *b)
{
    int order = compare_number(a->major, b->major);
    if (!order)
        order = compare_number(a->minor, b->minor);
    if (!order)
        order = compare_number(a->patch, b->patch);
    return order ? order : compare_prerelease(a->prerelease, b->prerelease);
}

/* --- ranges ------------------------------------------------------------------- */
struct range_parser {
    struct kilter_str text;
    size_t at;
    struct kl_semver_range *range;
    const char *why;
    int status;
};

/* A version of which trailing parts may be missing or x. */
struct partial {
    struct kl_semver version;
    int parts; /* how many numbers were given: 0 for "*" */
};

static int fail(struct range_parser *parser, int status, const char *why)
{
    if (parser->status == 0) {
        parser->status = status;
        parser->why = why;
    }
    return parser->status;
}

static char peek(const struct range_parser *parser)
{
    return parser->at < parser->text.len ? parser->text.ptr[parser->at] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct range_parser *parser)
{
    while (is_blank(peek(parser)))
        parser->at++;
}

static int add_term(struct range_parser *parser, enum kl_semver_op op, const struct kl_semver *version)
{
    struct kl_semver_range *range = parser->range;

    if (range->count == KL_SEMVER_MAX_TERMS)
        return fail(parser, KILTER_E_LIMIT, "too many conditions");
    struct kl_semver_term *term = &range->terms[range->count++];
    term->op = op;
    term->alternative = range->alternatives;
    term->version = *version;
    return 0;
}

static int add_bound(struct range_parser *parser, enum kl_semver_op op, const struct kl_semver *version)
{
    if (add_term(parser, op, version) < 0)
        return parser->status;
    parser->range->terms[parser->range->count - 1].bound = true;
    return 0;
}

/* The lowest of all versions, so that "< next" also keeps the prereleases of next out. */
static struct kl_semver lowest(uint64_t major, uint64_t minor, uint64_t patch)
{
    struct kl_semver version = { major, minor, patch, KILTER_STR_INIT("0"), KILTER_STR_INIT("") };
    return version;
}

static struct kl_semver release(uint64_t major, uint64_t minor, uint64_t patch)
{
    struct kl_semver version = { major, minor, patch, KILTER_STR_INIT(""), KILTER_STR_INIT("") };
    return version;
}

/* The first version beyond everything that begins with the first `parts` numbers. */
static struct kl_semver bump(const struct kl_semver *version, int parts)
{
    if (parts == 1)
        return lowest(version->major + 1, 0, 0);
    if (parts == 2)
        return lowest(version->major, version->minor + 1, 0);
    return lowest(version->major, version->minor, version->patch + 1);
}

static bool take_wildcard(struct range_parser *parser)
{
    char c = peek(parser);
    if (c != 'x' && c != 'X' && c != '*')
        return false;
    parser->at++;
    return true;
}

static int take_partial(struct range_parser *parser, struct partial *ret)
{
    uint64_t *const parts[3] = { &ret->version.major, &ret->version.minor, &ret->version.patch };
    bool wild = false;

    *ret = (struct partial){ .version = release(0, 0, 0), .parts = 0 };
    parser->at = skip_v(parser->text, parser->at);
    for (int i = 0; i < 3; i++) {
        if (take_wildcard(parser)) {
            wild = true;
        } else if (wild) {
            return fail(parser, KILTER_E_INVALID, "a number cannot follow a wildcard");
        } else if (take_number(parser->text, &parser->at, parts[i]) && *parts[i] < UINT64_MAX) {
            ret->parts = i + 1;
        } else {
            return fail(parser, KILTER_E_INVALID, "expected a version such as 1.4.2, or x");
        }
        if (i == 2 || peek(parser) != '.')
            break;
        parser->at++;
    }
    if (ret->parts == 3 && !take_suffixes(parser->text, &parser->at, &ret->version))
        return fail(parser, KILTER_E_INVALID, "expected a prerelease such as -rc.1");
    return 0;
}

/* "1.4.x" and the like: everything that begins so. */
static int add_prefix(struct range_parser *parser, const struct partial *partial)
{
    struct kl_semver from = release(partial->version.major, partial->version.minor, 0);
    struct kl_semver to;

    if (partial->parts == 3)
        return add_term(parser, KL_SEMVER_EQ, &partial->version);
    if (add_term(parser, KL_SEMVER_GE, &from) < 0 || partial->parts == 0)
        return parser->status;
    to = bump(&partial->version, partial->parts);
    return add_bound(parser, KL_SEMVER_LT, &to);
}

static int add_span(struct range_parser *parser, const struct partial *partial, int parts)
{
    struct kl_semver to;

    if (add_term(parser, KL_SEMVER_GE, &partial->version) < 0 || partial->parts == 0)
        return parser->status;
    to = bump(&partial->version, parts);
    return add_bound(parser, KL_SEMVER_LT, &to);
}

static int add_caret(struct range_parser *parser, const struct partial *partial)
{
    int parts = 1;

    if (partial->version.major == 0 && partial->parts > 1)
        parts = partial->version.minor == 0 && partial->parts > 2 ? 3 : 2;
    return add_span(parser, partial, parts);
}

/* A comparison with a version that may be partial: ">1.4" means beyond all of 1.4.x, "<=1.4" up to its end. */
static int add_comparison(struct range_parser *parser, enum kl_semver_op op, const struct partial *partial)
{
    if (partial->parts == 3)
        return add_term(parser, op, &partial->version);
    if (op == KL_SEMVER_EQ)
        return add_prefix(parser, partial);
    if (partial->parts == 0 && (op == KL_SEMVER_GE || op == KL_SEMVER_LE))
        return add_prefix(parser, partial);
    if (partial->parts == 0 || op == KL_SEMVER_NE)
        return fail(parser, KILTER_E_INVALID, "this comparison needs a whole version such as 1.4.2");
    if (op == KL_SEMVER_GT || op == KL_SEMVER_LE) {
        struct kl_semver next = bump(&partial->version, partial->parts);
        if (op == KL_SEMVER_GT)
            next.prerelease = KILTER_STR("");
        return add_bound(parser, op == KL_SEMVER_GT ? KL_SEMVER_GE : KL_SEMVER_LT, &next);
    }
    struct kl_semver version = partial->version;
    if (op == KL_SEMVER_LT)
        version.prerelease = KILTER_STR("0");
    return add_bound(parser, op, &version);
}

/* " - " after a version; moves behind it. */
static bool take_hyphen(struct range_parser *parser)
{
    size_t at = parser->at;

    while (at < parser->text.len && is_blank(parser->text.ptr[at]))
        at++;
    if (at == parser->at || at + 1 >= parser->text.len || parser->text.ptr[at] != '-' ||
        !is_blank(parser->text.ptr[at + 1]))
        return false;
    parser->at = at + 1;
    skip_blanks(parser);
    return true;
}

static int take_operator(struct range_parser *parser)
{
    static const struct {
        const char *text;
        int op;
    } operators[] = {
        { ">=", KL_SEMVER_GE }, { "<=", KL_SEMVER_LE }, { "!=", KL_SEMVER_NE }, { "==", KL_SEMVER_EQ },
        { ">", KL_SEMVER_GT },  { "<", KL_SEMVER_LT },  { "=", KL_SEMVER_EQ },  { "^", '^' },
        { "~>", '~' },          { "~", '~' },
    };
    struct kilter_str rest = kilter_str_sub(parser->text, parser->at, parser->text.len);

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        struct kilter_str text = kilter_str_c(operators[i].text);
        if (kilter_str_starts(rest, text)) {
            parser->at += text.len;
            skip_blanks(parser);
            return operators[i].op;
        }
    }
    return 0;
}

static int take_condition(struct range_parser *parser)
{
    struct partial first, last;
    int op = take_operator(parser);

    if (take_partial(parser, &first) < 0)
        return parser->status;
    if (op == '^')
        return add_caret(parser, &first);
    if (op == '~')
        return add_span(parser, &first, first.parts < 2 ? first.parts : 2);
    if (op)
        return add_comparison(parser, (enum kl_semver_op)op, &first);
    if (!take_hyphen(parser))
        return add_prefix(parser, &first);
    if (take_partial(parser, &last) < 0 || add_comparison(parser, KL_SEMVER_GE, &first) < 0)
        return parser->status;
    return add_comparison(parser, KL_SEMVER_LE, &last);
}

static int take_alternative(struct range_parser *parser)
{
    for (;;) {
        if (take_condition(parser) < 0)
            return parser->status;
        size_t end = parser->at;
        skip_blanks(parser);
        if (peek(parser) == ',') {
            parser->at++;
            skip_blanks(parser);
            continue;
        }
        if (parser->at >= parser->text.len || peek(parser) == '|')
            return 0;
        if (parser->at == end)
            return fail(parser, KILTER_E_INVALID, "expected a blank, a comma or || between conditions");
    }
}

static int take_range(struct range_parser *parser)
{
    for (;;) {
        skip_blanks(parser);
        if (take_alternative(parser) < 0)
            return parser->status;
        parser->range->alternatives++;
        if (parser->at >= parser->text.len)
            return 0;
        if (!kilter_str_starts(kilter_str_sub(parser->text, parser->at, 2), KILTER_STR("||")))
            return fail(parser, KILTER_E_INVALID, "expected || between alternatives");
        parser->at += 2;
    }
}

int kl_semver_range_parse(struct kilter_str text, struct kl_semver_range *ret, const char **ret_why, size_t *ret_at)
{
    struct kl_semver_range range = { 0 };
    struct range_parser parser = { .text = text, .range = &range };

    if (take_range(&parser) < 0) {
        if (ret_why)
            *ret_why = parser.why;
        if (ret_at)
            *ret_at = parser.at;
        return parser.status;
    }
    *ret = range;
    return 0;
}

/* --- matching ----------------------------------------------------------------- */
static bool holds(const struct kl_semver_term *term, const struct kl_semver *version)
{
    int order = kl_semver_compare(version, &term->version);

    switch (term->op) {
    case KL_SEMVER_EQ:
        return order == 0;
    case KL_SEMVER_NE:
        return order != 0;
    case KL_SEMVER_LT:
        return order < 0;
    case KL_SEMVER_LE:
        return order <= 0;
    case KL_SEMVER_GT:
        return order > 0;
    case KL_SEMVER_GE:
        return order >= 0;
    }
    return false;
}

static bool asks_for_prerelease(const struct kl_semver_term *term, const struct kl_semver *version)
{
    return term->version.prerelease.len > 0 && !term->bound && term->version.major == version->major &&
           term->version.minor == version->minor && term->version.patch == version->patch;
}

static bool alternative_matches(const struct kl_semver_range *range, unsigned alternative,
                                const struct kl_semver *version)
{
    bool prerelease_wanted = version->prerelease.len == 0;

    for (size_t i = 0; i < range->count; i++) {
        const struct kl_semver_term *term = &range->terms[i];
        if (term->alternative != alternative)
            continue;
        if (!holds(term, version))
            return false;
        prerelease_wanted = prerelease_wanted || asks_for_prerelease(term, version);
    }
    return prerelease_wanted;
}

bool kl_semver_matches(const struct kl_semver_range *range, const struct kl_semver *version)
{
    for (unsigned i = 0; i < range->alternatives; i++)
        if (alternative_matches(range, i, version))
            return true;
    return false;
}
