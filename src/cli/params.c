/* params.c - params of a call out of words of the command line. */
#include "cli/params.h"

#include "json/rpc.h"

void rf_params_add(struct rf_buf *params, const char *text)
{
    size_t len = strlen(text);
    rf_buf_char(params, params->len == 0 ? '[' : ',');
    if (rf_json_check(text, len, RF_SCAN_DEPTH, NULL) == RPCFAN_OK)
        rf_buf_add(params, text, len);
    else
        rf_json_quote(params, text, len);
}

void rf_params_end(struct rf_buf *params)
{
    if (params->len > 0)
        rf_buf_char(params, ']');
}
