#include "sandbox/persist.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char schema[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL;"
    "CREATE TABLE IF NOT EXISTS objects(kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL,"
    " data BLOB, PRIMARY KEY(kind, id));";

/* An update keeps the row's place, so that loading by rowid gives the order of creation. */
static const char put_sql[] =
    "INSERT INTO objects(kind, id, json, data) VALUES(?1, ?2, ?3, ?4)"
    " ON CONFLICT(kind, id) DO UPDATE SET json=?3, data=coalesce(?4, data)";
static const char del_sql[] = "DELETE FROM objects WHERE kind=?1 AND id=?2";

static bool begin(struct sb_state *s)
{
    if (!s->db || s->db_error || !s->put)
        return false;
    if (!s->dirty) {
        if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
            s->db_error = -EIO;
            return false;
        }
        s->dirty = true;
    }
    return true;
}

static void put(struct sb_state *s, const char *kind, const char *id, const struct sb_field *fields,
                const void *obj, const void *data, size_t len)
{
    MW_AUTOBUF json = {0};

    if (!begin(s))
        return;
    sb_write_object(&json, fields, obj, SB_VIEW_STORE);
    if (mw_buf_error(&json)) {
        s->db_error = mw_buf_error(&json);
        return;
    }
    sqlite3_reset(s->put);
    sqlite3_clear_bindings(s->put);
    sqlite3_bind_text(s->put, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->put, 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->put, 3, mw_buf_str(&json), (int)json.len, SQLITE_STATIC);
    if (data)
        sqlite3_bind_blob64(s->put, 4, data, len, SQLITE_STATIC);
    if (sqlite3_step(s->put) != SQLITE_DONE)
        s->db_error = -EIO;
    sqlite3_reset(s->put);
    sqlite3_clear_bindings(s->put);
}

static void put2(struct sb_state *s, const char *kind, const char *id, const char *id2,
                 const struct sb_field *fields, const void *obj)
{
    char key[2 * MW_ID_SIZE];

    snprintf(key, sizeof(key), "%s/%s", id, id2);
    put(s, kind, key, fields, obj, NULL, 0);
}

void sb_persist_delete(struct sb_state *s, const char *kind, const char *id)
{
    if (!begin(s))
        return;
    sqlite3_reset(s->del);
    sqlite3_bind_text(s->del, 1, kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s->del, 2, id, -1, SQLITE_STATIC);
    if (sqlite3_step(s->del) != SQLITE_DONE)
        s->db_error = -EIO;
    sqlite3_reset(s->del);
    sqlite3_clear_bindings(s->del);
}

void sb_persist_delete2(struct sb_state *s, const char *kind, const char *id, const char *id2)
{
    char key[2 * MW_ID_SIZE];

    snprintf(key, sizeof(key), "%s/%s", id, id2);
    sb_persist_delete(s, kind, key);
}

static void reaction_key(char *buf, size_t size, const struct sb_reaction *r)
{
    snprintf(buf, size, "%s/%s/%s", r->post_id, r->user_id, r->emoji_name);
}

void sb_persist_reaction(struct sb_state *s, const struct sb_reaction *r)
{
    char key[2 * MW_ID_SIZE + 80];

    reaction_key(key, sizeof(key), r);
    put(s, "reaction", key, sb_reaction_fields, r, NULL, 0);
}

void sb_persist_reaction_gone(struct sb_state *s, const struct sb_reaction *r)
{
    char key[2 * MW_ID_SIZE + 80];

    reaction_key(key, sizeof(key), r);
    sb_persist_delete(s, "reaction", key);
}

void sb_persist_pref(struct sb_state *s, const char *key, const struct sb_pref *p)
{
    put(s, "pref", key, sb_pref_fields, p, NULL, 0);
}

void sb_persist_file(struct sb_state *s, const struct sb_file *f, bool with_data)
{
    put(s, "file", f->id, sb_file_fields, f, with_data ? f->data : NULL, (size_t)f->size);
}

void sb_save_user(struct sb_state *s, const struct sb_user *u)
{
    put(s, "user", u->id, sb_user_fields, u, NULL, 0);
}

void sb_save_session(struct sb_state *s, const struct sb_session *x)
{
    put(s, "session", x->id, sb_session_fields, x, NULL, 0);
}

void sb_save_team(struct sb_state *s, const struct sb_team *t)
{
    put(s, "team", t->id, sb_team_fields, t, NULL, 0);
}

void sb_save_team_member(struct sb_state *s, const struct sb_team_member *m)
{
    put2(s, "team_member", m->team_id, m->user_id, sb_team_member_fields, m);
}

void sb_save_channel(struct sb_state *s, const struct sb_channel *c)
{
    put(s, "channel", c->id, sb_channel_fields, c, NULL, 0);
}

void sb_save_member(struct sb_state *s, const struct sb_member *m)
{
    put2(s, "member", m->channel_id, m->user_id, sb_member_fields, m);
}

void sb_save_post(struct sb_state *s, const struct sb_post *p)
{
    put(s, "post", p->id, sb_post_fields, p, NULL, 0);
}

void sb_save_file(struct sb_state *s, const struct sb_file *f)
{
    sb_persist_file(s, f, false);
}

void sb_save_thread_state(struct sb_state *s, const struct sb_thread_state *t)
{
    put2(s, "thread", t->user_id, t->post_id, sb_thread_state_fields, t);
}

