// SPDX-License-Identifier: Apache-2.0
/*
 * libyaml tells what its grammar expected; a person wants to know which habit of
 * YAML was missed. A table turns the first into the second.
 */
#include "yaml_explain.h"

#include <stdio.h>

#include "text.h"
#include "yaml_options.h"

/* Where a problem is shown: where the parser stood, or where the construct began that it was in. */
enum place { AT_PROBLEM, AT_CONTEXT };

struct explanation {
    const char *problem; /* as libyaml says it */
    enum place place;
    const char *code;
    const char *message; /* "%u" is the line on which the construct began */
    const char *hint;
};

#define SYNTAX "yaml.syntax"

static const struct explanation explanations[] = {
    { "mapping values are not allowed in this context", AT_PROBLEM, SYNTAX, "\":\" is not expected here",
      "put a text that holds \": \" in quotes; else check the indentation of this line, and "
      "the line before it for a missing \":\"" },
    { "could not find expected ':'", AT_CONTEXT, SYNTAX, "expected \":\" after this key",
      "a key and its value are written \"key: value\"; indent or quote a text of several lines" },
    { "did not find expected key", AT_PROBLEM, SYNTAX, "expected a key of the map that begins on line %u",
      "check the indentation of this line, and the quotes before it" },
    { "did not find expected '-' indicator", AT_PROBLEM, SYNTAX,
      "expected \"- \" for another item of the list that begins on line %u", "check the indentation of this line" },
    { "did not find expected ',' or ']'", AT_PROBLEM, SYNTAX,
      "expected \",\" or \"]\" in the list that begins on line %u", NULL },
    { "did not find expected ',' or '}'", AT_PROBLEM, SYNTAX,
      "expected \",\" or \"}\" in the map that begins on line %u", "put a text that begins with \"{\" in quotes" },
    { "did not find expected node content", AT_PROBLEM, SYNTAX, "expected a value here",
      "put a text that begins with a punctuation mark in quotes" },
    { "did not find expected <document start>", AT_PROBLEM, SYNTAX,
      "expected the end of the document or \"---\" here", "check the indentation of this line" },
    { "found unexpected end of stream", AT_CONTEXT, SYNTAX, "this quoted text has no closing quote", NULL },
    { "found unexpected document indicator", AT_CONTEXT, SYNTAX,
      "this quoted text has no closing quote before the document ends", NULL },
    { "found unknown escape character", AT_PROBLEM, SYNTAX, "unknown escape in double quotes",
      "write a backslash twice, or use single quotes" },
    { "did not find expected hexdecimal number", AT_PROBLEM, SYNTAX, "expected hexadecimal digits in this escape",
      "write a backslash twice, or use single quotes" },
    { "found invalid Unicode character escape code", AT_PROBLEM, SYNTAX, "this escape is no Unicode character",
      NULL },
    { "did not find expected comment or line break", AT_PROBLEM, SYNTAX, "expected the end of the line here",
      "behind \"|\" or \">\" only a digit, \"+\" or \"-\" and a comment may stand" },
    { "found an indentation indicator equal to 0", AT_PROBLEM, SYNTAX, "the indentation digit must be 1 to 9",
      NULL },
    { "found a tab character where an indentation space is expected", AT_PROBLEM, "yaml.tab",
      "a tab where the text's indentation is expected", "indent with blanks" },
    { "found a tab character that violates indentation", AT_PROBLEM, "yaml.tab",
      "a tab where indentation is expected", "indent with blanks" },
    { "block sequence entries are not allowed in this context", AT_PROBLEM, SYNTAX, "a list item cannot begin here",
      "begin the list on a line of its own, or put the text in quotes" },
    { "mapping keys are not allowed in this context", AT_PROBLEM, SYNTAX, "\"?\" is not expected here",
      "put the text in quotes" },
    { "found undefined tag handle", AT_PROBLEM, "yaml.tag", "this tag's handle is not declared",
      "declare it with %TAG, or leave the tag out" },
    { "did not find expected alphabetic or numeric character", AT_PROBLEM, SYNTAX,
      "a name of letters, digits, \"-\" and \"_\" must follow \"&\" or \"*\"",
      "put the text in quotes if it is no anchor and no alias" },
    { "did not find expected whitespace or line break", AT_PROBLEM, "yaml.tag", "expected a blank behind the tag",
      "put the text in quotes if it is no tag" },
    { "did not find the expected '>'", AT_PROBLEM, "yaml.tag", "expected \">\" at the end of the tag", NULL },
    { "did not find expected tag URI", AT_PROBLEM, "yaml.tag", "expected a tag's name",
      "put the text in quotes if it is no tag" },
    { "found unexpected ':'", AT_PROBLEM, SYNTAX, "\":\" is not expected here", "put the text in quotes" },
    { "found duplicate %YAML directive", AT_PROBLEM, SYNTAX, "%%YAML is there twice", NULL },
    { "found incompatible YAML document", AT_PROBLEM, SYNTAX, "only YAML 1.1 and 1.2 can be read", NULL },
    { "found unknown directive name", AT_PROBLEM, SYNTAX, "unknown directive", "%YAML and %TAG are known" },
    { "could not find expected directive name", AT_PROBLEM, SYNTAX, "expected a directive's name behind \"%%\"",
      "put a text that begins with % in quotes" },
    { "found unexpected non-alphabetical character", AT_PROBLEM, SYNTAX,
      "expected a directive's name behind \"%%\"", "put a text that begins with % in quotes" },
    { "found duplicate %TAG directive", AT_PROBLEM, "yaml.tag", "this %%TAG is there twice", NULL },
};

