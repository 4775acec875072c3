/*
 * What type `http` sends and what it makes of an answer. Pure: no I/O.
 */
#ifndef MW_HANDLERS_HTTP_CODEC_H
#define MW_HANDLERS_HTTP_CODEC_H

#include "gateway/handler.h"

#define GW_SIGNATURE_SIZE 68 /* "v1=", 64 digits, NUL */

/* "v1=" and HMAC-SHA256 over "v1:TIMESTAMP:" and the body, in hexadecimal. Returns 0 or -ENOMEM. */
int gw_http_sign(const char *secret, int64_t timestamp_s, const char *body, size_t len,
                 char ret[GW_SIGNATURE_SIZE]);

/* Names the event for a receiver that wants to act once: made of the server's ids, so that it is
 * the same in each attempt and in no other database. NULL when memory ran out. */
char *gw_http_event_key(const struct mw_event *ev);

/* The form that Mattermost posts for an outgoing webhook; token may be NULL. Appends; returns 0,
 * -ENOMEM or -E2BIG. */
int gw_http_form(struct mw_buf *b, const struct gw_turn *turn, const char *token);

/* The body of a 2xx answer as an answer. `text` and `json` are the caller's to free; the end and
 * err in the usual way. */
struct gw_http_answer {
    enum gw_handler_end end; /* GW_HANDLER_ANSWERED, _EMPTY, _FAILED */
    struct mw_buf text;
    cJSON *json;
};
void gw_http_read(enum gw_http_format format, const char *content_type, const char *body,
                  size_t len, struct gw_http_answer *ret, struct mw_error *err);
void gw_http_answer_deinit(struct gw_http_answer *a);

#endif
