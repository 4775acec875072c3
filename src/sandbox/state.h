/*
 * What the sandbox knows: users, sessions, teams, channels, members, posts, files, preferences.
 *
 * Everything lives in memory, in maps by id and per-channel arrays in order of creation. With a
 * database file every object is also kept as one row (kind, id, json), written in a transaction
 * that is committed at the end of the loop's turn. Objects are never freed before the state is:
 * deletions are marks, as on the real server (except members, preferences, reactions, sessions).
 * Pointers stay valid. Not thread safe.
 */
#ifndef SB_STATE_H
#define SB_STATE_H

#include "base/error.h"
#include "base/id.h"
#include "base/map.h"
#include "sandbox/fields.h"

struct sqlite3;
struct sqlite3_stmt;

struct sb_user {
    char id[MW_ID_SIZE];
    int64_t create_at, update_at, delete_at;
    char *username, *email, *nickname, *first_name, *last_name, *position, *roles, *locale;
    char *props, *notify_props, *timezone; /* JSON */
    int64_t last_password_update, last_picture_update;
    bool is_bot;
    char *bot_description;
    char owner_id[MW_ID_SIZE]; /* of a bot */
    char *password;            /* salt:hash; NULL = cannot log in */
    char *status;              /* online, away, offline, dnd; NULL = offline */
    bool manual;               /* the status was chosen by the person */
    int64_t last_activity_at, dnd_end_time;
};

struct sb_session {
    char id[MW_ID_SIZE];
    char *token;
    char user_id[MW_ID_SIZE];
    char *description;
    bool access_token; /* a personal or bot access token, not a login */
    bool is_active;
    int64_t create_at;
};

struct sb_team {
    char id[MW_ID_SIZE];
    int64_t create_at, update_at, delete_at;
    char *display_name, *name, *description, *email, *type, *company_name, *allowed_domains;
    char invite_id[MW_ID_SIZE];
    bool allow_open_invite;
    struct mw_map members; /* user id -> struct sb_team_member; owned */
};

struct sb_team_member {
    char team_id[MW_ID_SIZE];
    char user_id[MW_ID_SIZE];
    bool scheme_admin;
    int64_t create_at, delete_at;
};

struct sb_channel {
    char id[MW_ID_SIZE];
    int64_t create_at, update_at, delete_at;
    char team_id[MW_ID_SIZE];
    char *type, *display_name, *name, *header, *purpose;
    int64_t last_post_at, total_msg_count, extra_update_at;
    char creator_id[MW_ID_SIZE];
    int64_t total_msg_count_root, last_root_post_at;
    struct mw_map members;  /* user id -> struct sb_member; owned */
    struct sb_post **posts; /* in order of creation; create_at never falls */
    size_t n_posts, cap_posts;
};

struct sb_member {
    char channel_id[MW_ID_SIZE];
    char user_id[MW_ID_SIZE];
    int64_t last_viewed_at, msg_count, mention_count, mention_count_root, msg_count_root;
    int64_t last_update_at;
    char *notify_props; /* JSON */
    bool scheme_admin;
};

struct sb_reaction {
    char user_id[MW_ID_SIZE];
    char post_id[MW_ID_SIZE];
    char *emoji_name;
    int64_t create_at, update_at;
};

struct sb_post {
    char id[MW_ID_SIZE];
    int64_t create_at, update_at, edit_at, delete_at;
    bool is_pinned;
    char user_id[MW_ID_SIZE];
    char channel_id[MW_ID_SIZE];
    char root_id[MW_ID_SIZE];
    char original_id[MW_ID_SIZE]; /* not empty: what that post was before an edit */
    char *message, *type, *hashtags;
    char *props, *file_ids; /* JSON */
    char *actions;          /* JSON: id of a button or menu -> its integration; NULL = none */
    char *pending_post_id;
    char delete_by[MW_ID_SIZE];

    struct sb_channel *channel;
    struct sb_user *author;
    struct sb_post *root;     /* NULL for a root */
    struct sb_post **replies; /* of a root, in order; deleted ones too */
    size_t n_replies, cap_replies;
    struct sb_reaction **reactions; /* owned */
    size_t n_reactions;
};

struct sb_file {
    char id[MW_ID_SIZE];
    char user_id[MW_ID_SIZE];
    char post_id[MW_ID_SIZE];
    char channel_id[MW_ID_SIZE];
    int64_t create_at, update_at, delete_at;
    char *name, *extension, *mime_type;
    int64_t size, width, height;
    bool has_preview_image;
    char *data; /* `size` bytes */
};

struct sb_pref {
    char user_id[MW_ID_SIZE];
    char *category, *name, *value;
};

struct sb_thread_state { /* a user's view of a thread */
    char user_id[MW_ID_SIZE];
    char post_id[MW_ID_SIZE];
    bool following;
    int64_t last_viewed_at;
};

struct sb_state {
    struct mw_map users;         /* id -> sb_user; owned */
    struct mw_map users_by_name; /* username -> sb_user */
    struct mw_map sessions;      /* token -> sb_session; owned */
    struct mw_map teams;         /* id; owned */
    struct mw_map channels;      /* id; owned */
    struct mw_map posts;         /* id; owned */
    struct mw_map files;         /* id; owned */
    struct mw_map prefs;         /* user/category/name; owned */
    struct mw_map threads;       /* user/post; owned */
    struct sqlite3 *db;
    struct sqlite3_stmt *put, *del;
    bool dirty;        /* a transaction is open */
    int db_error;      /* the first failed write; sticks */
    int64_t last_time; /* see sb_now */
};

