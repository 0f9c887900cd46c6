/* note_read.h - what a subscription's queue must know of a notification: which slot or block it is
 * of, and which older one it replaces. Called by client/subscribe.c. Pure. */
#ifndef RF_CLIENT_NOTE_READ_H
#define RF_CLIENT_NOTE_READ_H

#include "base/base.h"

/** The slot (Solana: context.slot, slot, or the number itself) or block (number, blockNumber) of a
 * notification's result; 0 where it tells none. */
uint64_t rf_note_slot(enum rpcfan_family family, struct rpcfan_slice json);
/**
 * A key that is equal for notifications of which only the newest matters: of one account, or of
 * slots and roots. 0: each matters (logs, heads, signatures, whatever is not known).
 */
uint64_t rf_note_key(enum rpcfan_family family, struct rpcfan_slice json);

#endif
