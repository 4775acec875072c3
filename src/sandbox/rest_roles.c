/*
 * Roles and the permissions behind them, as a new server has them (default scheme, no guests).
 * What the sandbox itself allows is decided by its handlers; here a client is told of it.
 */
#include <inttypes.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static const struct role {
    const char *name, *text; /* as in the names of its translations */
    bool scheme;
    const char *permissions; /* separated by blanks */
} roles[] = {
    {"system_user", "global_user", true,
     "create_direct_channel create_emojis create_group_channel create_team delete_emojis "
     "join_public_teams list_public_teams view_members"},
    {"team_user", "team_user", true,
     "add_user_to_team create_private_channel create_public_channel invite_user "
     "join_public_channels list_team_channels read_public_channel view_team"},
    {"team_admin", "team_admin", true,
     "add_reaction create_post delete_others_posts delete_post manage_channel_roles "
     "manage_incoming_webhooks manage_outgoing_webhooks manage_private_channel_members "
     "manage_public_channel_members manage_slash_commands manage_team manage_team_roles "
     "remove_reaction remove_user_from_team use_channel_mentions"},
    {"channel_user", "channel_user", true,
     "add_reaction create_post delete_post delete_private_channel delete_public_channel edit_post "
     "get_public_link manage_private_channel_members manage_private_channel_properties "
     "manage_public_channel_members manage_public_channel_properties read_channel remove_reaction "
     "upload_file use_channel_mentions use_slash_commands"},
    {"channel_admin", "channel_admin", true,
     "add_reaction create_post manage_channel_roles manage_private_channel_members "
     "manage_public_channel_members remove_reaction use_channel_mentions"},
    {"system_post_all", "system_post_all", false, "create_post use_channel_mentions"},
    {"system_post_all_public", "system_post_all_public", false,
     "create_post_public use_channel_mentions"},
    {"system_user_access_token", "system_user_access_token", false,
     "create_user_access_token read_user_access_token revoke_user_access_token"},
    {"system_admin", "global_admin", true,
     "add_reaction add_user_to_team create_bot create_direct_channel create_emojis "
     "create_group_channel create_post create_post_ephemeral create_post_public "
     "create_private_channel create_public_channel create_team create_user_access_token "
     "delete_emojis delete_others_posts delete_post delete_private_channel delete_public_channel "
     "edit_other_users edit_others_posts edit_post get_public_link invite_user "
     "join_public_channels join_public_teams list_public_teams list_team_channels manage_bots "
     "manage_channel_roles manage_others_bots manage_private_channel_members "
     "manage_private_channel_properties manage_public_channel_members "
     "manage_public_channel_properties manage_roles manage_system manage_team manage_team_roles "
     "read_bots read_channel read_others_bots read_public_channel read_user_access_token "
     "remove_others_reactions remove_reaction remove_user_from_team revoke_user_access_token "
     "upload_file use_channel_mentions use_slash_commands view_members view_team"},
};

#define CREATED_AT INT64_C(1700000000000)

/* An id of its own for each role, the same in every run. */
static void put_id(struct mw_buf *b, size_t i)
{
    mw_buf_printf(b, "role%c%021d", (char)('a' + i), 0);
}

static void put_role(struct sb_req *q, size_t i)
{
    const struct role *r = &roles[i];
    struct mw_buf *b = &q->out;

    mw_buf_puts(b, "{\"id\":\"");
    put_id(b, i);
    mw_buf_printf(b,
                  "\",\"name\":\"%s\",\"display_name\":\"authentication.roles.%s.name\","
                  "\"description\":\"authentication.roles.%s.description\",\"create_at\":%" PRId64
                  ",\"update_at\":%" PRId64 ",\"delete_at\":0,\"permissions\":[",
                  r->name, r->text, r->text, CREATED_AT, CREATED_AT);
    for (const char *p = r->permissions; *p;) {
        size_t n = strcspn(p, " ");

        mw_buf_printf(b, "%s\"%.*s\"", p == r->permissions ? "" : ",", (int)n, p);
        p += n;
        p += strspn(p, " ");
    }
    mw_buf_printf(b, "],\"scheme_managed\":%s,\"built_in\":true}", r->scheme ? "true" : "false");
}

/* Unknown names are left out. */
int sb_h_roles_by_names(struct sb_req *q)
{
    const cJSON *names = sb_body_strings(q), *item;
    size_t start;

    if (!names)
        return 0;
    mw_buf_putc(&q->out, '[');
    start = q->out.len;
    for (size_t i = 0; i < MW_ARRAY_LEN(roles); i++) {
        cJSON_ArrayForEach(item, names)
        {
            if (!mw_streq(item->valuestring, roles[i].name))
                continue;
            sb_comma(&q->out, start);
            put_role(q, i);
            break;
        }
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_role_by_name(struct sb_req *q)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(roles); i++) {
        if (!mw_streq(q->p[0], roles[i].name))
            continue;
        put_role(q, i);
        return sb_reply(q, 200);
    }
    return sb_fail(q, 404, "app.role.get_by_name.app_error", "Unable to get role.");
}
