#include "sandbox/state.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/str.h"
#include "sandbox/persist.h"

static void free_user(void *p)
{
    sb_free_fields(sb_user_fields, p);
    free(p);
}

static void free_session(void *p)
{
    struct sb_session *x = p;

    mw_secret_free(take_ptr(x->token));
    sb_free_fields(sb_session_fields, x);
    free(x);
}

static void free_team(void *p)
{
    struct sb_team *t = p;

    mw_map_deinit(&t->members);
    sb_free_fields(sb_team_fields, t);
    free(t);
}

static void free_member(void *p)
{
    sb_free_fields(sb_member_fields, p);
    free(p);
}

static void free_channel(void *p)
{
    struct sb_channel *c = p;

    mw_map_deinit(&c->members);
    free(c->posts);
    sb_free_fields(sb_channel_fields, c);
    free(c);
}

static void free_reaction(struct sb_reaction *r)
{
    sb_free_fields(sb_reaction_fields, r);
    free(r);
}

static void free_post(void *p)
{
    struct sb_post *post = p;

    for (size_t i = 0; i < post->n_reactions; i++)
        free_reaction(post->reactions[i]);
    free(post->reactions);
    free(post->replies);
    sb_free_fields(sb_post_fields, post);
    free(post);
}

static void free_file(void *p)
{
    struct sb_file *f = p;

    free(f->data);
    sb_free_fields(sb_file_fields, f);
    free(f);
}

static void free_pref(void *p)
{
    sb_free_fields(sb_pref_fields, p);
    free(p);
}

void sb_state_init(struct sb_state *s)
{
    *s = (struct sb_state){0};
    mw_map_init(&s->users, free_user);
    mw_map_init(&s->users_by_name, NULL);
    mw_map_init(&s->sessions, free_session);
    mw_map_init(&s->teams, free_team);
    mw_map_init(&s->channels, free_channel);
    mw_map_init(&s->posts, free_post);
    mw_map_init(&s->files, free_file);
    mw_map_init(&s->prefs, free_pref);
    mw_map_init(&s->threads, free);
}

void sb_state_deinit(struct sb_state *s)
{
    sb_persist_close(s);
    mw_map_deinit(&s->threads);
    mw_map_deinit(&s->prefs);
    mw_map_deinit(&s->files);
    mw_map_deinit(&s->posts);
    mw_map_deinit(&s->channels);
    mw_map_deinit(&s->teams);
    mw_map_deinit(&s->sessions);
    mw_map_deinit(&s->users_by_name);
    mw_map_deinit(&s->users);
}

int64_t sb_now(struct sb_state *s)
{
    int64_t now = mw_clock_now();

    if (now > s->last_time)
        s->last_time = now;
    return s->last_time;
}

/* Files `obj` under its key, or frees it. */
static int add(struct mw_map *m, const char *key, void *obj, void (*free_obj)(void *))
{
    int r = mw_map_put(m, key, obj);

    if (r < 0)
        free_obj(obj);
    return r;
}

int sb_add_user(struct sb_state *s, struct sb_user *u)
{
    int r = mw_map_put(&s->users_by_name, u->username ? u->username : u->id, u);

    if (r < 0) {
        free_user(u);
        return r;
    }
    r = mw_map_put(&s->users, u->id, u);
    if (r < 0) {
        mw_map_remove(&s->users_by_name, u->username ? u->username : u->id);
        free_user(u);
        return r;
    }
    sb_save_user(s, u);
    return 0;
}

int sb_rename_user(struct sb_state *s, struct sb_user *u, const char *username)
{
    MW_AUTOFREE char *copy = NULL;
    int r;

    if (mw_streq(u->username, username))
        return 0;
    if (mw_map_get(&s->users_by_name, username))
        return -EEXIST;
    r = mw_str_set(&copy, username);
    if (r == 0)
        r = mw_map_put(&s->users_by_name, username, u);
    if (r < 0)
        return r;
    mw_map_remove(&s->users_by_name, u->username);
    free(u->username);
    u->username = take_ptr(copy);
    return 0;
}

