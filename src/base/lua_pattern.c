/*
 * string.find, match, gmatch and gsub: Lua's patterns as its manual defines them (section 6.4.1),
 * with a count of steps that ends a match which would take for ever.
 *
 * A pattern is compiled to a list of items first. Captures open and close in the order of the text,
 * so the list knows which one a bracket closes, and a malformed pattern is told even if no match
 * would come to the bad place.
 */
#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

#include "base/lua_internal.h"

#define MAX_PATTERN    500 /* bytes */
#define MAX_CAPTURES   32
#define STEPS_A_CHARGE 16 /* steps of a match that count as one instruction */
#define CHARGE_AT      20000
#define POSITION       ((size_t)-1)

enum op { ANY, CHAR, CLASS, SET, OPEN, OPEN_POSITION, CLOSE, SAME, BALANCE, FRONTIER, END };

struct item {
    unsigned char op;
    char repeat;        /* 0 * + - ? */
    unsigned char a, b; /* characters, or a capture in a */
    uint16_t from, to;  /* SET, FRONTIER: between the brackets */
};

struct pattern {
    const char *text;
    bool anchored;
    unsigned n, captures;
    struct item items[MAX_PATTERN + 1];
};

struct capture {
    const char *from;
    size_t len; /* or POSITION */
};

struct match {
    const struct pattern *p;
    const char *begin, *end; /* of the subject */
    int64_t steps, limit;
    struct capture captures[MAX_CAPTURES];
};

/* ---- Compiling ---- */

/* The end of a set whose first character is at `i`: the index of its bracket, 0 = there is none. */
static size_t set_end(const char *s, size_t i, size_t len)
{
    if (i < len && s[i] == '^')
        i++;
    for (bool first = true; i < len; first = false, i++) {
        if (s[i] == ']' && !first)
            return i;
        if (s[i] == '%')
            i++;
    }
    return 0;
}

static const char *compile_set(struct item *it, const char *s, size_t *i, size_t len)
{
    size_t end = set_end(s, *i + 1, len);

    if (!end)
        return "a set in the pattern has no ] at its end";
    it->from = (uint16_t)(*i + 1);
    it->to = (uint16_t)end;
    *i = end + 1;
    return NULL;
}

static const char *compile_escape(struct pattern *p, struct item *it, const bool *open,
                                  const char *s, size_t *i, size_t len)
{
    unsigned char ch;

    if (*i + 1 >= len)
        return "the pattern ends with a single %";
    ch = (unsigned char)s[*i + 1];
    *i += 2;
    if (ch == 'b') {
        if (*i + 1 >= len)
            return "%b in the pattern needs two characters behind it";
        *it =
            (struct item){.op = BALANCE, .a = (unsigned char)s[*i], .b = (unsigned char)s[*i + 1]};
        *i += 2;
    } else if (ch == 'f') {
        it->op = FRONTIER;
        if (*i >= len || s[*i] != '[')
            return "%f in the pattern needs a set behind it";
        return compile_set(it, s, i, len);
    } else if (isdigit(ch)) {
        if (ch == '0' || ch - '0' > (int)p->captures || open[ch - '1'])
            return "the pattern refers to a capture that is not there";
        *it = (struct item){.op = SAME, .a = (unsigned char)(ch - '1')};
    } else {
        *it = (struct item){.op = CLASS, .a = ch};
    }
    return NULL;
}

static const char *compile_bracket(struct pattern *p, struct item *it, bool *open, const char *s,
                                   size_t *i, size_t len)
{
    if (s[*i] == '(') {
        if (p->captures == MAX_CAPTURES)
            return "the pattern has more than 32 captures";
        it->a = (unsigned char)p->captures++;
        it->op = *i + 1 < len && s[*i + 1] == ')' ? OPEN_POSITION : OPEN;
        open[it->a] = it->op == OPEN;
        *i += it->op == OPEN ? 1 : 2;
        return NULL;
    }
    it->op = CLOSE;
    for (unsigned k = p->captures; k-- > 0;) {
        if (open[k]) {
            open[k] = false;
            it->a = (unsigned char)k;
            *i += 1;
            return NULL;
        }
    }
    return "a ) in the pattern has no ( before it";
}

