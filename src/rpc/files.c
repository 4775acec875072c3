/* `upload` and `download`. */
#include "gateway/files.h"
#include "base/json.h"
#include "gateway/fetch.h"
#include "rpc/internal.h"

static void on_progress(int64_t done, int64_t total, void *userdata)
{
    struct rpc_call *call = userdata;
    struct mw_buf *out;

    /* A client that does not read needs no more of them. */
    if (!call->conn || !call->id || rpc_conn_full(call->conn))
        return;
    out = &call->conn->server->out;
    mw_buf_clear(out);
    mw_buf_puts(out, "{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":{\"id\":");
    mw_json_write(out, call->id);
    mw_buf_printf(out, ",\"done\":%lld,\"total\":%lld}}\n", (long long)done, (long long)total);
    if (!mw_buf_error(out))
        rpc_conn_write(call->conn, out->data, out->len);
    mw_buf_clear(out);
}

static void run_upload(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_upload(rpc_call_gw(call), bot,
                  &(struct gw_upload){
                      .channel = mw_json_str(params, "channel"),
                      .path = mw_json_str(params, "file"),
                      .name = mw_json_str(params, "name"),
                      .progress = mw_json_bool(params, "progress") ? on_progress : NULL,
                  },
                  rpc_call_on_reply, call);
}

static void run_download(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_download(rpc_call_gw(call), bot,
                    &(struct gw_download){
                        .what = mw_json_str(params, "what"),
                        .folder = mw_json_str(params, "folder"),
                        .replace = mw_json_bool(params, "replace"),
                        .progress = mw_json_bool(params, "progress") ? on_progress : NULL,
                    },
                    rpc_call_on_reply, call);
}

static void on_fetched(const struct gw_fetched *f, void *userdata)
{
    struct gw_reply reply = {.code = f->code};

    if (f->code != GW_OK) {
        mw_error_set(&reply.err, (int)f->code, "%s", f->sentence);
    } else {
        reply.result = cJSON_CreateObject();
        if (!reply.result || (mw_json_add_str(reply.result, "file_id", f->file->id) |
                              mw_json_add_str(reply.result, "path", f->path) |
                              mw_json_add_str(reply.result, "name", f->file->name) |
                              mw_json_add_str(reply.result, "type", f->file->type) |
                              mw_json_add_i64(reply.result, "size", f->file->size))) {
            reply.code = GW_INTERNAL;
            mw_error_set(&reply.err, GW_INTERNAL, "out of memory");
        }
    }
    rpc_call_reply(userdata, &reply);
    mw_error_reset(&reply.err);
    cJSON_Delete(reply.result);
}

static void run_fetch(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);
    struct gw_fetch *fetch;

    if (bot && gw_fetch_file(bot, mw_json_str(params, "file"), on_fetched, call, &fetch))
        rpc_call_error(call, GW_INTERNAL, "out of memory", NULL);
}

/* ---- The table ---- */

#define PROGRESS                                                                                   \
    {                                                                                              \
        .name = "progress", .type = RPC_BOOL,                                                      \
        .doc = "Send notifications `progress` with `id` (of this request), `done` and `total` "    \
               "(bytes of the file), for files of more than 5 MiB."                                \
    }

static const struct rpc_param upload_params[] = {
    RPC_BOT_PARAM,
    {.name = "channel",
     .type = RPC_STRING,
     .required = true,
     .doc = "Where it will be posted: by any name. A file can be attached to posts of this channel "
            "only."},
    {.name = "file",
     .type = RPC_STRING,
     .required = true,
     .doc = "Absolute path, which the daemon reads; see `attach_roots` in docs/config.md."},
    {.name = "name",
     .type = RPC_STRING,
     .doc = "What it is called there; as on the disk unless "
            "given."},
    PROGRESS,
};

static const struct rpc_param download_params[] = {
    RPC_BOT_PARAM,
    {.name = "what",
     .type = RPC_STRING,
     .required = true,
     .doc = "A post (id or permalink): all its files; or the id of a file."},
    {.name = "folder",
     .type = RPC_STRING,
     .required = true,
     .doc = "Absolute path of a folder that exists, where the daemon writes the files (0600)."},
    {.name = "replace", .type = RPC_BOOL, .doc = "Replace files that are there."},
    PROGRESS,
};

static const struct rpc_param fetch_params[] = {
    RPC_BOT_PARAM,
    {.name = "file", .type = RPC_STRING, .required = true, .doc = "The id of a file."},
};

static const struct rpc_method methods[] = {
    {.name = "upload",
     .doc =
         "Uploads a file without posting it. Size and kind are checked first; more than 5 MiB go "
         "in pieces, and after a broken connection the upload goes on where it was.",
     RPC_PARAMS(upload_params),
     .result = "An object: `file_id`, `name`, `size`, `channel_id`.",
     .run = run_upload},
    {.name = "download",
     .doc = "Downloads files into a folder. They come in pieces; what a broken download left is "
            "continued by the next one. Nothing is fetched when a file is in the way.",
     RPC_PARAMS(download_params),
     .result = "An array of objects: `file_id`, `name` (as it was uploaded), `path`, `size`, "
               "`type`.",
     .run = run_download},
    {.name = "fetch",
     .doc = "Downloads a file into the daemon's own folder unless it is there already, and tells "
            "where it lies; see `daemon.files` in docs/config.md for limits and quota. The file "
            "must not be changed, and goes when its room is needed.",
     RPC_PARAMS(fetch_params),
     .result = "An object: `file_id`, `path`, `name` (as it was uploaded), `type`, `size`.",
     .run = run_fetch},
};
const struct rpc_method_table rpc_file_methods = RPC_METHOD_TABLE(methods);
