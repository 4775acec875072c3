/*
 * Messages of the Agent Client Protocol, version 1, client side: trees in, plain data out, and the
 * other way round. No I/O, no state. What is read points into the tree. Not thread safe.
 *
 * Source: agentclientprotocol/agent-client-protocol, schema/v1; JSON-RPC 2.0. Members that are
 * missing or of another type count as absent, kinds that are not known are told as "other": agents
 * may be newer than we are.
 */
#ifndef MW_HANDLERS_ACP_CODEC_H
#define MW_HANDLERS_ACP_CODEC_H

#include "gateway/handler.h"

#define ACP_VERSION 1

enum acp_code {
    ACP_UNKNOWN_METHOD = -32601,
    ACP_INVALID_PARAMS = -32602,
    ACP_AUTH_REQUIRED = -32000,
    ACP_NOT_FOUND = -32002,
};

/* ---- Reading ---- */

enum acp_kind { ACP_RESULT, ACP_ERROR, ACP_REQUEST, ACP_NOTIFICATION };

struct acp_msg {
    enum acp_kind kind;
    int64_t id;          /* of a result or an error: the call's; 0 = none of ours */
    const cJSON *rpc_id; /* of a request */
    const char *method;  /* of a request or a notification */
    const cJSON *params; /* NULL = none */
    const cJSON *result; /* an object; NULL = something else, such as null */
    int code;            /* of an error */
    const char *message; /* "" = none */
};
/* Returns 0, or 1 with a sentence when it is no message. */
int acp_read(const cJSON *tree, struct acp_msg *ret, struct mw_error *err);

struct acp_agent_info {
    int64_t version;                  /* 0 = it named none */
    const char *name, *release;       /* "" = not told */
    bool load, resume, close, remove; /* sessions */
    bool image, embedded;             /* in prompts */
    bool mcp_http;
    const cJSON *auth; /* array of ways to sign in; NULL = none */
};
void acp_read_initialize(const cJSON *result, struct acp_agent_info *ret);
/* The only way to sign in that needs no terminal: its id. NULL = there is none, or several; their
 * names are appended to `names` then. */
const char *acp_auth_method(const cJSON *auth, struct mw_buf *names);

enum acp_update_kind {
    ACP_UPDATE_OTHER,
    ACP_UPDATE_TEXT,
    ACP_UPDATE_THOUGHT,
    ACP_UPDATE_TOOL, /* a call, or news of one */
    ACP_UPDATE_PLAN,
};
struct acp_update {
    enum acp_update_kind kind;
    const char *session;
    const char *text;            /* TEXT; "" = something else than text */
    const char *message_id;      /* TEXT; NULL = not told */
    const char *tool_id, *title; /* TOOL; title NULL = as before */
    int state;                   /* TOOL: enum gw_activity_state; -1 = as before */
    const cJSON *entries;        /* PLAN; see acp_plan_entry */
};
/* Returns 0, or 1 when it is for no session. */
int acp_read_update(const cJSON *params, struct acp_update *ret);
/* Returns the content of an entry, NULL when it has none. */
const char *acp_plan_entry(const cJSON *entry, enum gw_activity_state *ret);

#define ACP_MAX_OPTIONS 16
struct acp_permission {
    const char *session;
    const char *tool_id, *title; /* title NULL = as it was told before */
    const cJSON *tool;
    struct gw_permission_option options[ACP_MAX_OPTIONS];
    size_t n_options;
};
/* Returns 0, or 1 with a sentence. Options of unknown kinds are left out. */
int acp_read_permission(const cJSON *params, struct acp_permission *ret, struct mw_error *err);
/* The arguments of the tool for a person to read: JSON, a diff, text. Appends. */
int acp_permission_details(const cJSON *tool, struct mw_buf *out);
/* The mildest option that allows or rejects; NULL = there is none. */
const char *acp_choose(const struct acp_permission *p, bool allow);

/* ---- Writing: one line each, without its end. Return 0, -ENOMEM or -E2BIG. ---- */

/* `params` is taken over, NULL = its making failed. id 0 = a notification. */
int acp_write_call(struct mw_buf *b, int64_t id, const char *method, cJSON *params);
int acp_write_result(struct mw_buf *b, const cJSON *rpc_id, cJSON *result);
int acp_write_error(struct mw_buf *b, const cJSON *rpc_id, int code, const char *message);

/* Parameters and results; NULL when memory ran out. */
cJSON *acp_initialize_params(const char *release);
/* Of session/new (session NULL), session/load and session/resume. MCP servers that the agent cannot
 * use are left out; their number goes to *ret_left_out. */
cJSON *acp_session_params(const char *session, const struct gw_handler_config *config,
                          bool mcp_http, size_t *ret_left_out);
cJSON *acp_prompt_params(const char *session, cJSON *content);
/* {name: value} */
cJSON *acp_one_member(const char *name, const char *value);
/* option NULL = cancelled */
cJSON *acp_outcome(const char *option);

/* Blocks of a prompt, appended to the array. Return 0 or -ENOMEM. */
int acp_add_text(cJSON *content, const char *text);
int acp_add_image(cJSON *content, const char *mime, const void *data, size_t len);
int acp_add_resource(cJSON *content, const struct gw_turn_file *file, const char *text);
int acp_add_link(cJSON *content, const struct gw_turn_file *file);

#endif