/* Returns NULL, or what is wrong. */
static const char *compile(struct pattern *p, const char *s, size_t len, bool anchors)
{
    bool open[MAX_CAPTURES] = {false};
    const char *bad = NULL;
    size_t i = 0;

    p->text = s;
    p->n = p->captures = 0;
    p->anchored = anchors && len && s[0] == '^';
    if (len > MAX_PATTERN)
        return "the pattern is longer than 500 bytes";
    i = p->anchored;
    while (i < len && !bad) {
        struct item *it = &p->items[p->n++];

        *it = (struct item){0};
        if (s[i] == '(' || s[i] == ')') {
            bad = compile_bracket(p, it, open, s, &i, len);
        } else if (s[i] == '%') {
            bad = compile_escape(p, it, open, s, &i, len);
        } else if (s[i] == '[') {
            it->op = SET;
            bad = compile_set(it, s, &i, len);
        } else if (s[i] == '$' && i + 1 == len) {
            it->op = END;
            i++;
        } else {
            it->op = s[i] == '.' ? ANY : CHAR;
            it->a = (unsigned char)s[i++];
        }
        if (!bad && it->op <= SET && i < len && strchr("*+-?", s[i]) && s[i])
            it->repeat = s[i++];
    }
    for (unsigned k = 0; k < p->captures && !bad; k++)
        bad = open[k] ? "a ( in the pattern has no ) behind it" : NULL;
    return bad;
}

/* ---- Matching ---- */

static bool in_class(unsigned char ch, unsigned char class)
{
    bool r;

    switch (tolower(class)) {
    case 'a':
        r = isalpha(ch);
        break;
    case 'c':
        r = iscntrl(ch);
        break;
    case 'd':
        r = isdigit(ch);
        break;
    case 'g':
        r = isgraph(ch);
        break;
    case 'l':
        r = islower(ch);
        break;
    case 'p':
        r = ispunct(ch);
        break;
    case 's':
        r = isspace(ch);
        break;
    case 'u':
        r = isupper(ch);
        break;
    case 'w':
        r = isalnum(ch);
        break;
    case 'x':
        r = isxdigit(ch);
        break;
    default:
        return ch == class;
    }
    return isupper(class) ? !r : r;
}

static bool in_set(struct match *m, const struct item *it, unsigned char ch)
{
    const unsigned char *p = (const unsigned char *)m->p->text + it->from;
    const unsigned char *end = (const unsigned char *)m->p->text + it->to;
    bool wanted = true;

    m->steps += (end - p) / 4;
    if (p < end && *p == '^') {
        wanted = false;
        p++;
    }
    while (p < end) {
        if (*p == '%' && p + 1 < end) {
            if (in_class(ch, p[1]))
                return wanted;
            p += 2;
        } else if (p + 2 < end && p[1] == '-') {
            if (p[0] <= ch && ch <= p[2])
                return wanted;
            p += 3;
        } else if (*p++ == ch) {
            return wanted;
        }
    }
    return !wanted;
}

static bool fits(struct match *m, const struct item *it, const char *s)
{
    unsigned char ch;

    m->steps++;
    if (s >= m->end)
        return false;
    ch = (unsigned char)*s;
    switch (it->op) {
    case ANY:
        return true;
    case CHAR:
        return ch == it->a;
    case CLASS:
        return in_class(ch, it->a);
    default:
        return in_set(m, it, ch);
    }
}

static const char *balance(struct match *m, const struct item *it, const char *s)
{
    size_t depth = 1;

    if (s >= m->end || (unsigned char)*s != it->a)
        return NULL;
    while (++s < m->end) {
        m->steps++;
        if ((unsigned char)*s == it->b) {
            if (--depth == 0)
                return s + 1;
        } else if ((unsigned char)*s == it->a) {
            depth++;
        }
    }
    return NULL;
}

static bool at_frontier(struct match *m, const struct item *it, const char *s)
{
    unsigned char before = s == m->begin ? 0 : (unsigned char)s[-1];
    unsigned char here = s == m->end ? 0 : (unsigned char)*s;

    return !in_set(m, it, before) && in_set(m, it, here);
}

static bool over(const struct match *m)
{
    return m->steps > m->limit;
}

static const char *match_from(struct match *m, unsigned i, const char *s);

/* An item that may come several times. */
static const char *match_repeat(struct match *m, unsigned i, const char *s)
{
    const struct item *it = &m->p->items[i];
    const char *r, *first = s;

    switch (it->repeat) {
    case '?':
        if (fits(m, it, s) && (r = match_from(m, i + 1, s + 1)))
            return r;
        return match_from(m, i + 1, s);
    case '-':
        for (; !over(m); s++) {
            r = match_from(m, i + 1, s);
            if (r)
                return r;
            if (!fits(m, it, s))
                return NULL;
        }
        return NULL;
    default:
        while (fits(m, it, s) && !over(m))
            s++;
        if (it->repeat == '+')
            first++;
        for (; s >= first && !over(m); s--) {
            r = match_from(m, i + 1, s);
            if (r)
                return r;
        }
        return NULL;
    }
}