extern const struct sb_field sb_user_fields[], sb_session_fields[], sb_team_fields[],
    sb_team_member_fields[], sb_channel_fields[], sb_member_fields[], sb_post_fields[],
    sb_reaction_fields[], sb_file_fields[], sb_pref_fields[], sb_thread_state_fields[];

void sb_state_init(struct sb_state *s);
void sb_state_deinit(struct sb_state *s);

/* Loads the file, or makes it. Returns 0 or a negative errno with a sentence. */
int sb_state_open(struct sb_state *s, const char *path, struct mw_error *err);
/* Ends the turn's transaction. Returns 0 or -EIO (err says what SQLite said). */
int sb_state_commit(struct sb_state *s, struct mw_error *err);

/* The wall clock, but never going back: the order of posts depends on it. */
int64_t sb_now(struct sb_state *s);

/*
 * Making: the object is taken over and filed; returns 0 or -ENOMEM (then the object is freed).
 * Saving writes it to the database when there is one; failures stick in db_error and come out of
 * sb_state_commit.
 */
int sb_add_user(struct sb_state *s, struct sb_user *u);
int sb_add_session(struct sb_state *s, struct sb_session *x);
int sb_add_team(struct sb_state *s, struct sb_team *t);
int sb_add_team_member(struct sb_state *s, struct sb_team_member *m);
int sb_add_channel(struct sb_state *s, struct sb_channel *c);
int sb_add_member(struct sb_state *s, struct sb_member *m);
int sb_add_post(struct sb_state *s, struct sb_post *p);
int sb_add_reaction(struct sb_state *s, struct sb_reaction *r); /* the post must exist */
int sb_add_file(struct sb_state *s, struct sb_file *f);
int sb_add_pref(struct sb_state *s, struct sb_pref *p);
int sb_add_thread_state(struct sb_state *s, struct sb_thread_state *t);

void sb_save_user(struct sb_state *s, const struct sb_user *u);
void sb_save_session(struct sb_state *s, const struct sb_session *x);
void sb_save_team(struct sb_state *s, const struct sb_team *t);
void sb_save_team_member(struct sb_state *s, const struct sb_team_member *m);
void sb_save_channel(struct sb_state *s, const struct sb_channel *c);
void sb_save_member(struct sb_state *s, const struct sb_member *m);
void sb_save_post(struct sb_state *s, const struct sb_post *p);
void sb_save_file(struct sb_state *s, const struct sb_file *f);
void sb_save_thread_state(struct sb_state *s, const struct sb_thread_state *t);

void sb_remove_session(struct sb_state *s, const char *token);
void sb_remove_member(struct sb_state *s, struct sb_channel *c, const char *user_id);
bool sb_remove_reaction(struct sb_state *s, struct sb_post *p, const char *user_id,
                        const char *emoji_name);
bool sb_remove_pref(struct sb_state *s, const char *user_id, const char *category,
                    const char *name);

/* A new name changes the index too. Returns 0, -EEXIST or -ENOMEM. */
int sb_rename_user(struct sb_state *s, struct sb_user *u, const char *username);

/* Lookups; NULL when there is none. */
struct sb_user *sb_user_by_id(const struct sb_state *s, const char *id);
struct sb_user *sb_user_by_name(const struct sb_state *s, const char *username);
struct sb_user *sb_user_by_email(const struct sb_state *s, const char *email);
struct sb_team *sb_team_by_name(const struct sb_state *s, const char *name);
struct sb_channel *sb_channel_by_name(const struct sb_state *s, const char *team_id,
                                      const char *name);
struct sb_session *sb_session_by_id(const struct sb_state *s, const char *id);
struct sb_member *sb_member_of(const struct sb_channel *c, const char *user_id);
/* Only members that have not left. */
struct sb_team_member *sb_team_member_of(const struct sb_team *t, const char *user_id);
struct sb_reaction *sb_reaction_of(const struct sb_post *p, const char *user_id,
                                   const char *emoji_name);
struct sb_pref *sb_pref_of(const struct sb_state *s, const char *user_id, const char *category,
                           const char *name);
struct sb_thread_state *sb_thread_state_of(const struct sb_state *s, const char *user_id,
                                           const char *post_id);

bool sb_has_role(const char *roles, const char *role);
static inline bool sb_is_admin(const struct sb_user *u)
{
    return sb_has_role(u->roles, "system_admin");
}

/*
 * The values of a map as an array in a stable order (create_at, then id; `offset` is create_at's
 * place in the struct, the id is at its start). *ret is freed by the caller. Returns the count or
 * -ENOMEM.
 */
int sb_sorted(const struct mw_map *m, size_t create_at_offset, void ***ret);

/* A password as it is kept, freed by the caller; NULL when memory or randomness ran out. */
char *sb_password_make(const char *password);
bool sb_password_matches(const char *kept, const char *password);

#endif
