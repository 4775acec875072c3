#include "gateway/when.h"

#include <ctype.h>
#include <time.h>

#include <lauxlib.h>

#include "base/lua.h"
#include "base/str.h"

static const struct mw_lua_limits limits = {
    .memory = (size_t)1024 * 1024,
    .steps = 100000,
    .time_ms = 1000,
};

enum variable {
    DIRECT,
    MENTIONED,
    THREAD,
    REPLY_TO_ME,
    FROM_BOT,
    FROM_WEBHOOK,
    CHANNEL,
    CHANNEL_NAME,
    TEAM,
    TEAM_ID,
    USER,
    USER_NAME,
    TEXT,
    KIND,
    HOUR,
    WEEKDAY,
    WDAY,
};

static const struct {
    const char *name, *doc;
} variables[] = {
    [DIRECT] = {"direct", "in a direct message with the bot"},
    [MENTIONED] = {"mentioned", "mentions the bot by @name"},
    [THREAD] = {"thread", "in a thread in which the bot has posted or was mentioned before"},
    [REPLY_TO_ME] = {"reply_to_me", "replies to a post of the bot"},
    [FROM_BOT] = {"from_bot", "the author is a bot account"},
    [FROM_WEBHOOK] = {"from_webhook", "came by a webhook; a client can forge this"},
    [CHANNEL] = {"channel", "id of the channel"},
    [CHANNEL_NAME] = {"channel_name", "name of the channel as in its address: `town-square`"},
    [TEAM] = {"team", "name of the team as in its address; empty in direct messages"},
    [TEAM_ID] = {"team_id", "id of the team"},
    [USER] = {"user", "id of who wrote or did it"},
    [USER_NAME] = {"user_name", "name of who wrote or did it, without @"},
    [TEXT] = {"text", "the message, without the mention of the bot at its beginning; of a "
                      "reaction the name of the emoji"},
    [KIND] = {"kind", "`post`, `reaction_added` ... as in [events.md](events.md)"},
    [HOUR] = {"hour", "hour of the event in the daemon's time zone, 0 to 23"},
    [WEEKDAY] = {"weekday", "`mon`, `tue` ... `sun`, in the daemon's time zone"},
    [WDAY] = {"wday", "the day as a number: 1 is Monday, 7 is Sunday"},
};
_Static_assert(MW_ARRAY_LEN(variables) <= 32, "one bit each");

const char *gw_when_variable(size_t i, const char **ret_doc)
{
    if (i >= MW_ARRAY_LEN(variables))
        return NULL;
    *ret_doc = variables[i].doc;
    return variables[i].name;
}

enum word { NEVER, ALWAYS, IF_DIRECT, IF_MENTIONED, LUA };

struct gw_when {
    enum word word;
    struct mw_lua *lua; /* LUA */
    unsigned used;      /* bit set of enum variable */
};

/* ---- Names, before Lua sees the text ---- */

struct scan {
    const char *text, *at;
    unsigned used;
    struct mw_lua *lua;
    struct mw_error *err;
    /* The token before: what a name means depends on it. */
    char before;         /* its last character; 0 = none */
    const char *library; /* the name before a dot, or NULL */
};

static int fail_at(struct mw_error *err, const char *text, const char *at, const char *message)
{
    unsigned line = 1, column = 1;

    for (const char *p = text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            column++;
        }
    }
    return mw_error_set(err, 1, "line %u, column %u: %s", line, column, message);
}

static int unknown(struct scan *s, const char *at, const char *what, const char *name,
                   const char *best)
{
    MW_AUTOFREE char *message =
        mw_asprintf("there is no %s `%s`%s%s%s", what, name, best ? "; did you mean `" : "",
                    best ? best : "", best ? "`?" : "");

    if (!message)
        return mw_error_set(s->err, -ENOMEM, "out of memory");
    return fail_at(s->err, s->text, at, message);
}

/* Asks Lua for a name: of the library, or of one of its tables. */
struct lookup {
    const char *table, *name;
    bool found;
    struct mw_nearest *near;
    char best[32];
};

