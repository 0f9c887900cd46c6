/* subs_status.c - what the engine says of itself: counters, and a JSON object. */
#include "feed/subs_int.h"

#include "json/rpc.h"

void rf_subs_count(const struct rf_subs *s, struct rf_subs_counters *out)
{
    *out = s->count;
    out->subs = s->listeners.n;
    out->wire = s->wires.n;
    out->up = 0;
    for (const struct rf_link *l = s->all_wires.next; l != &s->all_wires; l = l->next) {
        const struct rf_subs_wire *w = RF_CONTAINER(l, struct rf_subs_wire, all);
        bool up = false;
        for (int i = 0; i < 2; i++)
            up = up || (w->leg[i].cur != NULL && w->leg[i].cur->state == RF_SEAT_UP);
        out->up += up ? 1 : 0;
    }
}

static void add_text(struct rf_buf *b, const char *name, const char *text)
{
    rf_buf_printf(b, ",\"%s\":", name);
    rf_json_quote(b, text, strlen(text));
}

static uint64_t ms_until(uint64_t at_ns, uint64_t now_ns)
{
    return rf_time_sub(at_ns, now_ns) / RF_MS;
}

static void add_session(const struct rf_subs_conn *c, uint64_t now_ns, bool first, struct rf_buf *b)
{
    uint32_t up = 0;
    const struct rf_link *head = &c->seats[RF_SEAT_UP];
    for (const struct rf_link *l = head->next; l != head; l = l->next)
        up += RF_CONTAINER(l, struct rf_subs_seat, on_conn)->role != RF_ROLE_NONE;
    rf_buf_printf(b, "%s{\"session\":%llu,\"state\":\"%s\",\"subs\":%u,\"up\":%u,\"slot\":%llu",
                  first ? "" : ",", (unsigned long long)c->session, rf_conn_state_name(c->state),
                  c->n_users, up, (unsigned long long)c->slot);
    rf_buf_printf(b, ",\"age_ms\":%llu", (unsigned long long)ms_until(now_ns, c->began_ns));
    add_text(b, "why", c->why != NULL ? c->why : "");
    rf_buf_char(b, '}');
}

static void add_endpoint(const struct rf_subs *s, uint32_t ep, uint64_t now_ns, struct rf_buf *b)
{
    const struct rf_subs_end_point *e = &s->ep[ep];
    rf_buf_str(b, ep == 0 ? "{\"name\":" : ",{\"name\":");
    rf_json_quote(b, e->o.name, strlen(e->o.name));
    rf_buf_printf(b, ",\"failures\":%u,\"retry_in_ms\":%llu,\"paused_ms\":%llu,\"full_ms\":%llu",
                  e->fails, (unsigned long long)ms_until(e->retry_ns, now_ns),
                  (unsigned long long)ms_until(e->pause_ns, now_ns),
                  (unsigned long long)ms_until(e->full_ns, now_ns));
    rf_buf_printf(b, ",\"batches\":%s", e->no_batch ? "false" : "true");
    add_text(b, "why", e->why != NULL ? e->why : "");
    rf_buf_str(b, ",\"sessions\":[");
    bool first = true;
    for (const struct rf_link *l = s->conns.next; l != &s->conns; l = l->next) {
        const struct rf_subs_conn *c = RF_CONTAINER(l, struct rf_subs_conn, all);
        if (c->ep != ep)
            continue;
        add_session(c, now_ns, first, b);
        first = false;
    }
    rf_buf_str(b, "]}");
}

static void add_counters(const struct rf_subs *s, struct rf_buf *b)
{
    struct rf_subs_counters n;
    rf_subs_count(s, &n);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"subs", n.subs},           {"wire", n.wire},         {"up", n.up},
        {"sessions", n.sessions},   {"opened", n.opened},     {"ended", n.ended},
        {"notes", n.notes},         {"bytes", n.bytes},       {"held", n.held},
        {"lost_held", n.lost_held}, {"unknown", n.unknown},   {"malformed", n.malformed},
        {"stalls", n.stalls},       {"requests", n.requests}, {"refused", n.refused},
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        rf_buf_printf(b, "%s\"%s\":%llu", i == 0 ? "" : ",", rows[i].name,
                      (unsigned long long)rows[i].value);
}

void rf_subs_status(const struct rf_subs *s, uint64_t now_ns, struct rf_buf *b)
{
    rf_buf_char(b, '{');
    add_counters(s, b);
    rf_buf_str(b, ",\"endpoints\":[");
    for (uint32_t i = 0; i < s->o.n_endpoints; i++)
        add_endpoint(s, i, now_ns, b);
    rf_buf_str(b, "]}");
}