/* Matches the items from i on at s; the end of the match or NULL. The recursion is no deeper than
 * the pattern has items that repeat. */
static const char *match_from(struct match *m, unsigned i, const char *s)
{
    for (; i < m->p->n; i++) {
        const struct item *it = &m->p->items[i];

        m->steps++;
        if (over(m))
            return NULL;
        switch (it->op) {
        case OPEN:
        case OPEN_POSITION:
            m->captures[it->a] = (struct capture){.from = s, .len = it->op == OPEN ? 0 : POSITION};
            break;
        case CLOSE:
            m->captures[it->a].len = (size_t)(s - m->captures[it->a].from);
            break;
        case SAME: {
            const struct capture *c = &m->captures[it->a];

            /* What a position could be the same as is not defined; nothing is. */
            if (c->len == POSITION || (size_t)(m->end - s) < c->len ||
                memcmp(c->from, s, c->len) != 0)
                return NULL;
            m->steps += (int64_t)(c->len / 16);
            s += c->len;
            break;
        }
        case BALANCE:
            s = balance(m, it, s);
            if (!s)
                return NULL;
            break;
        case FRONTIER:
            if (!at_frontier(m, it, s))
                return NULL;
            break;
        case END:
            return s == m->end ? s : NULL;
        default:
            if (it->repeat)
                return match_repeat(m, i, s);
            if (!fits(m, it, s))
                return NULL;
            s++;
        }
    }
    return s;
}

/* ---- In Lua ---- */

static void pay(lua_State *L, struct match *m)
{
    mw_lua_charge(L, m->steps / STEPS_A_CHARGE + 1);
    m->steps = 0;
}

/* As match_from, from the first item; raises an error when the instructions are used up. */
static const char *try_match(lua_State *L, struct match *m, const char *s)
{
    if (m->steps > CHARGE_AT)
        pay(L, m);
    /* Begun again with more room: so a match of usual length costs no calls, and one that is too
     * long is paid for until there is nothing left. */
    for (int64_t room = CHARGE_AT;; room *= 4) {
        const char *r;

        m->limit = m->steps + room;
        r = match_from(m, 0, s);
        if (!over(m))
            return r;
        pay(L, m);
    }
}

static void push_capture(lua_State *L, const struct match *m, unsigned k, const char *from,
                         const char *to)
{
    if (!m->p->captures && k == 0)
        lua_pushlstring(L, from, (size_t)(to - from));
    else if (k >= m->p->captures)
        luaL_error(L, "there is no capture %%%d", (int)k + 1);
    else if (m->captures[k].len == POSITION)
        lua_pushinteger(L, m->captures[k].from - m->begin + 1);
    else
        lua_pushlstring(L, m->captures[k].from, m->captures[k].len);
}

/* All captures; without any the whole match, unless `find`. Returns how many. */
static int push_captures(lua_State *L, const struct match *m, const char *from, const char *to,
                         bool find)
{
    unsigned n = m->p->captures || find ? m->p->captures : 1;

    luaL_checkstack(L, (int)n, "too many captures");
    for (unsigned k = 0; k < n; k++)
        push_capture(L, m, k, from, to);
    return (int)n;
}

/* The string that is searched. */
static const char *subject(lua_State *L, size_t *ret_len)
{
    const char *s = luaL_checklstring(L, 1, ret_len);

    if (!s)
        __builtin_unreachable(); /* Lua raises an error instead; clang's analyser does not know */
    return s;
}

static void compile_argument(lua_State *L, struct pattern *p, int index, bool anchors)
{
    size_t len;
    const char *s = luaL_checklstring(L, index, &len), *bad = compile(p, s, len, anchors);

    if (bad)
        luaL_error(L, "%s", bad);
    mw_lua_charge(L, p->n / STEPS_A_CHARGE);
}

/* Where to begin, from 0; more than len = behind the end. */
static size_t initial(lua_State *L, int index, size_t len)
{
    lua_Integer i = luaL_optinteger(L, index, 1);

    if (i > 0)
        return (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len)
        return 0;
    return len - (size_t)-i;
}

static int find_plain(lua_State *L, const char *s, size_t len, size_t at, const char *what,
                      size_t what_len)
{
    const char *hit = what_len ? memmem(s + at, len - at, what, what_len) : s + at;

    mw_lua_charge(L, (int64_t)((len + what_len) / 256));
    if (!hit) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, hit - s + 1);
    lua_pushinteger(L, hit - s + (lua_Integer)what_len);
    return 2;
}

static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] && strchr("^$*+?.([%-)", s[i]))
            return false;
    }
    return true;
}

