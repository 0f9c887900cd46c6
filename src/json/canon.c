/* canon.c - writes JSON in its canonical form.
 *
 * One pass of the scanner writes a flat text: scalars canonical, whitespace gone, members in the
 * order in which they came. Beside it stands, for each object whose members are not in order (or
 * that holds such an object), a record of where it is and its members, sorted. A second pass copies
 * the flat text and takes the members of recorded objects in their sorted order; so each byte is
 * moved twice, however deep it is nested. Where no object had to be recorded the flat text is the
 * answer. Both passes keep their own stack. */
#include "json/canon.h"

#include <string.h>

#include "json/number.h"
#include "json/rpc.h"

/* A member: its name, and where it stands in the flat text, from the quote to behind the value. */
struct member {
    size_t key, key_len; /* name with escapes undone, in canon.keys */
    size_t at, end;
    size_t obj, obj_end; /* records of objects inside of the value */
};

/* An object that is copied member by member. */
struct object {
    size_t at, end;   /* in the flat text, with braces */
    size_t member, n; /* its members in canon.members */
    size_t obj_end;   /* behind the records of the objects inside */
};

/* An open array or object of the first pass. */
struct level {
    bool object;
    size_t obj;     /* its record */
    size_t pending; /* its first member in canon.pending */
};

/* Arrays of records are kept in buffers: `len` is in bytes. */
struct canon {
    const char *json;
    struct rf_buf *out; /* the flat text, from `base` */
    size_t base;
    struct rf_buf keys;    /* names of the pending members */
    struct rf_buf pending; /* struct member, of all open objects */
    struct rf_buf members; /* struct member, of recorded objects */
    struct rf_buf objects; /* struct object, in the order of their first bytes */
    struct rf_buf levels;  /* struct level */
};

#define AT(buf, type, i) (((type *)(void *)(buf).data) + (i))
#define LEN(buf, type) ((buf).len / sizeof(type))

/* One record more. @return NULL when out of memory. */
static void *push(struct rf_buf *b, size_t size)
{
    if (!rf_buf_reserve(b, size))
        return NULL;
    void *p = b->data + b->len;
    b->len += size;
    return p;
}

/* Order by name; equal names by place. */
static int compare(const char *keys, const struct member *a, const struct member *b)
{
    size_t least = a->key_len < b->key_len ? a->key_len : b->key_len;
    int by_bytes = least == 0 ? 0 : memcmp(keys + a->key, keys + b->key, least);
    if (by_bytes != 0)
        return by_bytes;
    if (a->key_len != b->key_len)
        return a->key_len < b->key_len ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static bool same_name(const char *keys, const struct member *a, const struct member *b)
{
    return a->key_len == b->key_len &&
           (a->key_len == 0 || memcmp(keys + a->key, keys + b->key, a->key_len) == 0);
}

static void swap(struct member *a, struct member *b)
{
    struct member t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(const char *keys, struct member *m, size_t i, size_t n)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && compare(keys, &m[child], &m[child + 1]) < 0)
            child++;
        if (compare(keys, &m[i], &m[child]) >= 0)
            return;
        swap(&m[i], &m[child]);
    }
}

#define SMALL 16

/* Heap sort: no memory of its own and no bad case, for the names come from strangers. */
static void sort(const char *keys, struct member *m, size_t n)
{
    if (n <= SMALL) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k > 0 && compare(keys, &m[k - 1], &m[k]) > 0; k--)
                swap(&m[k - 1], &m[k]);
        return;
    }
    for (size_t i = n / 2; i-- > 0;)
        sift_down(keys, m, i, n);
    for (size_t i = n; i-- > 1;) {
        swap(&m[0], &m[i]);
        sift_down(keys, m, 0, i);
    }
}

/* Whether the names rise, each one standing once. */
static bool in_order(const char *keys, const struct member *m, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (compare(keys, &m[i - 1], &m[i]) > 0 || same_name(keys, &m[i - 1], &m[i]))
            return false;
    }
    return true;
}

/* A comma where a value or name does not begin its array, object, member or text. */
static void separate(struct canon *c)
{
    struct rf_buf *b = c->out;
    if (b->len == c->base || b->failed)
        return;
    char last = b->data[b->len - 1];
    if (last != '[' && last != '{' && last != ':')
        rf_buf_char(b, ',');
}

static void write_string(struct rf_buf *b, const char *s, size_t len)
{
    rf_buf_char(b, '"');
    rf_buf_add(b, s, len);
    rf_buf_char(b, '"');
}

