/* What the tests of catch-up and session share: a small Mattermost in this process, which lists
 * channels, pages posts as the real one does and speaks the WebSocket as a test wants it to. */
#ifndef MW_MATTERMOST_TEST_SERVER_H
#define MW_MATTERMOST_TEST_SERVER_H

#include "base/id.h"
#include "io/handle.h"
#include "io/httpd.h"
#include "io/ws.h"
#include "mattermost/client.h"

#define BOT  "botbotbotbotbotbotbotbotbo"
#define ADA  "adaadaadaadaadaadaadaadaad"
#define BOB  "bobbobbobbobbobbobbobbobbo"
#define TEAM "teamteamteamteamteamteamte"
#define OPS  "opsopsopsopsopsopsopsopsop"
#define DEV  "devdevdevdevdevdevdevdevde"

enum { FAKE_POSTS = 6000, FAKE_CHANNELS = 8, FAKE_RING = 64 };

struct fake_post {
    char id[MW_ID_SIZE];
    const char *channel, *user, *original;
    char text[24];
    int64_t create_at, update_at, edit_at, delete_at;
};

struct fake_channel {
    const char *id, *name, *type;
    int64_t create_at;
    int64_t last_post_at; /* 0 = of the newest post */
    int refuse;           /* status for its posts */
};

struct fake {
    uv_loop_t loop;
    struct mw_httpd *httpd;
    uint16_t port;
    struct mm_client *client;
    struct mw_timer *alarm; /* ticks while a test waits: one that hangs ends here */
    unsigned ticks;

    struct fake_post *posts; /* oldest first */
    size_t n_posts;
    struct fake_channel channels[FAKE_CHANNELS];
    size_t n_channels;

    /* What the coming upgrades get, one letter each; then all are taken:
     * o take   s take, no hello   x take and hang up   e take, hello without a connection id
     * 1 401    3 403 of the server    2 502 with HTML    h 200 with HTML    l 429
     * d take, hello twice   n take, an event before the hello */
    const char *script;
    /* Talks on a new socket (`ws`) instead of this server when it returns true; may be NULL. */
    bool (*on_socket)(struct fake *f, const char *connection_id, int64_t sequence_number);
    void *userdata; /* of the test */
    struct mw_ws *ws;
    char connection_id[MW_ID_SIZE]; /* of the last connection, "" = forgotten */
    unsigned n_connections;
    int64_t seq; /* of the next event */
    char *ring[FAKE_RING];
    bool mute;             /* events do not reach the socket: it is deaf */
    bool refuse_actions;   /* on a resumed connection */
    int me_status;         /* for GET /users/me; 0 = 200 */
    const char *me_id;     /* whom that answer is about; NULL = BOT */
    int list_status;       /* for the list of channels */
    int fail_posts;        /* so many calls for posts get a 503 */
    const char *fail_in;   /* only in this channel; NULL = all */
    const char *say_first; /* BOB says it while users are asked for */
    bool stuck;            /* gives the same page whatever was asked for */
    int64_t clock_ahead;   /* of the server, ms */

    unsigned upgrades, resumes, me, lists, pages, sinces, users_asked, typings;
    char last_action[256];
};

/* cmocka fixture functions; *state is a struct fake with two channels (OPS and DEV) and a client
 * that has not signed in. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Turns the loop until `cond` holds. */
#define FAKE_UNTIL(f, cond)                                                                        \
    do {                                                                                           \
        (f)->ticks = 0;                                                                            \
        mw_timer_start((f)->alarm, 10);                                                            \
        while (!(cond))                                                                            \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
        mw_timer_stop((f)->alarm);                                                                 \
    } while (0)

int64_t fake_now(const struct fake *f);
struct fake_channel *fake_channel(struct fake *f, const char *id, const char *name,
                                  const char *type);
/* A post that was made at `at`, without an event. */
struct fake_post *fake_add(struct fake *f, const char *channel, const char *user, const char *text,
                           int64_t at);
/* The same with its event. */
struct fake_post *fake_say(struct fake *f, const char *channel, const char *user, const char *text,
                           int64_t at);
/* Any event, data as JSON. */
void fake_event(struct fake *f, const char *event, const char *data, const char *channel,
                const char *user);
void fake_edit(struct fake *f, struct fake_post *p, const char *text, int64_t at);
/* Ends the socket: without a close frame. */
void fake_cut(struct fake *f);
/* Forgets the connection and everything queued, as a restart does. */
void fake_forget(struct fake *f);

#endif