static int look_up(lua_State *L)
{
    struct lookup *l = lua_touserdata(L, 1);

    mw_lua_push_env(L);
    if (l->table)
        lua_getfield(L, -1, l->table);
    lua_getfield(L, -1, l->name);
    l->found = !lua_isnil(L, -1);
    return 0;
}

/* What a typing error may have meant; the library cannot be listed by a script, so by us. */
static const char *const library_names[] = {
    "string", "table", "math", "utf8", "tostring", "tonumber", "type", "select",
};
static const char *const method_names[] = {
    "match", "find", "lower", "upper", "gsub",    "gmatch",
    "sub",   "len",  "byte",  "rep",   "reverse", "format",
};

static int exists(struct scan *s, const char *table, const char *name, bool *ret)
{
    struct lookup l = {.table = table, .name = name};
    int r = mw_lua_call(s->lua, look_up, &l, s->err);

    *ret = l.found;
    return r;
}

static int check_variable(struct scan *s, const char *at, const char *name)
{
    struct mw_nearest near = {.name = name};
    bool found = false;
    int r;

    for (size_t i = 0; i < MW_ARRAY_LEN(variables); i++) {
        if (!strcmp(variables[i].name, name)) {
            s->used |= 1u << i;
            return 0;
        }
        mw_nearest_offer(&near, variables[i].name);
    }
    r = exists(s, NULL, name, &found);
    if (r || found)
        return r;
    for (size_t i = 0; i < MW_ARRAY_LEN(library_names); i++)
        mw_nearest_offer(&near, library_names[i]);
    return unknown(s, at, "variable", name, mw_nearest_get(&near));
}

static int check_member(struct scan *s, const char *at, const char *table, const char *name,
                        const char *what)
{
    struct mw_nearest near = {.name = name};
    bool found = false;
    int r = exists(s, table, name, &found);

    if (r || found)
        return r;
    if (!strcmp(table, "string")) {
        for (size_t i = 0; i < MW_ARRAY_LEN(method_names); i++)
            mw_nearest_offer(&near, method_names[i]);
    }
    return unknown(s, at, what, name, mw_nearest_get(&near));
}

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n\v\f");
}

/* Behind a long bracket that begins at p ("[[" or "[=["), NULL when none begins there. */
static const char *skip_long(const char *p)
{
    size_t level = *p == '[' ? strspn(p + 1, "=") : 0;

    if (*p != '[' || p[1 + level] != '[')
        return NULL;
    for (p += level + 2; *p; p++) {
        if (*p == ']' && strspn(p + 1, "=") == level && p[1 + level] == ']')
            return p + level + 2;
    }
    return p;
}

/* An unfinished one ends with its line: Lua tells it later. */
static const char *skip_quoted(const char *p)
{
    char quote = *p++;

    while (*p && *p != quote && *p != '\n') {
        if (*p == '\\' && p[1] == 'z') {
            p = skip_space(p + 2); /* takes the lines' ends with it */
        } else {
            p += *p == '\\' && p[1] ? 2 : 1;
        }
    }
    return *p == quote ? p + 1 : p;
}

static const char *skip_number(const char *p)
{
    while (isalnum((unsigned char)*p) || *p == '.' ||
           ((*p == '+' || *p == '-') && strchr("eEpP", p[-1])))
        p++;
    return p;
}

static bool is_keyword(const char *name)
{
    static const char *const words[] = {"and", "or", "not", "nil", "true", "false"};

    for (size_t i = 0; i < MW_ARRAY_LEN(words); i++) {
        if (!strcmp(words[i], name))
            return true;
    }
    return false;
}