static bool open_level(struct canon *c, bool object)
{
    struct level *l = push(&c->levels, sizeof *l);
    if (l == NULL)
        return false;
    separate(c);
    *l = (struct level){object, LEN(c->objects, struct object), LEN(c->pending, struct member)};
    if (object) {
        struct object *o = push(&c->objects, sizeof *o);
        if (o == NULL)
            return false;
        *o = (struct object){.at = c->out->len};
    }
    rf_buf_char(c->out, object ? '{' : '[');
    return true;
}

/* The latest member of the innermost object ends here. */
static void end_member(struct canon *c, const struct level *l)
{
    size_t n = LEN(c->pending, struct member);
    if (n == l->pending)
        return;
    struct member *m = AT(c->pending, struct member, n - 1);
    m->end = c->out->len;
    m->obj_end = LEN(c->objects, struct object);
}

static bool begin_member(struct canon *c, const char *s, size_t len, bool escaped)
{
    end_member(c, AT(c->levels, struct level, LEN(c->levels, struct level) - 1));
    separate(c);
    struct member *m = push(&c->pending, sizeof *m);
    if (m == NULL)
        return false;
    *m = (struct member){.key = c->keys.len, .at = c->out->len};
    m->obj = m->obj_end = LEN(c->objects, struct object);
    if (escaped)
        rf_json_unescape(&c->keys, s, len);
    else
        rf_buf_add(&c->keys, s, len);
    m->key_len = c->keys.len - m->key;
    if (c->keys.failed)
        return false;
    if (escaped)
        rf_json_quote(c->out, c->keys.data + m->key, m->key_len);
    else
        write_string(c->out, s, len);
    rf_buf_char(c->out, ':');
    return true;
}

/* Keep the members of an object that is recorded: sorted, and of one name the last one. */
static bool keep_members(struct canon *c, struct object *o, struct member *m, size_t n)
{
    const char *keys = c->keys.data;
    o->member = LEN(c->members, struct member);
    sort(keys, m, n);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && same_name(keys, &m[i], &m[i + 1]))
            continue;
        struct member *kept = push(&c->members, sizeof *kept);
        if (kept == NULL)
            return false;
        *kept = m[i];
        o->n++;
    }
    return true;
}

static bool close_object(struct canon *c, const struct level *l)
{
    bool ok = true;
    end_member(c, l);
    size_t n = LEN(c->pending, struct member) - l->pending;
    struct member *m = n > 0 ? AT(c->pending, struct member, l->pending) : NULL;
    size_t n_objects = LEN(c->objects, struct object);
    size_t keys_len = n > 0 ? m[0].key : c->keys.len; /* before the sort */
    rf_buf_char(c->out, '}');
    if (n == 0 || (l->obj + 1 == n_objects && in_order(c->keys.data, m, n))) {
        c->objects.len = l->obj * sizeof(struct object); /* it is as it should be */
    } else {
        struct object *o = AT(c->objects, struct object, l->obj);
        o->end = c->out->len;
        o->obj_end = n_objects;
        ok = keep_members(c, o, m, n);
    }
    c->keys.len = keys_len;
    c->pending.len = l->pending * sizeof(struct member);
    return ok;
}

static bool close_level(struct canon *c)
{
    struct level l = *AT(c->levels, struct level, LEN(c->levels, struct level) - 1);
    c->levels.len -= sizeof l;
    if (l.object)
        return close_object(c, &l);
    rf_buf_char(c->out, ']');
    return true;
}

static bool add_string(struct canon *c, const char *s, size_t len, bool escaped)
{
    separate(c);
    if (!escaped) {
        write_string(c->out, s, len);
        return true;
    }
    size_t at = c->keys.len;
    rf_json_unescape(&c->keys, s, len);
    if (c->keys.failed)
        return false;
    rf_json_quote(c->out, c->keys.data + at, c->keys.len - at);
    c->keys.len = at;
    return true;
}

static bool take(struct canon *c, enum rf_tok tok, const struct rf_scan *s)
{
    const char *text = c->json + s->start;
    size_t len = (size_t)(s->end - s->start);
    switch (tok) {
    case RF_TOK_OBJECT:
    case RF_TOK_ARRAY:
        return open_level(c, tok == RF_TOK_OBJECT);
    case RF_TOK_OBJECT_END:
    case RF_TOK_ARRAY_END:
        return close_level(c);
    case RF_TOK_KEY:
        return begin_member(c, text + 1, len - 2, s->escaped);
    case RF_TOK_STRING:
        return add_string(c, text + 1, len - 2, s->escaped);
    case RF_TOK_NUMBER:
        separate(c);
        rf_json_number_canon(c->out, text, len);
        return true;
    default:
        separate(c);
        rf_buf_add(c->out, text, len);
        return true;
    }
}

