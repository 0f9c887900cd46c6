/* config_value.c - one value of a configuration: variables put in, read strictly, stored.
 *
 * No message repeats a value: any of them may hold a key that stands in the wrong place. */
#include "app/config_value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/option_text.h"
#include "base/buf.h"
#include "base/mem.h"

#define VARIABLE_MAX 128
#define NAME_MAX_LEN 64
#define SECRET_DIGITS 64
#define SECRET_FILE_MAX 4096
#define TEXT_FILE_MAX (1024 * 1024)
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Take one variable, `p` being behind its `${`. Returns what stands behind its `}`, or NULL with
 * `*rc` set. */
static const char *expand_one(struct rf_config_build *b, const yaml_node_t *at, const char *p,
                              struct rf_buf *out, enum rpcfan_err *rc)
{
    char name[VARIABLE_MAX];
    size_t n = strspn(p, LETTERS DIGITS "_");
    const char *end = strchr(p, '}');
    bool has_default = strncmp(p + n, ":-", 2) == 0;

    if (end == NULL || n == 0 || n >= sizeof name || strchr(DIGITS, p[0]) != NULL ||
        (p[n] != '}' && !has_default)) {
        *rc = rf_yaml_fail(b->y, at, b->err,
                           "a variable is ${NAME} or ${NAME:-default}; write $${ for a plain ${");
        return NULL;
    }
    memcpy(name, p, n);
    name[n] = '\0';
    const char *value = getenv(name);
    if (has_default && (value == NULL || value[0] == '\0')) {
        rf_buf_add(out, p + n + 2, (size_t)(end - (p + n + 2)));
    } else if (value == NULL) {
        *rc = rf_yaml_fail(b->y, at, b->err,
                           "environment variable %s is not set; set it, or give a default: "
                           "${%s:-...}",
                           name, name);
        return NULL;
    } else {
        rf_buf_str(out, value);
    }
    return end + 1;
}

enum rpcfan_err rf_config_expand(struct rf_config_build *b, const yaml_node_t *at, const char *raw,
                                 const char **out)
{
    enum rpcfan_err rc = RPCFAN_OK;
    struct rf_buf buf = {0};
    const char *p = raw;
    while (*p != '\0') {
        if (strncmp(p, "$${", 3) == 0) {
            rf_buf_str(&buf, "${");
            p += 3;
        } else if (strncmp(p, "${", 2) == 0) {
            p = expand_one(b, at, p + 2, &buf, &rc);
            if (p == NULL)
                goto fail;
        } else {
            rf_buf_char(&buf, *p++);
        }
    }
    rf_buf_char(&buf, '\0');
    if (buf.failed) {
        rc = rf_fail(b->err, RPCFAN_ENOMEM, "out of memory");
        goto fail;
    }
    char *text = rf_config_keep(b, buf.len);
    if (text == NULL) {
        rc = RPCFAN_ENOMEM;
        goto fail;
    }
    memcpy(text, buf.data, buf.len);
    *out = text;
fail:
    rf_buf_fini(&buf);
    return rc;
}

enum rpcfan_err rf_config_number(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    if (*text == '\0')
        return RPCFAN_EINVAL;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return RPCFAN_EINVAL;
        uint64_t digit = (uint64_t)(*text - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return RPCFAN_EINVAL;
        v = v * 10 + digit;
    }
    *out = v;
    return RPCFAN_OK;
}

/* Where a word stands among `n` words; n where it does not. */
static size_t find_word(const char *const *words, size_t n, const char *text)
{
    size_t i = 0;
    while (i < n && strcmp(words[i], text) != 0)
        i++;
    return i;
}

static enum rpcfan_err store_number(struct rf_config_build *b, const struct rf_config_key *key,
                                    const yaml_node_t *at, const char *text, void *member)
{
    uint64_t v;
    if (rf_config_number(text, &v) != RPCFAN_OK || v < key->lowest || v > key->highest)
        return rf_yaml_fail(b->y, at, b->err, "%s must be a whole number from %llu to %llu",
                            key->key, (unsigned long long)key->lowest,
                            (unsigned long long)key->highest);
    if (key->kind == RF_CONFIG_U32) {
        uint32_t narrow = (uint32_t)v;
        memcpy(member, &narrow, sizeof narrow);
    } else {
        memcpy(member, &v, sizeof v);
    }
    return RPCFAN_OK;
}