int sb_add_session(struct sb_state *s, struct sb_session *x)
{
    int r = add(&s->sessions, x->token, x, free_session);

    if (r == 0)
        sb_save_session(s, x);
    return r;
}

int sb_add_team(struct sb_state *s, struct sb_team *t)
{
    int r;

    mw_map_init(&t->members, free);
    r = add(&s->teams, t->id, t, free_team);
    if (r == 0)
        sb_save_team(s, t);
    return r;
}

int sb_add_team_member(struct sb_state *s, struct sb_team_member *m)
{
    struct sb_team *t = mw_map_get(&s->teams, m->team_id);
    int r;

    if (!t) {
        free(m);
        return 0;
    }
    r = add(&t->members, m->user_id, m, free);
    if (r == 0)
        sb_save_team_member(s, m);
    return r;
}

int sb_add_channel(struct sb_state *s, struct sb_channel *c)
{
    int r;

    mw_map_init(&c->members, free_member);
    r = add(&s->channels, c->id, c, free_channel);
    if (r == 0)
        sb_save_channel(s, c);
    return r;
}

int sb_add_member(struct sb_state *s, struct sb_member *m)
{
    struct sb_channel *c = mw_map_get(&s->channels, m->channel_id);
    int r;

    if (!c) {
        free_member(m);
        return 0;
    }
    r = add(&c->members, m->user_id, m, free_member);
    if (r == 0)
        sb_save_member(s, m);
    return r;
}

static int append(void *array_slot, size_t *n, size_t *cap, void *item)
{
    void ***slot = array_slot;

    if (*n == *cap) {
        size_t want = *cap ? *cap * 2 : 8;
        void **bigger = realloc(*slot, want * sizeof(**slot));

        if (!bigger)
            return -ENOMEM;
        *slot = bigger;
        *cap = want;
    }
    (*slot)[(*n)++] = item;
    return 0;
}

int sb_add_post(struct sb_state *s, struct sb_post *p)
{
    struct sb_channel *c = mw_map_get(&s->channels, p->channel_id);
    struct sb_post *root = *p->root_id ? mw_map_get(&s->posts, p->root_id) : NULL;
    int r;

    p->channel = c;
    p->author = mw_map_get(&s->users, p->user_id);
    p->root = root;
    if (!c || !p->author || (*p->root_id && !root)) { /* a damaged file: leave it out */
        free_post(p);
        return 0;
    }
    r = append(&c->posts, &c->n_posts, &c->cap_posts, p);
    if (r < 0)
        goto fail;
    if (root && !*p->original_id) {
        r = append(&root->replies, &root->n_replies, &root->cap_replies, p);
        if (r < 0)
            goto fail_reply;
    }
    r = mw_map_put(&s->posts, p->id, p);
    if (r < 0)
        goto fail_put;
    /* Posts with a create_at of their own (admins may set one) are sorted in. */
    for (size_t i = c->n_posts - 1; i > 0 && c->posts[i - 1]->create_at > p->create_at; i--) {
        c->posts[i] = c->posts[i - 1];
        c->posts[i - 1] = p;
    }
    sb_save_post(s, p);
    return 0;

fail_put:
    if (root && !*p->original_id)
        root->n_replies--;
fail_reply:
    c->n_posts--;
fail:
    free_post(p);
    return r;
}

int sb_add_reaction(struct sb_state *s, struct sb_reaction *r)
{
    struct sb_post *p = mw_map_get(&s->posts, r->post_id);
    struct sb_reaction **bigger;

    if (!p) {
        free_reaction(r);
        return 0;
    }
    bigger = realloc(p->reactions, (p->n_reactions + 1) * sizeof(*bigger));
    if (!bigger) {
        free_reaction(r);
        return -ENOMEM;
    }
    p->reactions = bigger;
    p->reactions[p->n_reactions++] = r;
    sb_persist_reaction(s, r);
    return 0;
}

int sb_add_file(struct sb_state *s, struct sb_file *f)
{
    int r = add(&s->files, f->id, f, free_file);

    if (r == 0)
        sb_persist_file(s, f, true);
    return r;
}

