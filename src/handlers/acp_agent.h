/*
 * One agent of the Agent Client Protocol: its program, the greeting (initialize, authenticate), and
 * calls in both directions. Knows nothing of sessions. On the loop's thread; callbacks never come
 * from within a call.
 */
#ifndef MW_HANDLERS_ACP_AGENT_H
#define MW_HANDLERS_ACP_AGENT_H

#include "handlers/acp_codec.h"
#include "handlers/child.h"

struct acp_agent;

struct acp_agent_ops {
    /* It has been greeted: calls can be made. */
    void (*ready)(void *owner);
    /* The sign-in that acp_agent_sign_in began is over; problem NULL = well. */
    void (*signed_in)(void *owner, const char *problem);
    void (*request)(void *owner, const struct acp_msg *m); /* answer it, now or later */
    void (*notification)(void *owner, const struct acp_msg *m);
    /* It ended, or could not be started; no call is answered any more. final: another start would
     * change nothing. */
    void (*gone)(void *owner, const char *why, bool final);
};

/* The answer of a call: a result or an error. */
typedef void (*acp_reply_cb)(void *owner, void *subject, const struct acp_msg *reply);

int acp_agent_new(const struct gw_handler_host *host, const struct acp_agent_ops *ops, void *owner,
                  struct acp_agent **ret);
void acp_agent_free(struct acp_agent *a);

/* Returns 0: it is ready; 1: `ready` or `gone` comes; or a negative errno with a sentence. */
int acp_agent_start(struct acp_agent *a, struct mw_error *err) MW_MUST_CHECK;
bool acp_agent_ready(const struct acp_agent *a);
/* Ends it; `gone` comes with this sentence. */
void acp_agent_break(struct acp_agent *a, const char *why);

/* Params are taken over, NULL = their making failed. Returns 0, or a negative errno: -EPIPE when it
 * does not run. cb NULL = the answer does not matter. */
int acp_agent_call(struct acp_agent *a, const char *method, cJSON *params, acp_reply_cb cb,
                   void *subject) MW_MUST_CHECK;
int acp_agent_notify(struct acp_agent *a, const char *method, cJSON *params);
/* The answer to a request of it. */
int acp_agent_answer(struct acp_agent *a, const cJSON *rpc_id, cJSON *result);
int acp_agent_refuse(struct acp_agent *a, const cJSON *rpc_id, int code, const char *message);
/* Answers to calls about `subject` are no longer wanted. */
void acp_agent_forget(struct acp_agent *a, const void *subject);

/* It said that it wants to be signed in. Returns 0: `signed_in` comes; or 1 with a sentence: that
 * cannot be done from here. */
int acp_agent_sign_in(struct acp_agent *a, struct mw_error *err) MW_MUST_CHECK;

/* What it can do; valid while it is ready. */
const struct acp_agent_info *acp_agent_info(const struct acp_agent *a);
/* pid, restarts, name and version. */
int acp_agent_status(const struct acp_agent *a, cJSON *object);

#endif
