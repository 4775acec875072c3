/*
 * The answer of a chat completions server (POST /chat/completions of OpenAI's API), sans I/O: bytes
 * of the body in, text and tool calls out.
 *
 * Takes a stream of server-sent events as well as one whole JSON object, whatever was asked for,
 * and is tolerant where servers differ: see docs/handlers-chat.md.
 */
#ifndef MW_HANDLERS_CHAT_CODEC_H
#define MW_HANDLERS_CHAT_CODEC_H

#include "base/json.h"
#include "io/sse.h"

#define GW_CHAT_MAX_CALLS 32 /* in one reply */

enum gw_chat_finish {
    GW_CHAT_OPEN, /* the server has not said that it is done */
    GW_CHAT_STOP,
    GW_CHAT_TOOLS,
    GW_CHAT_LENGTH,   /* a limit of tokens ended it */
    GW_CHAT_FILTERED, /* a content filter ended it */
};

struct gw_chat_call {
    char *id, *name; /* NULL = not told */
    struct mw_buf args;
    int64_t index; /* -1 = not told */
};

struct gw_chat_reply {
    struct mw_buf text; /* all of it */
    struct gw_chat_call *calls;
    size_t n_calls;
    enum gw_chat_finish finish;
    int64_t tokens_in, tokens_out; /* 0 = not told */
    struct mw_error err;           /* why feeding failed */

    /* More text, in whole characters as far as the server sends them whole. */
    void (*on_text)(const char *text, size_t len, void *userdata);
    void *userdata;

    size_t max;
    struct mw_sse sse;
    struct mw_buf whole;
    enum { GW_CHAT_UNKNOWN, GW_CHAT_STREAM, GW_CHAT_WHOLE } form;
    bool understood; /* there was at least one chunk */
    bool done;       /* [DONE], or the usage that comes last */
};

/* max: bytes of text, of an event, of arguments. on_text may be NULL. */
void gw_chat_reply_init(struct gw_chat_reply *r, size_t max,
                        void (*on_text)(const char *text, size_t len, void *userdata),
                        void *userdata);
void gw_chat_reply_deinit(struct gw_chat_reply *r);

/* Returns 0; -EREMOTEIO: the server tells an error; -EPROTO: this is no chat completion; -E2BIG;
 * -ENOMEM. r->err has the sentence. It cannot be fed after that, what is in it stays. */
int gw_chat_reply_feed(struct gw_chat_reply *r, const char *data, size_t len);
/* The body is over. As above, or 1: the reply is cut, there is no end of it. */
int gw_chat_reply_end(struct gw_chat_reply *r);

/* What an error answer says; NULL = it says nothing that is understood. Of the tree. */
const char *gw_chat_error_text(const cJSON *body);

/* The message that the reply is in the conversation: {"role":"assistant",...}. Calls without an id
 * get one, "call_N", counted on from *next_id. NULL when memory ran out. */
cJSON *gw_chat_reply_message(struct gw_chat_reply *r, unsigned *next_id);

#endif
