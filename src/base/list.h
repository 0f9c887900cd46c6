/* list.h - an intrusive doubly linked list: an object is on the list its link is on. */
#ifndef RF_BASE_LIST_H
#define RF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/** A link, and also the head of a list. Not on a list while `next` is NULL. */
struct rf_link {
    struct rf_link *prev, *next;
};

/** Make an empty list. */
static inline void rf_list_init(struct rf_link *head)
{
    head->prev = head->next = head;
}

/** Whether a list has no element. */
static inline bool rf_list_empty(const struct rf_link *head)
{
    return head->next == head;
}

/** Put `l` in front of `at`; with a list head as `at` that is the tail. */
static inline void rf_list_before(struct rf_link *at, struct rf_link *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}

/** Put `l` at the tail. */
static inline void rf_list_push(struct rf_link *head, struct rf_link *l)
{
    rf_list_before(head, l);
}

/** Put `l` at the head. */
static inline void rf_list_unshift(struct rf_link *head, struct rf_link *l)
{
    rf_list_before(head->next, l);
}

/** Take `l` off its list; no effect where it is on none. */
static inline void rf_list_remove(struct rf_link *l)
{
    if (l->next == NULL)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

/** Take the head element off. @return NULL where the list is empty. */
static inline struct rf_link *rf_list_shift(struct rf_link *head)
{
    struct rf_link *l = head->next;
    if (l == head)
        return NULL;
    rf_list_remove(l);
    return l;
}

/** Move everything from `from` to the tail of `to`. */
static inline void rf_list_splice(struct rf_link *to, struct rf_link *from)
{
    if (rf_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    rf_list_init(from);
}

#endif