static char *pref_key(const char *user_id, const char *category, const char *name)
{
    return mw_asprintf("%s/%s/%s", user_id, category, name);
}

int sb_add_pref(struct sb_state *s, struct sb_pref *p)
{
    MW_AUTOFREE char *key = pref_key(p->user_id, p->category, p->name);
    int r;

    if (!key) {
        free_pref(p);
        return -ENOMEM;
    }
    r = add(&s->prefs, key, p, free_pref);
    if (r == 0)
        sb_persist_pref(s, key, p);
    return r;
}

static void thread_key(char *buf, size_t size, const char *user_id, const char *post_id)
{
    snprintf(buf, size, "%s/%s", user_id, post_id);
}

int sb_add_thread_state(struct sb_state *s, struct sb_thread_state *t)
{
    char key[2 * MW_ID_SIZE];
    int r;

    thread_key(key, sizeof(key), t->user_id, t->post_id);
    r = add(&s->threads, key, t, free);
    if (r == 0)
        sb_save_thread_state(s, t);
    return r;
}

void sb_remove_session(struct sb_state *s, const char *token)
{
    struct sb_session *x = mw_map_get(&s->sessions, token);

    if (!x)
        return;
    sb_persist_delete(s, "session", x->id);
    mw_map_remove(&s->sessions, token);
}

void sb_remove_member(struct sb_state *s, struct sb_channel *c, const char *user_id)
{
    sb_persist_delete2(s, "member", c->id, user_id);
    mw_map_remove(&c->members, user_id);
}

bool sb_remove_reaction(struct sb_state *s, struct sb_post *p, const char *user_id,
                        const char *emoji_name)
{
    for (size_t i = 0; i < p->n_reactions; i++) {
        struct sb_reaction *r = p->reactions[i];

        if (strcmp(r->user_id, user_id) != 0 || strcmp(r->emoji_name, emoji_name) != 0)
            continue;
        memmove(&p->reactions[i], &p->reactions[i + 1],
                (p->n_reactions - i - 1) * sizeof(struct sb_reaction *));
        p->n_reactions--;
        sb_persist_reaction_gone(s, r);
        free_reaction(r);
        return true;
    }
    return false;
}

bool sb_remove_pref(struct sb_state *s, const char *user_id, const char *category, const char *name)
{
    MW_AUTOFREE char *key = pref_key(user_id, category, name);

    if (!key)
        return false;
    sb_persist_delete(s, "pref", key);
    return mw_map_remove(&s->prefs, key);
}

struct sb_user *sb_user_by_id(const struct sb_state *s, const char *id)
{
    return id ? mw_map_get(&s->users, id) : NULL;
}

struct sb_user *sb_user_by_name(const struct sb_state *s, const char *username)
{
    return username ? mw_map_get(&s->users_by_name, username) : NULL;
}

struct sb_user *sb_user_by_email(const struct sb_state *s, const char *email)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->users, &it, NULL, &v)) {
        struct sb_user *u = v;

        if (mw_streq(u->email, email))
            return u;
    }
    return NULL;
}

struct sb_team *sb_team_by_name(const struct sb_state *s, const char *name)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->teams, &it, NULL, &v)) {
        struct sb_team *t = v;

        if (mw_streq(t->name, name))
            return t;
    }
    return NULL;
}

struct sb_channel *sb_channel_by_name(const struct sb_state *s, const char *team_id,
                                      const char *name)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->channels, &it, NULL, &v)) {
        struct sb_channel *c = v;

        if (strcmp(c->team_id, team_id) == 0 && mw_streq(c->name, name))
            return c;
    }
    return NULL;
}

struct sb_session *sb_session_by_id(const struct sb_state *s, const char *id)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->sessions, &it, NULL, &v)) {
        struct sb_session *x = v;

        if (mw_streq(x->id, id))
            return x;
    }
    return NULL;
}

struct sb_member *sb_member_of(const struct sb_channel *c, const char *user_id)
{
    return mw_map_get(&c->members, user_id);
}

