/* What the gateway's tests share: a folder with a store, and a small server that does to posts what
 * a test wants. */
#ifndef MW_GATEWAY_TEST_SERVER_H
#define MW_GATEWAY_TEST_SERVER_H

#include "io/handle.h"
#include "io/httpd.h"
#include "mattermost/client.h"
#include "store/store.h"

#define BOT_ID  "botbotbotbotbotbotbotbotbo"
#define CHANNEL "chanchanchanchanchanchanch"

struct server {
    uv_loop_t loop;
    char dir[64], path[96];
    struct mw_store *store;
    struct mw_httpd *httpd;
    uint16_t port;
    struct mm_client *client;
    struct mw_timer *alarm; /* a test that hangs ends here */

    cJSON *posts; /* accepted ones, oldest first */
    /* What to do with the coming posts, one letter each; then all are accepted:
     * o accept                          d accept, then cut the connection
     * x cut the connection              5 answer 503           6 accept, then answer 500
     * e accept, then answer 200 without a post                     1 501 of a proxy
     * w 503 with a Retry-After of a year
     * r 400 of the server   f 403 of the server   p 403 of a proxy   u 401   l 429 */
    const char *script;
    const char *unwanted;  /* posts that begin with this get 403 of a proxy; NULL = none */
    int remove_after_look; /* so many of the newest posts go once they were listed */
    bool lose_anchor;      /* the last but one post goes once it was listed */
    int tries, looks, uploads, calls;
    int fail_calls; /* so many more calls that are not about new posts get 503 */
    char last_method[16], last_path[256];
    cJSON *last_body;
    char upload[4096]; /* body of the last upload */
};

/* cmocka fixture functions; *state is a struct server that runs, with a signed-in client. */
int server_setup(void **state);
int server_teardown(void **state);

void server_listen(struct server *s);
void server_close(struct server *s);
/* A new account on the same server, signed in. */
void server_connect(struct server *s);

/* Turns the loop until `flag` is not 0. */
void server_wait(struct server *s, const int *flag);

/* "one|two|three": messages of the accepted posts. Valid until the next call. */
const char *server_messages(struct server *s);
/* Commits and waits. */
void server_commit(struct server *s, struct mw_tx *tx);

#endif