static const struct explanation *find_explanation(const char *problem)
{
    for (size_t i = 0; i < sizeof explanations / sizeof explanations[0]; i++) {
        if (strcmp(explanations[i].problem, problem) == 0)
            return &explanations[i];
    }
    return NULL;
}

/* The byte of a mark, which counts lines as YAML does and columns in characters. */
static size_t offset_of(struct kilter_str text, const yaml_mark_t *mark)
{
    size_t at = 0;
    for (size_t line = 0; line < mark->line && at < text.len; at++) {
        if (text.ptr[at] == '\n' || (text.ptr[at] == '\r' && !(at + 1 < text.len && text.ptr[at + 1] == '\n')))
            line++;
    }
    for (size_t column = 0; column < mark->column && at < text.len; column++) {
        at++;
        while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

static struct kilter_origin origin_of(const yaml_mark_t *mark, const struct kilter_parse_options *options)
{
    struct kilter_origin origin = { options->file, (uint32_t)mark->line + options->first_line,
                                    (uint32_t)mark->column + 1 };
    return origin;
}

static size_t line_start(struct kilter_str text, size_t at)
{
    while (at > 0 && text.ptr[at - 1] != '\n' && text.ptr[at - 1] != '\r')
        at--;
    return at;
}

/* A tab among the blanks that begin the line is the usual cause, whatever the parser says. */
static bool tab_in_indentation(struct kilter_str text, size_t at, size_t *ret_at)
{
    for (size_t i = line_start(text, at); i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t'); i++) {
        if (text.ptr[i] == '\t') {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static void explain_first_character(struct kilter_str text, size_t at, struct kilter_origin origin,
                                    struct kilter_diags *diags)
{
    uint32_t character = 0;
    size_t size = kl_utf8_decode(kilter_str_sub(text, at, 4), &character);
    kilter_diag_add(diags, KILTER_ERROR, SYNTAX, origin, "put the text in quotes",
                    "a text cannot begin with \"%.*s\"", (int)(size ? size : 1),
                    at < text.len ? text.ptr + at : "");
}

static void explain_encoding(const yaml_parser_t *parser, struct kilter_str text,
                             const struct kilter_parse_options *options, struct kilter_diags *diags)
{
    struct kilter_origin origin = kl_origin_at(text, parser->problem_offset, options);
    if (strcmp(parser->problem, "control characters are not allowed") == 0)
        kilter_diag_add(diags, KILTER_ERROR, "yaml.encoding", origin,
                        "write it as an escape in double quotes, or keep binary data in base64",
                        "control character U+%04X is not allowed", (unsigned)parser->problem_value);
    else if (parser->problem_value >= 0 && parser->problem_value <= 0xff)
        kilter_diag_add(diags, KILTER_ERROR, "yaml.encoding", origin, "save the file as UTF-8",
                        "byte 0x%02x is not UTF-8 here", (unsigned)parser->problem_value);
    else
        kilter_diag_add(diags, KILTER_ERROR, "yaml.encoding", origin, "save the file as UTF-8",
                        "the text is not valid Unicode: %s", parser->problem);
}

static void explain_unknown(const yaml_parser_t *parser, struct kilter_origin origin, struct kilter_diags *diags)
{
    if (parser->context)
        kilter_diag_add(diags, KILTER_ERROR, SYNTAX, origin, NULL, "%s, %s", parser->context, parser->problem);
    else
        kilter_diag_add(diags, KILTER_ERROR, SYNTAX, origin, NULL, "%s", parser->problem);
}

static void explain_known(const struct explanation *known, const yaml_parser_t *parser,
                          const struct kilter_parse_options *options, struct kilter_diags *diags)
{
    bool at_context = known->place == AT_CONTEXT && parser->context;
    char message[160];
    unsigned began = (unsigned)parser->context_mark.line + options->first_line;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof message, known->message, began);
#pragma GCC diagnostic pop
    kilter_diag_add(diags, KILTER_ERROR, known->code,
                    origin_of(at_context ? &parser->context_mark : &parser->problem_mark, options), known->hint,
                    "%s", message);
}

size_t kl_yaml_explain(const yaml_parser_t *parser, struct kilter_str text,
                       const struct kilter_parse_options *options, struct kilter_diags *diags)
{
    size_t tab;
    if (parser->error == YAML_READER_ERROR) {
        explain_encoding(parser, text, options, diags);
        return text.len; /* nothing after a broken character can be trusted */
    }
    size_t at = offset_of(text, &parser->problem_mark);
    struct kilter_origin origin = origin_of(&parser->problem_mark, options);
    const struct explanation *known = find_explanation(parser->problem);
    if (tab_in_indentation(text, at, &tab))
        kilter_diag_add(diags, KILTER_ERROR, "yaml.tab", kl_origin_at(text, tab, options), "indent with blanks",
                        "a tab cannot be used for indentation");
    else if (strcmp(parser->problem, "found character that cannot start any token") == 0)
        explain_first_character(text, at, origin, diags);
    else if (known)
        explain_known(known, parser, options, diags);
    else
        explain_unknown(parser, origin, diags);
    return at;
}
