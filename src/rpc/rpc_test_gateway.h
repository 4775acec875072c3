/* The gateway that the server's tests play. */
#ifndef MW_RPC_TEST_GATEWAY_H
#define MW_RPC_TEST_GATEWAY_H

#include "gateway/read.h"

#define EVENTS_MAX 100000

struct gw {
    struct gw_config config;
    struct {
        gw_cb cb;
        void *userdata;
    } waiting[8]; /* sends */
    unsigned n_waiting;
    unsigned sends;
    char *sent_text, *sent_channel, *sent_root;
    int64_t n_events; /* in the journal: ids 1..n */
    struct gw_consumer *consumer;
    int64_t reads; /* events given */
    bool bot_gone;
};

struct gw_bot {
    const char *name;
};

struct gw_consumer {
    struct gw *gw;
    struct gw_consumer_params params;
    char name[32];
    int64_t at, acked;
    bool idle; /* read to the end since the last on_ready */
};

/* The event with this id, as the journal has it. */
struct mw_event make_event(int64_t id);

/* The oldest send that waits ends. */
void send_ends(struct gw *gw, enum gw_code code, const char *text);

#endif
