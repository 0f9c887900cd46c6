/* blob.h - a response body that several results point into: shared, counted, never copied. */
#ifndef RF_BASE_BLOB_H
#define RF_BASE_BLOB_H

#include <stdatomic.h>

#include "base/base.h"

struct rf_blob {
    atomic_uint refs;
    size_t len, cap;
    char *data;   /* `small`, or owned */
    char small[]; /* of a blob that began small: one allocation for both */
};

/** A new empty blob with one reference and room for `cap` bytes. @return owned, or NULL. */
struct rf_blob *rf_blob_new(size_t cap);
/** Append while there is one owner. Grows by doubling. @return false when out of memory. */
bool rf_blob_add(struct rf_blob *b, const void *data, size_t n);
/** Give memory back that a doubling left unused (over a quarter). Only while there is one owner. */
void rf_blob_trim(struct rf_blob *b);
/** `n` more owners; NULL is ignored. Thread: any that owns it. */
void rf_blob_ref(struct rf_blob *b, unsigned n);
/** One owner less; the last frees it. NULL is ignored. Thread: any. */
void rf_blob_unref(struct rf_blob *b);

#endif