static int check_name(struct scan *s, const char *at, const char *name)
{
    static const char *const libraries[] = {"string", "table", "math", "utf8"};
    const char *next = skip_space(s->at), *library = take_ptr(s->library);
    char before = s->before;

    s->before = 'a';
    if (is_keyword(name))
        return 0;
    if (!strcmp(name, "function"))
        return fail_at(s->err, s->text, at, "functions cannot be defined here");
    if (before == ':')
        return check_member(s, at, "string", name, "method");
    if (before == '.')
        return library ? check_member(s, at, library, name, "function") : 0;
    if (*next == '=' && next[1] != '=')
        return before == '{' || before == ',' || before == ';'
                   ? 0 /* the name of a field */
                   : fail_at(s->err, s->text, next, "nothing can be set here; to compare, use ==");
    for (size_t i = 0; i < MW_ARRAY_LEN(libraries); i++) {
        if (!strcmp(libraries[i], name))
            s->library = libraries[i];
    }
    return check_variable(s, at, name);
}

static int scan_name(struct scan *s)
{
    char name[64];
    const char *at = s->at;
    size_t len = 0;

    while (isalnum((unsigned char)at[len]) || at[len] == '_')
        len++;
    s->at = at + len;
    if (len >= sizeof(name))
        return fail_at(s->err, s->text, at, "there is no variable with a name as long as this");
    memcpy(name, at, len);
    name[len] = 0;
    return check_name(s, at, name);
}

static int scan(struct scan *s)
{
    int r = 0;

    for (s->at = s->text; *s->at && !r;) {
        unsigned char ch = (unsigned char)*s->at;
        const char *end;

        if (isspace(ch)) {
            s->at++;
            continue;
        }
        if (ch == '-' && s->at[1] == '-') {
            end = skip_long(s->at + 2);
            s->at = end ? end : s->at + strcspn(s->at, "\n");
            continue;
        }
        if (isalpha(ch) || ch == '_') {
            r = scan_name(s);
            continue;
        }
        if (ch == '"' || ch == '\'') {
            s->at = skip_quoted(s->at);
            s->before = '"';
        } else if (ch == '[' && (end = skip_long(s->at))) {
            s->at = end;
            s->before = '"';
        } else if (isdigit(ch) || (ch == '.' && isdigit((unsigned char)s->at[1]))) {
            s->at = skip_number(s->at + 1);
            s->before = '0';
        } else if (!strncmp(s->at, "..", 2)) {
            s->at += 2;
            s->before = '~'; /* a name behind it is a variable */
        } else if (!strncmp(s->at, "::", 2)) {
            s->at += 2;
            s->before = '~';
        } else {
            s->at++;
            s->before = (char)ch;
            if (ch == '.')
                continue; /* keeps the library */
        }
        s->library = NULL;
    }
    return r;
}

/* ---- Compiling ---- */

struct source {
    const char *text;
    size_t len;
    bool wrapped; /* as one value */
    char message[300];
};

/* "return TEXT", or "return (TEXT)". Takes the message of an error, without "when:1: ". */
static int try_compile(lua_State *L)
{
    struct source *s = lua_touserdata(L, 1);
    luaL_Buffer b;
    const char *code;
    size_t len;
    int status;

    luaL_buffinit(L, &b);
    luaL_addstring(&b, s->wrapped ? "return (" : "return ");
    luaL_addlstring(&b, s->text, s->len);
    luaL_addstring(&b, s->wrapped ? "\n)" : "");
    luaL_pushresult(&b);
    code = lua_tolstring(L, -1, &len);
    s->message[0] = 0;
    status = luaL_loadbufferx(L, code, len, "=when", "t");
    if (status == LUA_ERRMEM) {
        lua_error(L); /* stays what it is */
    } else if (status != LUA_OK) {
        const char *message = lua_tostring(L, -1), *colon = strchr(message, ' ');

        snprintf(s->message, sizeof(s->message), "%s", colon ? colon + 1 : message);
    }
    return 0;
}

/* Lua names the line only. Its parser reads from left to right and stops at the first wrong token,
 * so the shortest beginning with the same message ends with that token. */
static int fail_syntax(struct mw_lua *lua, const char *text, const char *message,
                       struct mw_error *err)
{
    size_t len = strlen(text), n = len;
    const char *near = strstr(message, " near '");
    MW_AUTOFREE char *sentence = NULL;
    size_t token = near ? strlen(near) - strlen(" near ''") : 0;