/* Loading. The adders write to the file again only while `put` is set, which it is not yet. */

#define DEFINE_LOADER(name, add)                                                                   \
    static int load_##name(struct sb_state *s, const cJSON *json, const void *data, size_t len)    \
    {                                                                                              \
        struct sb_##name *x = calloc(1, sizeof(*x));                                               \
        int r;                                                                                     \
                                                                                                   \
        if (!x)                                                                                    \
            return -ENOMEM;                                                                        \
        r = sb_read_fields(sb_##name##_fields, x, json);                                           \
        if (r < 0) {                                                                               \
            sb_free_fields(sb_##name##_fields, x);                                                 \
            free(x);                                                                               \
            return r;                                                                              \
        }                                                                                          \
        return add(s, x);                                                                          \
    }

DEFINE_LOADER(user, sb_add_user)
DEFINE_LOADER(session, sb_add_session)
DEFINE_LOADER(team, sb_add_team)
DEFINE_LOADER(team_member, sb_add_team_member)
DEFINE_LOADER(channel, sb_add_channel)
DEFINE_LOADER(member, sb_add_member)
DEFINE_LOADER(post, sb_add_post)
DEFINE_LOADER(reaction, sb_add_reaction)
DEFINE_LOADER(pref, sb_add_pref)
DEFINE_LOADER(thread_state, sb_add_thread_state)

static int load_file(struct sb_state *s, const cJSON *json, const void *data, size_t len)
{
    struct sb_file *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    r = sb_read_fields(sb_file_fields, f, json);
    f->size = (int64_t)len;
    f->data = malloc(len + 1);
    if (r < 0 || !f->data) {
        free(f->data);
        sb_free_fields(sb_file_fields, f);
        free(f);
        return -ENOMEM;
    }
    if (len)
        memcpy(f->data, data, len);
    return sb_add_file(s, f);
}

/* In this order: each needs what stands above it. */
static const struct {
    const char *kind;
    int (*load)(struct sb_state *s, const cJSON *json, const void *data, size_t len);
} loaders[] = {
    {"user", load_user},       {"session", load_session},         {"team", load_team},
    {"channel", load_channel}, {"team_member", load_team_member}, {"member", load_member},
    {"post", load_post},       {"reaction", load_reaction},       {"file", load_file},
    {"pref", load_pref},       {"thread", load_thread_state},
};

static int load_kind(struct sb_state *s, sqlite3_stmt *stmt, size_t i, struct mw_error *err)
{
    int rc;

    sqlite3_reset(stmt);
    sqlite3_bind_text(stmt, 1, loaders[i].kind, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        MW_AUTOJSON *json = NULL;
        int r = mw_json_parse((const char *)sqlite3_column_text(stmt, 0),
                              (size_t)sqlite3_column_bytes(stmt, 0), &json, err);

        if (r == 0)
            r = loaders[i].load(s, json, sqlite3_column_blob(stmt, 1),
                                (size_t)sqlite3_column_bytes(stmt, 1));
        if (r < 0)
            return mw_error_set(err, r, "cannot load a %s", loaders[i].kind);
    }
    if (rc != SQLITE_DONE)
        return mw_error_set(err, -EIO, "%s", sqlite3_errmsg(s->db));
    return 0;
}

static int load_all(struct sb_state *s, struct mw_error *err)
{
    sqlite3_stmt *stmt;
    int r = 0;

    if (sqlite3_prepare_v2(s->db, "SELECT json, data FROM objects WHERE kind=?1 ORDER BY rowid", -1,
                           &stmt, NULL) != SQLITE_OK)
        return mw_error_set(err, -EIO, "%s", sqlite3_errmsg(s->db));
    for (size_t i = 0; i < MW_ARRAY_LEN(loaders) && r == 0; i++)
        r = load_kind(s, stmt, i, err);
    sqlite3_finalize(stmt);
    return r;
}

int sb_state_open(struct sb_state *s, const char *path, struct mw_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* it holds tokens */
    int r;

    if (fd < 0)
        return mw_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    close(fd);
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(s->db, 1000) != SQLITE_OK ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        return mw_error_set(err, -EIO, "%s: %s", path, sqlite3_errmsg(s->db));
    r = load_all(s, err);
    if (r < 0) {
        mw_error_prefix(err, "%s", path);
        return r;
    }
    if (sqlite3_prepare_v2(s->db, put_sql, -1, &s->put, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, del_sql, -1, &s->del, NULL) != SQLITE_OK)
        return mw_error_set(err, -EIO, "%s: %s", path, sqlite3_errmsg(s->db));
    return 0;
}

int sb_state_commit(struct sb_state *s, struct mw_error *err)
{
    if (s->db_error)
        return mw_error_set(err, s->db_error, "database: %s", sqlite3_errmsg(s->db));
    if (!s->dirty)
        return 0;
    s->dirty = false;
    if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        s->db_error = -EIO;
        return mw_error_set(err, -EIO, "database: %s", sqlite3_errmsg(s->db));
    }
    return 0;
}

void sb_persist_close(struct sb_state *s)
{
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->del);
    s->put = s->del = NULL;
    sqlite3_close(s->db); /* an open transaction is rolled back: the caller has committed */
    s->db = NULL;
}
