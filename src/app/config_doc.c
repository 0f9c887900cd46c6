/* config_doc.c - a YAML text as a tree of nodes that know their lines. Called by config*.c. */
#include "app/config_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 120 /* a longer path is cut at its front, so that the message keeps its room */

static enum rpcfan_err fail_at_line(const char *name, size_t line, struct rpcfan_error *err,
                                    const char *text)
{
    size_t n = strlen(name);
    bool cut = n > NAME_SHOWN;
    return rf_fail(err, RPCFAN_ECONFIG, "%s%s:%zu: %s", cut ? "..." : "",
                   cut ? name + n - NAME_SHOWN : name, line, text);
}

enum rpcfan_err rf_yaml_fail(const struct rf_yaml *y, const yaml_node_t *at,
                             struct rpcfan_error *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return fail_at_line(y->name, at != NULL ? at->start_mark.line + 1 : 1, err, text);
}

/* The reader reports an offset and no mark. */
static size_t line_of_offset(const char *text, size_t len, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < len && i < offset; i++)
        line += text[i] == '\n';
    return line;
}

/* libyaml's own words are constants: they hold nothing of the text. */
static enum rpcfan_err explain_parser(const yaml_parser_t *parser, const struct rf_yaml *y,
                                      struct rpcfan_slice text, struct rpcfan_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        return fail_at_line(y->name, line_of_offset(text.data, text.len, parser->problem_offset),
                            err, "this is not text in UTF-8");
    char words[200];
    snprintf(words, sizeof words, "%s%s%s",
             parser->problem != NULL ? parser->problem : "not valid YAML",
             parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
    return fail_at_line(y->name, parser->problem_mark.line + 1, err, words);
}

/* A second document would be ignored silently: refuse it. */
static enum rpcfan_err refuse_second(yaml_parser_t *parser, const struct rf_yaml *y,
                                     struct rpcfan_slice text, struct rpcfan_error *err)
{
    yaml_document_t second;
    if (yaml_parser_load(parser, &second) == 0)
        return explain_parser(parser, y, text, err);
    yaml_node_t *root = yaml_document_get_root_node(&second);
    enum rpcfan_err rc = RPCFAN_OK;
    if (root != NULL)
        rc = rf_yaml_fail(y, root, err, "a second document ('---') begins; only one is read");
    yaml_document_delete(&second);
    return rc;
}

enum rpcfan_err rf_yaml_load(struct rf_yaml *y, const char *text, size_t len, const char *name,
                             struct rpcfan_error *err)
{
    enum rpcfan_err rc = RPCFAN_OK;
    struct rpcfan_slice all = {text, len};
    yaml_parser_t parser;

    y->name = name;
    const char *nul = memchr(text, '\0', len);
    if (nul != NULL)
        return fail_at_line(name, line_of_offset(text, len, (size_t)(nul - text)), err,
                            "this is not text: it holds a NUL byte");
    if (yaml_parser_initialize(&parser) == 0)
        return rf_fail(err, RPCFAN_ENOMEM, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (yaml_parser_load(&parser, &y->doc) == 0) {
        rc = explain_parser(&parser, y, all, err);
        goto out;
    }
    y->loaded = true;
    if (rf_yaml_root(y) != NULL)
        rc = refuse_second(&parser, y, all, err);
out:
    yaml_parser_delete(&parser);
    return rc;
}

void rf_yaml_fini(struct rf_yaml *y)
{
    if (y->loaded)
        yaml_document_delete(&y->doc);
    y->loaded = false;
}

/* libyaml's accessors take documents that are not const, and do not change them. */
static yaml_node_t *node_at(const struct rf_yaml *y, int index)
{
    return y->doc.nodes.start + (index - 1);
}

yaml_node_t *rf_yaml_root(const struct rf_yaml *y)
{
    return y->doc.nodes.top == y->doc.nodes.start ? NULL : y->doc.nodes.start;
}

size_t rf_yaml_count(const yaml_node_t *node)
{
    if (node != NULL && node->type == YAML_MAPPING_NODE)
        return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    if (node != NULL && node->type == YAML_SEQUENCE_NODE)
        return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    return 0;
}

yaml_node_t *rf_yaml_item(const struct rf_yaml *y, const yaml_node_t *list, size_t i)
{
    return node_at(y, list->data.sequence.items.start[i]);
}

yaml_node_t *rf_yaml_pair(const struct rf_yaml *y, const yaml_node_t *map, size_t i,
                          yaml_node_t **value)
{
    const yaml_node_pair_t *pair = &map->data.mapping.pairs.start[i];
    *value = node_at(y, pair->value);
    return node_at(y, pair->key);
}

const char *rf_yaml_text(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return "";
    return (const char *)node->data.scalar.value;
}

yaml_node_t *rf_yaml_get(const struct rf_yaml *y, const yaml_node_t *map, const char *key)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (size_t i = 0; i < rf_yaml_count(map); i++) {
        yaml_node_t *value;
        const yaml_node_t *name = rf_yaml_pair(y, map, i, &value);
        if (name->type == YAML_SCALAR_NODE && strcmp(rf_yaml_text(name), key) == 0)
            return value;
    }
    return NULL;
}

bool rf_yaml_repeats(const struct rf_yaml *y, const yaml_node_t *map, size_t i)
{
    yaml_node_t *value;
    const char *key = rf_yaml_text(rf_yaml_pair(y, map, i, &value));
    for (size_t j = 0; j < i; j++) {
        if (strcmp(rf_yaml_text(rf_yaml_pair(y, map, j, &value)), key) == 0)
            return true;
    }
    return false;
}