static enum rpcfan_err store_ms(struct rf_config_build *b, const struct rf_config_key *key,
                                const yaml_node_t *at, const char *text, void *member)
{
    uint64_t ns;
    if (rf_parse_duration(text, &ns) != RPCFAN_OK)
        return rf_yaml_fail(b->y, at, b->err,
                            "%s must be a duration with a unit, such as 250ms, 15s or 1m",
                            key->key);
    uint64_t ms = ns / RF_MS;
    if (ns % RF_MS != 0 || ms < key->lowest || ms > key->highest)
        return rf_yaml_fail(b->y, at, b->err, "%s must be whole milliseconds, from %llums to %llus",
                            key->key, (unsigned long long)key->lowest,
                            (unsigned long long)key->highest / 1000);
    memcpy(member, &ms, sizeof ms);
    return RPCFAN_OK;
}

static enum rpcfan_err store_bytes(struct rf_config_build *b, const struct rf_config_key *key,
                                   const yaml_node_t *at, const char *text, void *member)
{
    uint64_t v;
    if (rf_parse_bytes(text, &v) != RPCFAN_OK)
        return rf_yaml_fail(b->y, at, b->err, "%s must be a size, such as 65536, 256KiB or 64MiB",
                            key->key);
    if (v < key->lowest || v > key->highest)
        return rf_yaml_fail(b->y, at, b->err, "%s must be from %lluKiB to %lluKiB", key->key,
                            (unsigned long long)(key->lowest / RF_KIB),
                            (unsigned long long)(key->highest / RF_KIB));
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_bool(struct rf_config_build *b, const struct rf_config_key *key,
                                  const yaml_node_t *at, const char *text, void *member)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    size_t i = find_word(words, RF_COUNT(words), text);
    if (i == RF_COUNT(words))
        return rf_yaml_fail(b->y, at, b->err, "%s must be true or false", key->key);
    int v = (int)(i % 2) ^ (key->kind == RF_CONFIG_NOT);
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_percent(struct rf_config_build *b, const struct rf_config_key *key,
                                     const yaml_node_t *at, const char *text, void *member)
{
    uint32_t v;
    if (rf_option_percent(text, &v) != RPCFAN_OK || v < key->lowest || v > key->highest)
        return rf_yaml_fail(b->y, at, b->err, "%s must be a share from %llu%% to %llu%%, as in 5%%",
                            key->key, (unsigned long long)key->lowest,
                            (unsigned long long)key->highest);
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_policy(struct rf_config_build *b, const struct rf_config_key *key,
                                    const yaml_node_t *at, const char *text, void *member)
{
    enum rpcfan_policy v;
    if (rf_option_policy(text, &v) != RPCFAN_OK)
        return rf_yaml_fail(b->y, at, b->err,
                            "%s must be balance, failover, first, quorum or broadcast", key->key);
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_split(struct rf_config_build *b, const struct rf_config_key *key,
                                   const yaml_node_t *at, const char *text, void *member)
{
    enum rpcfan_split v;
    if (rf_option_split(text, &v) != RPCFAN_OK)
        return rf_yaml_fail(b->y, at, b->err, "%s must be range or none", key->key);
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_family(struct rf_config_build *b, const struct rf_config_key *key,
                                    const yaml_node_t *at, const char *text, void *member)
{
    static const char *const words[] = {"generic", "evm", "solana"};
    size_t i = find_word(words, RF_COUNT(words), text);
    if (i == RF_COUNT(words))
        return rf_yaml_fail(b->y, at, b->err, "%s must be evm, solana or generic", key->key);
    enum rpcfan_family v = (enum rpcfan_family)i;
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static enum rpcfan_err store_level(struct rf_config_build *b, const struct rf_config_key *key,
                                   const yaml_node_t *at, const char *text, void *member)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    size_t i = find_word(words, RF_COUNT(words), text);
    if (i == RF_COUNT(words))
        return rf_yaml_fail(b->y, at, b->err, "%s must be error, warn, info or debug", key->key);
    int v = (int)i;
    memcpy(member, &v, sizeof v);
    return RPCFAN_OK;
}

static void store_text(const char *text, void *member)
{
    memcpy(member, &text, sizeof text);
}

static enum rpcfan_err store_name(struct rf_config_build *b, const struct rf_config_key *key,
                                  const yaml_node_t *at, const char *text, void *member)
{
    size_t n = strlen(text);
    if (n == 0 || n > NAME_MAX_LEN || strspn(text, LETTERS DIGITS "._-") != n)
        return rf_yaml_fail(b->y, at, b->err, "%s must be 1 to %d letters, digits, '.', '_' or '-'",
                            key->key, NAME_MAX_LEN);
    store_text(text, member);
    return RPCFAN_OK;
}

/* `scheme://host...` in one of `schemes`, without blanks or control bytes. */
static bool is_url(const char *text, const char *const *schemes, size_t n)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], len) == 0)
            return strchr("/?#:", text[len]) == NULL; /* strchr finds the end of the text too */
    }
    return false;
}