static int find_or_match(lua_State *L, bool find)
{
    struct pattern p;
    size_t len, what_len;
    const char *s = subject(L, &len);
    const char *what = luaL_checklstring(L, 2, &what_len);
    size_t at = initial(L, 3, len);
    struct match m = {.p = &p, .begin = s, .end = s + len};

    if (at > len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(what, what_len)))
        return find_plain(L, s, len, at, what, what_len);
    compile_argument(L, &p, 2, true);
    for (const char *from = s + at; from <= m.end; from++) {
        const char *to = try_match(L, &m, from);

        if (to) {
            pay(L, &m);
            if (!find)
                return push_captures(L, &m, from, to, false);
            lua_pushinteger(L, from - s + 1);
            lua_pushinteger(L, to - s);
            return 2 + push_captures(L, &m, from, to, true);
        }
        if (p.anchored)
            break;
    }
    pay(L, &m);
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int string_match(lua_State *L)
{
    return find_or_match(L, false);
}

struct iteration {
    size_t at, last; /* offsets; last = the end of the match before, POSITION = none */
    struct pattern p;
};

static int next_match(lua_State *L)
{
    struct iteration *it = lua_touserdata(L, lua_upvalueindex(3));
    size_t len;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len);
    struct match m = {.p = &it->p, .begin = s, .end = s + len};

    for (; it->at <= len; it->at++) {
        const char *from = s + it->at, *to = try_match(L, &m, from);

        if (to && (size_t)(to - s) != it->last) {
            it->at = it->last = (size_t)(to - s);
            pay(L, &m);
            return push_captures(L, &m, from, to, false);
        }
    }
    pay(L, &m);
    return 0;
}

static int string_gmatch(lua_State *L)
{
    size_t len;
    struct iteration *it;

    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    lua_settop(L, 3);
    it = lua_newuserdatauv(L, sizeof(*it), 0);
    it->at = initial(L, 3, len);
    it->last = POSITION;
    compile_argument(L, &it->p, 2, false);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rotate(L, -3, 2);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* The text to put in the place of a match, with its captures. */
static void add_text(lua_State *L, luaL_Buffer *b, const struct match *m, const char *from,
                     const char *to)
{
    size_t len;
    const char *s = lua_tolstring(L, 3, &len), *end = s + len;

    for (; s < end; s++) {
        if (*s != '%') {
            luaL_addchar(b, *s);
            continue;
        }
        s++;
        if (s < end && *s == '%') {
            luaL_addchar(b, '%');
        } else if (s < end && *s == '0') {
            luaL_addlstring(b, from, (size_t)(to - from));
        } else if (s < end && isdigit((unsigned char)*s)) {
            push_capture(L, m, (unsigned)(*s - '1'), from, to);
            luaL_tolstring(L, -1, NULL); /* a position is a number */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "a %% in the replacement is followed by neither a digit nor %%");
        }
    }
}

static void add_value(lua_State *L, luaL_Buffer *b, struct match *m, const char *from,
                      const char *to)
{
    int type = lua_type(L, 3);

    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, m, from, to, false), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(L, m, 0, from, to);
        lua_gettable(L, 3);
    } else {
        add_text(L, b, m, from, to);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, from, (size_t)(to - from));
    } else if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else {
        luaL_error(L, "a replacement is a %s, not a string", luaL_typename(L, -1));
    }
}

static int string_gsub(lua_State *L)
{
    struct pattern p;
    size_t len;
    const char *s = subject(L, &len), *last = NULL, *from = s;
    int type = lua_type(L, 3);
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
    struct match m = {.p = &p, .begin = s, .end = s + len};
    luaL_Buffer b;

    luaL_argexpected(L,
                     type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                         type == LUA_TTABLE,
                     3, "string/function/table");
    compile_argument(L, &p, 2, true);
    if (type == LUA_TNUMBER)
        lua_tolstring(L, 3, NULL);
    luaL_buffinit(L, &b);
    while (n < max) {
        const char *to = try_match(L, &m, from);

        if (to && to != last) {
            n++;
            pay(L, &m);
            add_value(L, &b, &m, from, to);
            from = last = to;
        } else if (from < m.end) {
            luaL_addchar(&b, *from);
            from++;
        } else {
            break;
        }
        if (p.anchored)
            break;
    }
    pay(L, &m);
    luaL_addlstring(&b, from, (size_t)(m.end - from));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

void mw_lua_open_patterns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", string_find},
        {"match", string_match},
        {"gmatch", string_gmatch},
        {"gsub", string_gsub},
        {NULL, NULL},
    };

    luaL_setfuncs(L, functions, 0);
}