    if (near) {
        for (n = 1; n < len; n++) {
            struct source s = {.text = text, .len = n};
            int r = mw_lua_call(lua, try_compile, &s, err);

            if (r)
                return r;
            if (!strcmp(s.message, message))
                break;
        }
        n -= MW_MIN(token, n);
    }
    sentence = near ? strdup(message)
                    : mw_asprintf("%.*s: the expression ends too early",
                                  (int)strcspn(message, "\n"), message);
    if (!sentence)
        return mw_error_set(err, -ENOMEM, "out of memory");
    return fail_at(err, text, text + n, sentence);
}

static const char key_function, key_env;

static int load_expression(lua_State *L)
{
    const char *text = lua_touserdata(L, 1);
    size_t len;

    lua_pushfstring(L, "return (%s\n)", text);
    text = lua_tolstring(L, -1, &len);
    mw_lua_push_env(L);
    mw_lua_load(L, -1, "when", text, len);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_function);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_env);
    return 0;
}

static int compile_lua(struct gw_when *w, const char *text, struct mw_error *err)
{
    struct source s = {.text = text, .len = strlen(text)};
    struct scan names = {.text = text, .lua = w->lua, .err = err};
    int r = scan(&names);

    if (r)
        return r;
    w->used = names.used;
    r = mw_lua_call(w->lua, try_compile, &s, err);
    if (r)
        return r;
    if (s.message[0])
        return fail_syntax(w->lua, text, s.message, err);
    s.wrapped = true;
    r = mw_lua_call(w->lua, try_compile, &s, err);
    if (!r && s.message[0])
        return mw_error_set(err, 1, "line 1, column 1: this must be one expression");
    return r ? r : mw_lua_call(w->lua, load_expression, (void *)text, err);
}

/* An error that comes with any event at all is better told now. */
static int rehearse(struct gw_when *w, struct mw_error *err)
{
    for (unsigned i = 0; i < 4; i++) {
        struct mw_event ev = {
            .kind = MW_EVENT_POST,
            .flags = (i & 1 ? MW_EVENT_DIRECT : 0u) |
                     (i & 2 ? MW_EVENT_MENTION | MW_EVENT_FROM_BOT | MW_EVENT_FROM_WEBHOOK : 0u),
            .channel_id = "",
            .channel_name = "",
            .team_id = "",
            .team_name = "",
            .user_id = "",
            .user_name = "",
            .text = i & 1 ? "text" : "",
        };
        struct gw_when_input in = {.ev = &ev, .thread = i & 1, .reply_to_me = i & 2};
        bool result;
        int r = gw_when_eval(w, &in, &result, err);

        if (r)
            return r;
    }
    return 0;
}

static enum word as_word(const char *text)
{
    static const struct {
        const char *text;
        enum word word;
    } words[] = {
        {"true", ALWAYS}, {"false", NEVER}, {"direct", IF_DIRECT}, {"mentioned", IF_MENTIONED}};
    const char *from = skip_space(text);

    for (size_t i = 0; i < MW_ARRAY_LEN(words); i++) {
        if (mw_starts_with(from, words[i].text) && !*skip_space(from + strlen(words[i].text)))
            return words[i].word;
    }
    return LUA;
}

int gw_when_compile(const char *text, struct gw_when **ret, struct mw_error *err)
{
    struct gw_when *w;
    int r = 0;

    if (!*skip_space(text))
        return mw_error_set(err, 1, "the expression is empty; use `true` for every event");
    if (strlen(text) > GW_WHEN_MAX)
        return mw_error_set(err, 1, "the expression is longer than %d bytes", GW_WHEN_MAX);
    w = calloc(1, sizeof(*w));
    if (!w)
        return mw_error_set(err, -ENOMEM, "out of memory");
    w->word = as_word(text);
    if (w->word == LUA) {
        r = mw_lua_new(&limits, &w->lua, err);
        if (!r)
            r = compile_lua(w, text, err);
        if (!r)
            r = rehearse(w, err);
    }
    if (r) {
        gw_when_free(w);
        return r < 0 ? r : 1;
    }
    *ret = w;
    return 0;
}

