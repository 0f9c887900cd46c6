/* option_text.h - values that the configuration and the command line write in the same words:
 * shares, policies, splits. Touches nothing. */
#ifndef RF_APP_OPTION_TEXT_H
#define RF_APP_OPTION_TEXT_H

#include "base/base.h"

#define RF_HEDGE_MAX 50      /* in %: beyond that it is broadcasting */
#define RF_START_MAX 1000000 /* calls/s */
#define RF_QUORUM_MAX 64     /* endpoints of a network */

/** Read a share: a whole number of up to three digits and a per cent sign, as in 5%. A bare number
 * is refused: it might as well mean milliseconds. @return 0 or RPCFAN_EINVAL. */
enum rpcfan_err rf_option_percent(const char *text, uint32_t *out);

/** Read balance, failover, first, quorum or broadcast. @return 0 or RPCFAN_EINVAL. */
enum rpcfan_err rf_option_policy(const char *text, enum rpcfan_policy *out);

/** Read none or range. @return 0 or RPCFAN_EINVAL. */
enum rpcfan_err rf_option_split(const char *text, enum rpcfan_split *out);

#endif