/* The first pass. */
static bool flatten(struct canon *c, struct rpcfan_slice json)
{
    struct rf_scan s;
    enum rf_tok tok;
    size_t pos = 0;
    int number;
    rf_scan_init(&s, RF_SCAN_DEPTH);
    while ((tok = rf_scan_next(&s, json.data, json.len, &pos)) > RF_TOK_ERROR) {
        if (!take(c, tok, &s) || c->out->failed)
            return false;
    }
    if (rf_scan_finish(&s, &number) != RPCFAN_OK)
        return false;
    return (number == 0 || take(c, RF_TOK_NUMBER, &s)) && !c->out->failed;
}

/* A piece of the flat text that is being copied, and the recorded object in it that is open. */
struct frame {
    size_t at, end;      /* what is left of the piece */
    size_t obj, obj_end; /* the recorded objects in it */
    size_t member, n;    /* the next member of the open one, and how many are left */
    bool open, first;
};

/* One step of the second pass: into the next member, out of an object, on to the next object, or
 * out of the piece. @return false when out of memory. */
static bool arrange_step(struct canon *c, struct rf_buf *frames, struct rf_buf *to)
{
    struct frame *f = AT(*frames, struct frame, LEN(*frames, struct frame) - 1);
    const char *flat = c->out->data;
    const struct object *o = AT(c->objects, struct object, f->obj);
    if (f->open && f->n > 0) {
        const struct member *m = AT(c->members, struct member, f->member);
        if (!f->first)
            rf_buf_char(to, ',');
        f->first = false;
        f->member++;
        f->n--;
        struct frame *inner = push(frames, sizeof *inner);
        if (inner == NULL)
            return false;
        *inner = (struct frame){.at = m->at, .end = m->end, .obj = m->obj, .obj_end = m->obj_end};
    } else if (f->open) {
        rf_buf_char(to, '}');
        f->at = o->end;
        f->obj = o->obj_end;
        f->open = false;
    } else if (f->obj < f->obj_end) {
        rf_buf_add(to, flat + f->at, o->at + 1 - f->at); /* with the brace */
        f->member = o->member;
        f->n = o->n;
        f->open = f->first = true;
    } else {
        rf_buf_add(to, flat + f->at, f->end - f->at);
        frames->len -= sizeof *f;
    }
    return !to->failed;
}

/* The second pass. */
static bool arrange(struct canon *c)
{
    struct rf_buf frames = {0}, to = {0};
    bool ok = rf_buf_reserve(&to, c->out->len - c->base);
    struct frame *f = ok ? push(&frames, sizeof *f) : NULL;
    if (f != NULL)
        *f = (struct frame){
            .at = c->base, .end = c->out->len, .obj_end = LEN(c->objects, struct object)};
    ok = f != NULL;
    while (ok && frames.len > 0)
        ok = arrange_step(c, &frames, &to);
    if (ok) {
        c->out->len = c->base;
        rf_buf_add(c->out, to.data, to.len); /* it fits: nothing was added, doubles were dropped */
    }
    rf_buf_fini(&frames);
    rf_buf_fini(&to);
    return ok;
}

bool rf_json_canon(struct rpcfan_slice json, struct rf_buf *out)
{
    struct canon c = {.json = json.data, .out = out, .base = out->len};
    bool ok = !out->failed && rf_buf_reserve(out, json.len) && flatten(&c, json);
    if (ok && c.objects.len > 0)
        ok = arrange(&c);
    if (!ok)
        out->len = c.base;
    rf_buf_fini(&c.keys);
    rf_buf_fini(&c.pending);
    rf_buf_fini(&c.members);
    rf_buf_fini(&c.objects);
    rf_buf_fini(&c.levels);
    return ok;
}

uint64_t rf_json_canon_hash(struct rpcfan_slice canon)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 over the golden ratio */
    uint64_t h = canon.len * odd;
    for (size_t i = 0; i < canon.len; i += 8) {
        uint64_t w = 0;
        size_t left = canon.len - i;
        memcpy(&w, canon.data + i, left < 8 ? left : 8);
        h = (h ^ w) * odd;
        h ^= h >> 29;
    }
    h *= UINT64_C(0xbf58476d1ce4e5b9); /* the finish of splitmix64 */
    return h ^ h >> 32;
}
