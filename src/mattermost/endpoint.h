/*
 * The forms in which people write where things are: the server's address, and names of channels,
 * users and posts. Sans-I/O. Facts: wire reference, sections 0 and 1.4.
 */
#ifndef MW_MATTERMOST_ENDPOINT_H
#define MW_MATTERMOST_ENDPOINT_H

#include "base/error.h"
#include "base/id.h"

/* Reads "http(s)://host[:port][/sub/path][/]" and gives it without the trailing slash and without
 * "/api/v4" (which people copy along). Refuses user names in the address, queries and fragments.
 * *ret is freed by the caller. Returns 0, -EINVAL or -ENOMEM. */
int mm_endpoint_parse(const char *text, char **ret, struct mw_error *err);

/* Finds the post id in a permalink, "…/TEAM/pl/ID" or "/_redirect/pl/ID", of the server `endpoint`
 * (compared without scheme, as SiteURL and endpoint may differ in it). Returns true and fills
 * post_id[MW_ID_SIZE] in. */
bool mm_permalink_parse(const char *endpoint, const char *text, char *post_id);

enum mm_ref_kind {
    MM_REF_ID,        /* 26 letters and digits */
    MM_REF_PERMALINK, /* id is the post's */
    MM_REF_USER,      /* @name */
    MM_REF_NAME,      /* channel, ~channel, #channel */
    MM_REF_TEAM_NAME, /* team/channel */
};

struct mm_ref {
    enum mm_ref_kind kind;
    char id[MW_ID_SIZE]; /* MM_REF_ID, MM_REF_PERMALINK */
    char team[65];       /* MM_REF_TEAM_NAME; lower case */
    char name[65];       /* the others; lower case */
};
/* Reads a name as a person types it. Returns 0 or -EINVAL with a sentence that says what is
 * allowed. */
int mm_ref_parse(const char *endpoint, const char *text, struct mm_ref *ret, struct mw_error *err);

#endif