struct sb_team_member *sb_team_member_of(const struct sb_team *t, const char *user_id)
{
    struct sb_team_member *m = mw_map_get(&t->members, user_id);

    return m && m->delete_at == 0 ? m : NULL;
}

struct sb_reaction *sb_reaction_of(const struct sb_post *p, const char *user_id,
                                   const char *emoji_name)
{
    for (size_t i = 0; i < p->n_reactions; i++)
        if (strcmp(p->reactions[i]->user_id, user_id) == 0 &&
            mw_streq(p->reactions[i]->emoji_name, emoji_name))
            return p->reactions[i];
    return NULL;
}

struct sb_pref *sb_pref_of(const struct sb_state *s, const char *user_id, const char *category,
                           const char *name)
{
    MW_AUTOFREE char *key = pref_key(user_id, category, name);

    return key ? mw_map_get(&s->prefs, key) : NULL;
}

struct sb_thread_state *sb_thread_state_of(const struct sb_state *s, const char *user_id,
                                           const char *post_id)
{
    char key[2 * MW_ID_SIZE];

    thread_key(key, sizeof(key), user_id, post_id);
    return mw_map_get(&s->threads, key);
}

bool sb_has_role(const char *roles, const char *role)
{
    size_t len = strlen(role);

    for (const char *p = roles; p && *p;) {
        size_t n = strcspn(p, " ");

        if (n == len && memcmp(p, role, len) == 0)
            return true;
        p += n + strspn(p + n, " ");
    }
    return false;
}

static int compare_created(const void *a, const void *b, void *arg)
{
    const char *pa = *(const char *const *)a, *pb = *(const char *const *)b;
    size_t offset = *(const size_t *)arg;
    int64_t ta = *(const int64_t *)(const void *)(pa + offset);
    int64_t tb = *(const int64_t *)(const void *)(pb + offset);

    return ta < tb ? -1 : ta > tb ? 1 : strcmp(pa, pb);
}

int sb_sorted(const struct mw_map *m, size_t create_at_offset, void ***ret)
{
    void **list = calloc(m->count + 1, sizeof(*list));
    size_t it = 0, n = 0;
    void *v;

    if (!list)
        return -ENOMEM;
    while (mw_map_next(m, &it, NULL, &v))
        list[n++] = v;
    qsort_r(list, n, sizeof(*list), compare_created, &create_at_offset);
    *ret = list;
    return (int)n;
}

#define SALT_LEN   8
#define HASH_LEN   16
#define ITERATIONS 2000 /* sandbox passwords are public; this only keeps them out of the file */

static int password_hash(const unsigned char *salt, const char *password, unsigned char *hash)
{
    return PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, SALT_LEN, ITERATIONS,
                             EVP_sha256(), HASH_LEN, hash) == 1
               ? 0
               : -ENOMEM;
}

static void put_hex(char *out, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", data[i]);
}

char *sb_password_make(const char *password)
{
    unsigned char salt[SALT_LEN], hash[HASH_LEN];
    char text[2 * SALT_LEN + 2 * HASH_LEN + 1];

    if (getrandom(salt, sizeof(salt), 0) != sizeof(salt) || password_hash(salt, password, hash) < 0)
        return NULL;
    put_hex(text, salt, SALT_LEN);
    put_hex(text + 2 * (size_t)SALT_LEN, hash, HASH_LEN);
    return strdup(text);
}

bool sb_password_matches(const char *kept, const char *password)
{
    unsigned char salt[SALT_LEN], hash[HASH_LEN];
    char text[2 * HASH_LEN + 1];

    if (!kept || !password || strlen(kept) != 2 * SALT_LEN + 2 * HASH_LEN)
        return false;
    for (size_t i = 0; i < SALT_LEN; i++) {
        char byte[3] = {kept[2 * i], kept[2 * i + 1], '\0'};

        salt[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    if (password_hash(salt, password, hash) < 0)
        return false;
    put_hex(text, hash, HASH_LEN);
    return mw_secret_equal(kept + 2 * (size_t)SALT_LEN, text);
}
