/* config_check.c - a configuration's tree against its schema, with messages for people. Called by
 * config.c and config_endpoint.c before any value is read. */
#include <string.h>

#include "app/config_doc.h"

#define KEY_SHOWN 32 /* a longer "key" is something else, and might be a secret */
#define GUESS_DISTANCE 2

static const char *kind_name(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return "a mapping";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_SCALAR_NODE:
        return "a plain value";
    case YAML_NO_NODE:
        break;
    }
    return "nothing";
}

/* What YAML reads as "no value": an empty, plain scalar and its spellings. */
static bool is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < RF_COUNT(words); i++) {
        if (strcmp(rf_yaml_text(node), words[i]) == 0)
            return true;
    }
    return false;
}

enum rpcfan_err rf_yaml_need_text(const struct rf_yaml *y, const yaml_node_t *node,
                                  const char *what, struct rpcfan_error *err)
{
    if (node->type != YAML_SCALAR_NODE)
        return rf_yaml_fail(y, node, err, "%s must be a plain value, not %s", what,
                            kind_name(node));
    if (is_null(node))
        return rf_yaml_fail(y, node, err, "%s has no value; leave it out, or write \"\"", what);
    if (strlen(rf_yaml_text(node)) != node->data.scalar.length)
        return rf_yaml_fail(y, node, err, "%s holds a NUL byte", what);
    return RPCFAN_OK;
}

/* Edits (insert, delete, replace) between two words of at most KEY_SHOWN bytes. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[KEY_SHOWN + 1];
    size_t n = strlen(b);
    if (n > KEY_SHOWN)
        return KEY_SHOWN;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            unsigned shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < shift ? replace : shift;
        }
    }
    return row[n];
}

static const cyaml_schema_field_t *find_field(const struct rf_config_table *table, const char *key)
{
    for (const cyaml_schema_field_t *f = table->fields; f->key != NULL; f++) {
        if (strcmp(f->key, key) == 0)
            return f;
    }
    return NULL;
}

/* The key that was probably meant, or NULL. Short words must be closer than long ones. */
static const char *guess_key(const struct rf_config_table *table, const char *key)
{
    const char *best = NULL;
    unsigned best_distance = strlen(key) < 4 ? GUESS_DISTANCE : GUESS_DISTANCE + 1;
    for (const cyaml_schema_field_t *f = table->fields; f->key != NULL; f++) {
        unsigned d = distance(key, f->key);
        if (d < best_distance) {
            best = f->key;
            best_distance = d;
        }
    }
    return best;
}

/* Only what looks like a key is repeated: a URL or a token that slipped into its place is not. */
static bool may_show(const char *key)
{
    size_t n = strlen(key);
    return n > 0 && n <= KEY_SHOWN &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == n;
}

static enum rpcfan_err refuse_key(const struct rf_yaml *y, const yaml_node_t *node,
                                  const struct rf_config_table *table, struct rpcfan_error *err)
{
    const char *key = rf_yaml_text(node);
    if (strcmp(key, "<<") == 0)
        return rf_yaml_fail(y, node, err,
                            "merge keys ('<<') are not understood; give each value its own alias");
    if (!may_show(key))
        return rf_yaml_fail(y, node, err, "unknown key in %s", table->what);
    for (size_t i = 0; i < RF_TABLES; i++) {
        const struct rf_config_table *other = &rf_config_tables[i];
        if (other != table && find_field(other, key) != NULL)
            return rf_yaml_fail(y, node, err, "unknown key '%s' in %s; it belongs in %s", key,
                                table->what, other->what);
    }
    const char *guess = guess_key(table, key);
    if (guess != NULL)
        return rf_yaml_fail(y, node, err, "unknown key '%s' in %s; did you mean '%s'?", key,
                            table->what, guess);
    return rf_yaml_fail(y, node, err, "unknown key '%s' in %s", key, table->what);
}

static const struct rf_config_table *table_of(const cyaml_schema_field_t *fields)
{
    for (size_t i = 0; i < RF_TABLES; i++) {
        if (rf_config_tables[i].fields == fields)
            return &rf_config_tables[i];
    }
    return NULL;
}

static enum rpcfan_err check_list(const struct rf_yaml *y, const yaml_node_t *node,
                                  const cyaml_schema_field_t *field, struct rpcfan_error *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return rf_yaml_fail(y, node, err, "%s must be a list, not %s", field->key,
                            is_null(node) ? "empty" : kind_name(node));
    size_t n = rf_yaml_count(node);
    if (n < field->value.sequence.min)
        return rf_yaml_fail(y, node, err, "%s must hold at least one entry", field->key);
    if (n > field->value.sequence.max)
        return rf_yaml_fail(y, node, err, "%s holds %zu entries, at most %u are allowed",
                            field->key, n, (unsigned)field->value.sequence.max);
    const cyaml_schema_value_t *entry = field->value.sequence.entry;
    enum rpcfan_err rc = RPCFAN_OK;
    for (size_t i = 0; i < n && rc == RPCFAN_OK; i++) {
        const yaml_node_t *item = rf_yaml_item(y, node, i);
        if (entry->type == CYAML_MAPPING)
            rc = rf_config_check(y, item, table_of(entry->mapping.fields), err);
        else
            rc = rf_yaml_need_text(y, item, field->key, err);
    }
    return rc;
}

static enum rpcfan_err check_value(const struct rf_yaml *y, const yaml_node_t *node,
                                   const cyaml_schema_field_t *field, struct rpcfan_error *err)
{
    if (field->value.type == CYAML_STRING)
        return rf_yaml_need_text(y, node, field->key, err);
    if (field->value.type == CYAML_SEQUENCE)
        return check_list(y, node, field, err);
    if (is_null(node))
        return rf_yaml_fail(y, node, err, "%s has no value; leave it out", field->key);
    return RPCFAN_OK;
}

static enum rpcfan_err check_missing(const struct rf_yaml *y, const yaml_node_t *node,
                                     const struct rf_config_table *table, struct rpcfan_error *err)
{
    for (const cyaml_schema_field_t *f = table->fields; f->key != NULL; f++) {
        if ((f->value.flags & CYAML_FLAG_OPTIONAL) == 0 && rf_yaml_get(y, node, f->key) == NULL)
            return rf_yaml_fail(y, node, err, "%s has no '%s', which it needs", table->what,
                                f->key);
    }
    return RPCFAN_OK;
}

enum rpcfan_err rf_config_check(const struct rf_yaml *y, const yaml_node_t *node,
                                const struct rf_config_table *table, struct rpcfan_error *err)
{
    if (node->type != YAML_MAPPING_NODE)
        return rf_yaml_fail(y, node, err, "%s must be a mapping (key: value), not %s", table->what,
                            kind_name(node));
    for (size_t i = 0; i < rf_yaml_count(node); i++) {
        yaml_node_t *value;
        const yaml_node_t *key = rf_yaml_pair(y, node, i, &value);
        const cyaml_schema_field_t *field = find_field(table, rf_yaml_text(key));
        if (field == NULL)
            return refuse_key(y, key, table, err);
        if (rf_yaml_repeats(y, node, i))
            return rf_yaml_fail(y, key, err, "key '%s' is given twice in %s", field->key,
                                table->what);
        enum rpcfan_err rc = check_value(y, value, field, err);
        if (rc != RPCFAN_OK)
            return rc;
    }
    return check_missing(y, node, table, err);
}
