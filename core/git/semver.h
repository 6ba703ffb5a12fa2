/* SPDX-License-Identifier: Apache-2.0 */
/*
 * semver.h: versions (Semantic Versioning 2.0.0) and ranges over them.
 *
 * Plain data: a version and a range keep views into the text they were parsed
 * from, which must live as long. Nothing allocates; any thread may call.
 * Depends on nothing but kilter/base.h's inline functions.
 *
 * A version may begin with "v". A range is alternatives separated by "||", each
 * a list of conditions separated by blanks or commas that must all hold:
 *     1.4.2, =1.4.2       exactly this
 *     >1.4 >=1.4 <2 <=2   missing parts are zeros, except that >1.4 and <=1.4 mean the whole of 1.4.x
 *     !=1.4.2             anything else
 *     1.4, 1.4.x, 1, *    any version that begins so
 *     ^1.4.2              up to the next change of the leftmost number that is not 0
 *     ~1.4.2              up to the next minor version; ~1 up to the next major one
 *     1.2 - 2.3           from the first to the last, both included
 * A prerelease (1.5.0-rc.1) satisfies an alternative only when one of its conditions names a prerelease of the
 * same major.minor.patch, so that nobody gets one without asking for it.
 */
#ifndef KL_GIT_SEMVER_H
#define KL_GIT_SEMVER_H

#include <kilter/base.h>

struct kl_semver {
    uint64_t major, minor, patch;
    struct kilter_str prerelease; /* "rc.1", empty for a release */
    struct kilter_str build;      /* "20240101", not part of the order */
};

#define KL_SEMVER_MAX_TERMS 32

enum kl_semver_op { KL_SEMVER_EQ = 1, KL_SEMVER_NE, KL_SEMVER_LT, KL_SEMVER_LE, KL_SEMVER_GT, KL_SEMVER_GE };

struct kl_semver_term {
    enum kl_semver_op op;
    unsigned alternative; /* terms of one alternative must all hold */
    bool bound;           /* an end that the range's form implies, not a version that the user named */
    struct kl_semver version;
};

struct kl_semver_range {
    size_t count;
    unsigned alternatives;
    struct kl_semver_term terms[KL_SEMVER_MAX_TERMS];
};

/* Strict but for a leading "v" (or "V"): three numbers without leading zeros. 0 or KILTER_E_INVALID. */
int kl_semver_parse(struct kilter_str text, struct kl_semver *ret);

/* <0, 0 or >0 by the specification's precedence; build metadata does not count. */
int kl_semver_compare(const struct kl_semver *a, const struct kl_semver *b);

/* 0, or KILTER_E_INVALID with the reason ("expected a version after '>='") as a constant text in *ret_why and
 * the offset in the text in *ret_at; both may be NULL. KILTER_E_LIMIT with more than KL_SEMVER_MAX_TERMS. */
int kl_semver_range_parse(struct kilter_str text, struct kl_semver_range *ret, const char **ret_why,
                          size_t *ret_at);

bool kl_semver_matches(const struct kl_semver_range *range, const struct kl_semver *version);

#endif
