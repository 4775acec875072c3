/* The events that operations cause (model/websocket_message.go), and the status of people. */
#ifndef SB_EVENTS_H
#define SB_EVENTS_H

#include "sandbox/server.h"

/* `mentioned` maps the ids of mentioned users to anything; NULL = nobody. */
void sb_event_posted(struct sb_server *sv, struct sb_post *p, const struct mw_map *mentioned);
/* post_edited, or post_deleted with `deleted_by` (NULL = the author). */
void sb_event_post_edited(struct sb_server *sv, struct sb_post *p);
void sb_event_post_deleted(struct sb_server *sv, struct sb_post *p, const struct sb_user *by);
void sb_event_reaction(struct sb_server *sv, const char *event, struct sb_post *p,
                       const struct sb_reaction *r);
void sb_event_typing(struct sb_server *sv, struct sb_user *u, struct sb_channel *c,
                     const char *parent_id);
void sb_event_channel(struct sb_server *sv, const char *event, struct sb_channel *c);
/* Channel-wide and personal copies of user_added and user_removed. */
void sb_event_user_added(struct sb_server *sv, struct sb_channel *c, struct sb_user *u);
void sb_event_user_removed(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                           struct sb_user *remover);
void sb_event_user_updated(struct sb_server *sv, struct sb_user *u);
void sb_event_team(struct sb_server *sv, const char *event, struct sb_team *t);
/* Any other: members of data by printf; to a user, a channel, a team or (all NULL) everybody. */
void sb_event(struct sb_server *sv, const char *event, const struct sb_broadcast *to,
              const char *fmt, ...) MW_PRINTF(4, 5);
/* `"key":"<the document as a string>"`; escapes as Go does. */
void sb_put_document(struct mw_buf *b, const char *key, struct mw_buf *document);

/* Changes it and tells that user's own sockets, as the real server does. */
void sb_set_status(struct sb_server *sv, struct sb_user *u, const char *status, bool manual);

#endif