void gw_when_free(struct gw_when *w)
{
    if (!w)
        return;
    mw_lua_free(w->lua);
    free(w);
}

/* ---- Asking ---- */

struct question {
    const struct gw_when *w;
    const struct gw_when_input *in;
    bool result;
};

static void push_time(lua_State *L, enum variable v, int64_t at)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    time_t seconds = (time_t)(at / 1000);
    struct tm tm = {0};
    int day;

    localtime_r(&seconds, &tm);
    day = (tm.tm_wday + 6) % 7;
    if (v == HOUR)
        lua_pushinteger(L, tm.tm_hour);
    else if (v == WEEKDAY)
        lua_pushstring(L, days[day]);
    else
        lua_pushinteger(L, day + 1);
}

static void push_text(lua_State *L, const char *s)
{
    lua_pushstring(L, s ? s : "");
}

static void push_variable(lua_State *L, enum variable v, const struct gw_when_input *in)
{
    const struct mw_event *ev = in->ev;

    switch (v) {
    case DIRECT:
        lua_pushboolean(L, (ev->flags & MW_EVENT_DIRECT) != 0);
        break;
    case MENTIONED:
        lua_pushboolean(L, (ev->flags & MW_EVENT_MENTION) != 0);
        break;
    case THREAD:
        lua_pushboolean(L, in->thread || (ev->flags & MW_EVENT_THREAD));
        break;
    case REPLY_TO_ME:
        lua_pushboolean(L, in->reply_to_me);
        break;
    case FROM_BOT:
        lua_pushboolean(L, (ev->flags & MW_EVENT_FROM_BOT) != 0);
        break;
    case FROM_WEBHOOK:
        lua_pushboolean(L, (ev->flags & MW_EVENT_FROM_WEBHOOK) != 0);
        break;
    case CHANNEL:
        push_text(L, ev->channel_id);
        break;
    case CHANNEL_NAME:
        push_text(L, ev->channel_name);
        break;
    case TEAM:
        push_text(L, ev->team_name);
        break;
    case TEAM_ID:
        push_text(L, ev->team_id);
        break;
    case USER:
        push_text(L, ev->user_id);
        break;
    case USER_NAME:
        push_text(L, ev->user_name);
        break;
    case TEXT:
        push_text(L, in->text ? in->text : ev->text);
        break;
    case KIND:
        push_text(L, mw_event_kind_name(ev->kind));
        break;
    case HOUR:
    case WEEKDAY:
    case WDAY:
        push_time(L, v, ev->at);
        break;
    }
}

static int ask(lua_State *L)
{
    struct question *q = lua_touserdata(L, 1);

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_env);
    for (unsigned v = 0; v < MW_ARRAY_LEN(variables); v++) {
        if (!(q->w->used & (1u << v)))
            continue;
        push_variable(L, (enum variable)v, q->in);
        lua_setfield(L, -2, variables[v].name);
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_function);
    lua_call(L, 0, 1);
    q->result = lua_toboolean(L, -1);
    return 0;
}

int gw_when_eval(struct gw_when *w, const struct gw_when_input *in, bool *ret, struct mw_error *err)
{
    struct question q = {.w = w, .in = in};
    int r;

    switch (w->word) {
    case NEVER:
    case ALWAYS:
        *ret = w->word == ALWAYS;
        return 0;
    case IF_DIRECT:
        *ret = (in->ev->flags & MW_EVENT_DIRECT) != 0;
        return 0;
    case IF_MENTIONED:
        *ret = (in->ev->flags & MW_EVENT_MENTION) != 0;
        return 0;
    case LUA:
        break;
    }
    r = mw_lua_call(w->lua, ask, &q, err);
    if (!r)
        *ret = q.result;
    return r > 0 ? 1 : r;
}
