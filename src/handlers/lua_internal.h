/* Between the files of the handler type `lua`. */
#ifndef MW_HANDLERS_LUA_INTERNAL_H
#define MW_HANDLERS_LUA_INTERNAL_H

#include <sys/stat.h>

#include "base/lua.h"
#include "gateway/gateway.h"
#include "gateway/handler.h"
#include "io/handle.h"
#include "io/http.h"

/* One reading of the file. Of the instance, and of the turns that began with it. */
struct gw_lua_script {
    struct mw_lua *lua;
    unsigned refs;
};

struct gw_handler_instance {
    const struct gw_handler_host *host;
    struct gw_lua_script *script; /* the newest that works; NULL = not loaded yet */
    struct mw_http *http;         /* NULL = no host may be reached */
    struct stat file;             /* as it was when it was last read, well or not */
    char *scope;                  /* of what it keeps */
    char *problem;                /* of the newest version of the file, NULL = none */
    int64_t loads, errors, requests;
    struct gw_handler_run *run; /* under way in Lua */
    unsigned lines;             /* in the log, while a script is read */
};

/* What a script posts, until its fate is known; may outlive the turn. */
struct gw_lua_effect {
    struct gw_lua_effect *next;
    struct gw_handler_run *run; /* NULL = the turn is over */
    bool recorded;
};

/* Of the last request, for the coroutine. */
struct gw_lua_response {
    int status;
    struct mw_buf body, headers; /* headers: name NUL value NUL ..., names in lower case */
    struct mw_error err;         /* set: there was no answer */
};

struct gw_handler_run {
    struct gw_handler_instance *in;
    struct mw_timer *timer;
    struct gw_turn turn; /* a copy: what it points to lives until the end */
    const struct gw_turn_ops *ops;
    void *userdata;
    bool canceled;

    struct gw_lua_script *script; /* NULL before the call of on_event */
    lua_State *co;                /* its coroutine */
    struct mw_lua_left left;
    unsigned posts, lines, calls; /* so far */
    struct mw_http_call *call;    /* that it waits for */
    struct gw_lua_response response;

    bool done;   /* on_event is over: */
    int outcome; /* 0, a negative errno or enum mw_lua_outcome, with */
    struct mw_error err;
    cJSON *event, *result; /* result: NULL = none */
    struct gw_lua_effect *effects;
    unsigned unrecorded;  /* effects of which the store knows nothing yet */
    struct mw_error lost; /* one could not be recorded for now */
};

struct gw_handler_instance *gw_lua_instance(lua_State *L);
/* The turn that calls; raises an error when there is none. */
struct gw_handler_run *gw_lua_run(lua_State *L);

/* ---- lua_api.c ---- */
/* Into the table of globals at the top. */
void gw_lua_push_api(lua_State *L);
/* Pushes a box with the value at `index` as JSON text, and returns the text. */
const char *gw_lua_encode(lua_State *L, int index);
/* The turn is over. */
void gw_lua_effects_leave(struct gw_handler_run *run);

/* ---- lua_http.c ---- */
/* Pushes the table `http`. */
void gw_lua_push_http(lua_State *L);
void gw_lua_response_deinit(struct gw_lua_response *r);

#endif
