/* For tests: a TCP relay on 127.0.0.1 that cuts a connection in the middle of what it relays, after
 * a number of bytes that the test counts up. */
#ifndef MW_IO_TEST_RELAY_H
#define MW_IO_TEST_RELAY_H

#include <uv.h>

#include "base/macros.h"

struct test_relay {
    uv_tcp_t listener;
    uint16_t port, target;
    const char *only; /* counts only connections whose first bytes have this; NULL = all */
    bool upstream;    /* counts what the client sends, not what it gets */
    bool reset;       /* ends with a TCP reset, not in order */
    size_t cut_at;    /* after so many bytes, over all connections; then all pass */
    size_t passed;
    bool cut; /* it did */
};

/* `target` is the port that is relayed to. The structure must live until the loop has run after
 * test_relay_close. */
void test_relay_open(struct test_relay *r, uv_loop_t *loop, uint16_t target);
void test_relay_close(struct test_relay *r);

#endif