static enum rpcfan_err store_url(struct rf_config_build *b, const struct rf_config_key *key,
                                 const yaml_node_t *at, const char *text, void *member)
{
    static const char *const node[] = {"http://", "https://"};
    static const char *const ws[] = {"ws://", "wss://"};
    static const char *const proxy[] = {"http://",    "https://",  "socks4://",
                                        "socks4a://", "socks5://", "socks5h://"};
    if (key->kind == RF_CONFIG_URL && !is_url(text, node, RF_COUNT(node)))
        return rf_yaml_fail(b->y, at, b->err,
                            "%s must be http://HOST... or https://HOST..., without blanks",
                            key->key);
    if (key->kind == RF_CONFIG_WS_URL && text[0] != '\0' && !is_url(text, ws, RF_COUNT(ws)))
        return rf_yaml_fail(b->y, at, b->err,
                            "%s must be ws://HOST... or wss://HOST..., or \"\" for none", key->key);
    if (key->kind == RF_CONFIG_PROXY && text[0] != '\0' && !is_url(text, proxy, RF_COUNT(proxy)))
        return rf_yaml_fail(b->y, at, b->err,
                            "%s must be a URL (http, https, socks4, socks4a, socks5, socks5h), or "
                            "\"\" for none",
                            key->key);
    store_text(text, member);
    return RPCFAN_OK;
}

/* Paths count from the configuration's directory, so that it means the same wherever it is read. */
static enum rpcfan_err make_path(struct rf_config_build *b, const struct rf_config_key *key,
                                 const yaml_node_t *at, const char *text, const char **out)
{
    size_t n = strlen(text), dir = text[0] == '/' ? 0 : strlen(b->dir);
    if (n == 0)
        return rf_yaml_fail(b->y, at, b->err, "%s is empty", key->key);
    char *path = rf_config_keep(b, dir + n + 1);
    if (path == NULL)
        return RPCFAN_ENOMEM;
    memcpy(path, b->dir, dir);
    memcpy(path + dir, text, n);
    *out = path;
    return RPCFAN_OK;
}

/* 64 hex digits, with or without 0x in front as some nodes write it. */
static enum rpcfan_err store_secret(struct rf_config_build *b, const struct rf_config_key *key,
                                    const yaml_node_t *at, const char *text, void *member)
{
    const char *old;
    memcpy(&old, member, sizeof old);
    if (old != NULL)
        return rf_yaml_fail(b->y, at, b->err, "jwt_secret and jwt_secret_file exclude each other");
    if (strncmp(text, "0x", 2) == 0)
        text += 2;
    if (strlen(text) != SECRET_DIGITS || strspn(text, DIGITS "abcdefABCDEF") != SECRET_DIGITS)
        return rf_yaml_fail(b->y, at, b->err, "%s must hold %d hex digits (32 bytes)", key->key,
                            SECRET_DIGITS);
    store_text(text, member);
    return RPCFAN_OK;
}

/* Names the key's place in front of why its file cannot be read. */
static enum rpcfan_err fail_file(struct rf_config_build *b, const struct rf_config_key *key,
                                 const yaml_node_t *at, enum rpcfan_err rc)
{
    if (rc != RPCFAN_ENOMEM)
        rf_fail_prefix(b->err, "%s:%zu: %s: ", b->y->name, at->start_mark.line + 1, key->key);
    return rc;
}

