/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_text.h: putting scalars on a YAML page: the choice of style, folding,
 * escapes.
 *
 * The page knows where on the line it stands. What is decided here follows
 * go-yaml v2's emitter to the byte, since its output is what both forms print.
 */
#ifndef KL_YAML_TEXT_H
#define KL_YAML_TEXT_H

#include <kilter/arena.h>

struct kl_page {
    struct kilter_buf *out;
    int column;       /* characters on this line */
    bool blank;       /* the last thing put was white space or an opening bracket */
    bool indentation; /* nothing but indentation and "-", "?", ":" on this line so far */
};

#define KL_PAGE_INIT(buf)                                                                                          \
    {                                                                                                              \
        (buf), 0, true, true                                                                                       \
    }

/* To column `indent` of a line on which nothing but indentation stands, a new one if need be. */
void kl_page_indent(struct kl_page *page, int indent);

/* An indicator, a blank before it if `apart` and there is none. */
void kl_page_indicator(struct kl_page *page, const char *text, bool apart, bool opens, bool indents);

/* What decides how a text can be written. */
struct kl_text_traits {
    bool plain_allowed, single_quoted_allowed, literal_allowed, multiline;
};

struct kl_text_traits kl_text_look(struct kilter_str text);

/* A string, quoted where a reader would take it for something else. Lines that follow begin at column
 * `indent`; a `key` stays on its line. */
void kl_page_string(struct kl_page *page, struct kilter_str text, int indent, bool key);

/* The text of a null, boolean or number. */
void kl_page_plain(struct kl_page *page, struct kilter_str text);

#endif
