/* batch_answer.h - the text of response lines: answers, errors of nodes, errors of our own. Also
 * reads their beginning back, for --resume. Called by the batch's loop, its requests and its
 * resume. Pure. */
#ifndef RF_CLI_BATCH_ANSWER_H
#define RF_CLI_BATCH_ANSWER_H

#include "base/buf.h"

/** Append `{"jsonrpc":"2.0","id":ID`. */
void rf_answer_head(struct rf_buf *b, const char *id, size_t len);

/** Append the response line of an answer, with its line end. */
void rf_answer_result(struct rf_buf *b, const char *id, size_t id_len, const rpcfan_result_t *res);

/**
 * Append the response line, without a line end, of an input line that made no call.
 * @param code   why.
 * @param text   in words, with the remedy.
 * @param line   its number.
 */
void rf_answer_refusal(struct rf_buf *b, const char *id, size_t id_len, enum rpcfan_err code,
                       const char *text, uint64_t line);

/** What a response line that was read back holds. */
enum rf_answer_kind { RF_ANSWER_RESULT, RF_ANSWER_ERROR, RF_ANSWER_FOREIGN };

/**
 * Read the beginning of a response line that this command wrote.
 * @param head  its first `len` bytes.
 * @param id    out: its id; may be cut where `head` is. May be NULL.
 */
enum rf_answer_kind rf_answer_read(const char *head, size_t len, struct rpcfan_slice *id);

#endif