static enum rpcfan_err store_text_file(struct rf_config_build *b, const struct rf_config_key *key,
                                       const yaml_node_t *at, const char *text, void *member)
{
    const char *path;
    char *whole = NULL;
    size_t len;
    enum rpcfan_err rc = make_path(b, key, at, text, &path);
    if (rc != RPCFAN_OK)
        return rc;
    rc = rf_config_read_file(path, "the file", TEXT_FILE_MAX, &whole, &len, b->err);
    if (rc != RPCFAN_OK)
        return fail_file(b, key, at, rc);
    char *kept = rf_config_keep(b, len + 1);
    if (kept == NULL)
        rc = RPCFAN_ENOMEM;
    else if (strlen(whole) != len)
        rc = rf_yaml_fail(b->y, at, b->err, "%s: the file is not text: it holds a NUL byte",
                          key->key);
    else
        store_text(memcpy(kept, whole, len + 1), member);
    rf_free(whole);
    return rc;
}

static enum rpcfan_err store_secret_file(struct rf_config_build *b, const struct rf_config_key *key,
                                         const yaml_node_t *at, const char *text, void *member)
{
    const char *path;
    char *whole = NULL;
    size_t len;
    enum rpcfan_err rc = make_path(b, key, at, text, &path);
    if (rc != RPCFAN_OK)
        return rc;
    rc = rf_config_read_file(path, "the file", SECRET_FILE_MAX, &whole, &len, b->err);
    if (rc != RPCFAN_OK)
        return fail_file(b, key, at, rc);
    const char *begin = whole + strspn(whole, " \t\r\n");
    size_t n = strcspn(begin, " \t\r\n");
    char *secret = rf_config_keep(b, n + 1);
    if (secret == NULL) {
        rc = RPCFAN_ENOMEM;
    } else {
        memcpy(secret, begin, n);
        rc = store_secret(b, key, at, secret, member);
    }
    explicit_bzero(whole, len);
    rf_free(whole);
    return rc;
}

enum rpcfan_err rf_config_store(struct rf_config_build *b, const struct rf_config_key *key,
                                const yaml_node_t *at, const char *raw, void *options)
{
    void *member = (char *)options + key->option_at;
    const char *text, *path;
    enum rpcfan_err rc = rf_config_expand(b, at, raw, &text);
    if (rc != RPCFAN_OK)
        return rc;
    switch (key->kind) {
    case RF_CONFIG_NAME:
        return store_name(b, key, at, text, member);
    case RF_CONFIG_URL:
    case RF_CONFIG_WS_URL:
    case RF_CONFIG_PROXY:
        return store_url(b, key, at, text, member);
    case RF_CONFIG_PATH:
        rc = make_path(b, key, at, text, &path);
        if (rc == RPCFAN_OK)
            store_text(path, member);
        return rc;
    case RF_CONFIG_SECRET:
        return store_secret(b, key, at, text, member);
    case RF_CONFIG_SECRET_FILE:
        return store_secret_file(b, key, at, text, member);
    case RF_CONFIG_TEXT_FILE:
        return store_text_file(b, key, at, text, member);
    case RF_CONFIG_U32:
    case RF_CONFIG_U64:
        return store_number(b, key, at, text, member);
    case RF_CONFIG_MS:
        return store_ms(b, key, at, text, member);
    case RF_CONFIG_BYTES:
        return store_bytes(b, key, at, text, member);
    case RF_CONFIG_BOOL:
    case RF_CONFIG_NOT:
        return store_bool(b, key, at, text, member);
    case RF_CONFIG_PERCENT:
        return store_percent(b, key, at, text, member);
    case RF_CONFIG_POLICY:
        return store_policy(b, key, at, text, member);
    case RF_CONFIG_SPLIT:
        return store_split(b, key, at, text, member);
    case RF_CONFIG_FAMILY:
        return store_family(b, key, at, text, member);
    case RF_CONFIG_LEVEL:
        return store_level(b, key, at, text, member);
    }
    return rf_yaml_fail(b->y, at, b->err, "%s is of no kind", key->key);
}
