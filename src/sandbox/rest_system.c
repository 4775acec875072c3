/* Ping, configuration, licence, and the routes that only say that something is off. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

int sb_h_ping(struct sb_req *q)
{
    static const char *const keys[] = {"AndroidLatestVersion", "AndroidMinVersion",
                                       "DesktopLatestVersion", "DesktopMinVersion",
                                       "IosLatestVersion",     "IosMinVersion"};

    mw_buf_putc(&q->out, '{');
    if (!q->sv->old)
        mw_buf_puts(&q->out, "\"ActiveSearchBackend\":\"database\",");
    for (size_t i = 0; i < MW_ARRAY_LEN(keys); i++)
        mw_buf_printf(&q->out, "\"%s\":\"\",", keys[i]);
    if (sb_query_true(q, "get_server_status"))
        mw_buf_puts(&q->out, "\"database_status\":\"OK\",\"filestore_status\":\"OK\",");
    mw_buf_puts(&q->out, "\"status\":\"OK\"}");
    return sb_reply(q, 200);
}

static const struct {
    const char *key, *value;
    bool open; /* also without a session */
} config[] = {
    {"BuildEnterpriseReady", "false", true},
    {"BuildHash", "sandbox", true},
    {"BuildNumber", "sandbox", true},
    {"CollapsedThreads", "always_on", false},
    {"DefaultClientLocale", "en", true},
    {"DiagnosticsEnabled", "false", true},
    {"EnableBotAccountCreation", "true", true},
    {"EnableCommands", "false", false},
    {"EnableCustomEmoji", "false", true},
    {"EnableFileAttachments", "true", false},
    {"EnableIncomingWebhooks", "false", false},
    {"EnableOpenServer", "true", true},
    {"EnableOutgoingWebhooks", "false", false},
    {"EnablePostIconOverride", "true", false},
    {"EnablePostUsernameOverride", "true", false},
    {"EnablePublicLink", "false", false},
    {"EnableSignInWithEmail", "true", true},
    {"EnableSignInWithUsername", "true", true},
    {"EnableUserAccessTokens", "true", false},
    {"EnableUserTypingMessages", "true", false},
    {"MaxFileSize", "104857600", false},
    {"MaxPostSize", "16383", false},
    {"PostEditTimeLimit", "-1", false},
    {"RestrictDirectMessage", "any", false},
    {"SiteName", "Matterwire sandbox", true},
    {"TimeBetweenUserTypingUpdatesMilliseconds", "5000", false},
    {"UniqueEmojiReactionLimitPerPost", "50", false},
    {"WebsocketPort", "80", true},
    {"WebsocketSecurePort", "443", true},
    {"WebsocketURL", "", true},
};

int sb_h_config(struct sb_req *q)
{
    if (q->sv->old && !mw_streq(sb_query(q, "format"), "old"))
        return sb_fail(q, 501, "api.config.client.old_format.app_error",
                       "New format for the client configuration is not supported yet. Please "
                       "specify format=old in the query string.");
    mw_buf_putc(&q->out, '{');
    for (size_t i = 0; i < MW_ARRAY_LEN(config); i++) {
        if (!q->user && !config[i].open)
            continue;
        sb_put_str(&q->out, config[i].key, config[i].value);
        mw_buf_putc(&q->out, ',');
    }
    if (q->user) {
        sb_put_str(&q->out, "SiteURL", q->sv->url);
        mw_buf_putc(&q->out, ',');
    }
    sb_put_str(&q->out, "Version", sb_version(q->sv));
    mw_buf_putc(&q->out, '}');
    return sb_reply(q, 200);
}

int sb_h_license(struct sb_req *q)
{
    if (!mw_streq(sb_query(q, "format"), "old"))
        return sb_fail(q, 400, "api.license.client.old_format.app_error",
                       "New format for the client license is not supported yet. Please specify "
                       "format=old in the query string.");
    mw_buf_printf(&q->out, "{\"IsLicensed\":\"%s\"}", sb_licensed(q->sv) ? "true" : "false");
    return sb_reply(q, 200);
}

int sb_h_no_license(struct sb_req *q)
{
    return sb_fail_license(q);
}

int sb_h_off(struct sb_req *q)
{
    return sb_fail(q, 501, "sandbox.not_available.app_error",
                   "The sandbox does not have this feature.");
}

int sb_h_empty_list(struct sb_req *q)
{
    mw_buf_puts(&q->out, "[]");
    return sb_reply(q, 200);
}

int sb_h_emoji_missing(struct sb_req *q)
{
    return sb_fail(q, 404, "app.emoji.get.no_result", "Unable to get the emoji.");
}

int sb_h_websocket(struct sb_req *q)
{
    return sb_hub_upgrade(q);
}
