/* How each object looks on the wire (Mattermost model/user.go, team.go, channel.go, post.go ...)
 * and in the database. */
#include "sandbox/state.h"

#define DEFAULT_TIMEZONE                                                                           \
    "{\"automaticTimezone\":\"\",\"manualTimezone\":\"\",\"useAutomaticTimezone\":\"true\"}"
#define DEFAULT_USER_NOTIFY                                                                        \
    "{\"channel\":\"true\",\"comments\":\"never\",\"desktop\":\"mention\",\"desktop_sound\":"      \
    "\"true\",\"email\":\"true\",\"first_name\":\"false\",\"mention_keys\":\"\",\"push\":"         \
    "\"mention\",\"push_status\":\"away\"}"
#define DEFAULT_CHANNEL_NOTIFY                                                                     \
    "{\"desktop\":\"default\",\"email\":\"default\",\"ignore_channel_mentions\":\"default\","      \
    "\"mark_unread\":\"all\",\"push\":\"default\"}"

const struct sb_field sb_user_fields[] = {
    SB_FIELD(sb_user, id, SB_CHARS, 0),
    SB_FIELD(sb_user, create_at, SB_I64, SB_OMIT),
    SB_FIELD(sb_user, update_at, SB_I64, SB_OMIT),
    SB_FIELD(sb_user, delete_at, SB_I64, 0),
    SB_FIELD(sb_user, username, SB_STR, 0),
    SB_FIELD_CONST("auth_data", SB_OMIT, "\"\""),
    SB_FIELD_CONST("auth_service", 0, "\"\""),
    SB_FIELD(sb_user, email, SB_STR, 0),
    SB_FIELD(sb_user, nickname, SB_STR, 0),
    SB_FIELD(sb_user, first_name, SB_STR, 0),
    SB_FIELD(sb_user, last_name, SB_STR, 0),
    SB_FIELD(sb_user, position, SB_STR, 0),
    SB_FIELD(sb_user, roles, SB_STR, 0),
    SB_FIELD_RAW(sb_user, props, SB_OMIT | SB_OWN, "{}"),
    SB_FIELD_RAW(sb_user, notify_props, SB_OWN, DEFAULT_USER_NOTIFY),
    SB_FIELD(sb_user, last_password_update, SB_I64, SB_OMIT | SB_OWN),
    SB_FIELD(sb_user, last_picture_update, SB_I64, SB_OMIT),
    SB_FIELD(sb_user, locale, SB_STR, 0),
    SB_FIELD_RAW(sb_user, timezone, 0, DEFAULT_TIMEZONE),
    SB_FIELD(sb_user, is_bot, SB_BOOL, SB_OMIT),
    SB_FIELD(sb_user, bot_description, SB_STR, SB_OMIT),
    SB_FIELD_CONST("disable_welcome_email", 0, "false"),
    SB_FIELD(sb_user, owner_id, SB_CHARS, SB_KEEP),
    SB_FIELD(sb_user, password, SB_STR, SB_KEEP),
    SB_FIELD(sb_user, status, SB_STR, SB_KEEP),
    SB_FIELD(sb_user, manual, SB_BOOL, SB_KEEP),
    SB_FIELD(sb_user, last_activity_at, SB_I64, SB_KEEP),
    SB_FIELD(sb_user, dnd_end_time, SB_I64, SB_KEEP),
    SB_FIELD_END,
};

/* On the wire this is the access token object; its secret is added by hand, once. */
const struct sb_field sb_session_fields[] = {
    SB_FIELD(sb_session, id, SB_CHARS, 0),
    SB_FIELD(sb_session, token, SB_STR, SB_KEEP),
    SB_FIELD(sb_session, user_id, SB_CHARS, 0),
    SB_FIELD(sb_session, description, SB_STR, 0),
    SB_FIELD(sb_session, is_active, SB_BOOL, 0),
    SB_FIELD(sb_session, access_token, SB_BOOL, SB_KEEP),
    SB_FIELD(sb_session, create_at, SB_I64, SB_KEEP),
    SB_FIELD_END,
};

const struct sb_field sb_team_fields[] = {
    SB_FIELD(sb_team, id, SB_CHARS, 0),
    SB_FIELD(sb_team, create_at, SB_I64, 0),
    SB_FIELD(sb_team, update_at, SB_I64, 0),
    SB_FIELD(sb_team, delete_at, SB_I64, 0),
    SB_FIELD(sb_team, display_name, SB_STR, 0),
    SB_FIELD(sb_team, name, SB_STR, 0),
    SB_FIELD(sb_team, description, SB_STR, 0),
    SB_FIELD(sb_team, email, SB_STR, 0),
    SB_FIELD(sb_team, type, SB_STR, 0),
    SB_FIELD(sb_team, company_name, SB_STR, 0),
    SB_FIELD(sb_team, allowed_domains, SB_STR, 0),
    SB_FIELD(sb_team, invite_id, SB_CHARS, 0),
    SB_FIELD(sb_team, allow_open_invite, SB_BOOL, 0),
    SB_FIELD_CONST("scheme_id", 0, "null"),
    SB_FIELD_CONST("group_constrained", 0, "null"),
    SB_FIELD_CONST("policy_id", 0, "null"),
    SB_FIELD_CONST("cloud_limits_archived", SB_NEW, "false"),
    SB_FIELD_END,
};

const struct sb_field sb_team_member_fields[] = {
    SB_FIELD(sb_team_member, team_id, SB_CHARS, 0),
    SB_FIELD(sb_team_member, user_id, SB_CHARS, 0),
    SB_FIELD(sb_team_member, scheme_admin, SB_BOOL, SB_KEEP), /* on the wire: by hand */
    SB_FIELD(sb_team_member, create_at, SB_I64, SB_KEEP),
    SB_FIELD(sb_team_member, delete_at, SB_I64, 0),
    SB_FIELD_END,
};

const struct sb_field sb_channel_fields[] = {
    SB_FIELD(sb_channel, id, SB_CHARS, 0),
    SB_FIELD(sb_channel, create_at, SB_I64, 0),
    SB_FIELD(sb_channel, update_at, SB_I64, 0),
    SB_FIELD(sb_channel, delete_at, SB_I64, 0),
    SB_FIELD(sb_channel, team_id, SB_CHARS, 0),
    SB_FIELD(sb_channel, type, SB_STR, 0),
    SB_FIELD(sb_channel, display_name, SB_STR, SB_KEEP), /* differs by reader for group messages */
    SB_FIELD(sb_channel, name, SB_STR, 0),
    SB_FIELD(sb_channel, header, SB_STR, 0),
    SB_FIELD(sb_channel, purpose, SB_STR, 0),
    SB_FIELD(sb_channel, last_post_at, SB_I64, 0),
    SB_FIELD(sb_channel, total_msg_count, SB_I64, 0),
    SB_FIELD(sb_channel, extra_update_at, SB_I64, 0),
    SB_FIELD(sb_channel, creator_id, SB_CHARS, 0),
    SB_FIELD_CONST("scheme_id", 0, "null"),
    SB_FIELD_CONST("props", 0, "null"),
    SB_FIELD_CONST("group_constrained", 0, "null"),
    SB_FIELD_CONST("autotranslation", SB_NEW, "false"),
    SB_FIELD_CONST("shared", 0, "null"),
    SB_FIELD(sb_channel, total_msg_count_root, SB_I64, 0),
    SB_FIELD_CONST("policy_id", 0, "null"),
    SB_FIELD(sb_channel, last_root_post_at, SB_I64, SB_NEW),
    SB_FIELD_CONST("banner_info", SB_NEW, "null"),
    SB_FIELD_CONST("policy_enforced", SB_NEW, "false"),
    SB_FIELD_CONST("policy_is_active", SB_NEW, "false"),
    SB_FIELD_CONST("default_category_name", SB_NEW, "\"\""),
    SB_FIELD_END,
};

const struct sb_field sb_member_fields[] = {
    SB_FIELD(sb_member, channel_id, SB_CHARS, 0),
    SB_FIELD(sb_member, user_id, SB_CHARS, 0),
    SB_FIELD(sb_member, last_viewed_at, SB_I64, SB_KEEP), /* hidden from others: by hand */
    SB_FIELD(sb_member, msg_count, SB_I64, 0),
    SB_FIELD(sb_member, mention_count, SB_I64, 0),
    SB_FIELD(sb_member, mention_count_root, SB_I64, 0),
    SB_FIELD_CONST("urgent_mention_count", SB_NEW, "0"),
    SB_FIELD(sb_member, msg_count_root, SB_I64, 0),
    SB_FIELD_RAW(sb_member, notify_props, 0, DEFAULT_CHANNEL_NOTIFY),
    SB_FIELD(sb_member, last_update_at, SB_I64, SB_KEEP),
    SB_FIELD(sb_member, scheme_admin, SB_BOOL, SB_KEEP),
    SB_FIELD_CONST("autotranslation_disabled", SB_NEW, "false"),
    SB_FIELD_END,
};

const struct sb_field sb_post_fields[] = {
    SB_FIELD(sb_post, id, SB_CHARS, 0),
    SB_FIELD(sb_post, create_at, SB_I64, 0),
    SB_FIELD(sb_post, update_at, SB_I64, 0),
    SB_FIELD(sb_post, edit_at, SB_I64, 0),
    SB_FIELD(sb_post, delete_at, SB_I64, 0),
    SB_FIELD(sb_post, is_pinned, SB_BOOL, 0),
    SB_FIELD(sb_post, user_id, SB_CHARS, 0),
    SB_FIELD(sb_post, channel_id, SB_CHARS, 0),
    SB_FIELD(sb_post, root_id, SB_CHARS, 0),
    SB_FIELD(sb_post, original_id, SB_CHARS, 0),
    SB_FIELD(sb_post, message, SB_STR, 0),
    SB_FIELD(sb_post, type, SB_STR, 0),
    SB_FIELD_RAW(sb_post, props, 0, "{}"),
    SB_FIELD(sb_post, hashtags, SB_STR, 0),
    SB_FIELD_RAW(sb_post, file_ids, SB_KEEP, "[]"), /* on the wire: by hand */
    SB_FIELD_RAW(sb_post, actions, SB_KEEP, "{}"),
    SB_FIELD(sb_post, pending_post_id, SB_STR, SB_WIRE),
    SB_FIELD(sb_post, delete_by, SB_CHARS, SB_KEEP),
    SB_FIELD_CONST("remote_id", SB_NEW, "\"\""),
    SB_FIELD_END,
};

const struct sb_field sb_reaction_fields[] = {
    SB_FIELD(sb_reaction, user_id, SB_CHARS, 0),  SB_FIELD(sb_reaction, post_id, SB_CHARS, 0),
    SB_FIELD(sb_reaction, emoji_name, SB_STR, 0), SB_FIELD(sb_reaction, create_at, SB_I64, 0),
    SB_FIELD(sb_reaction, update_at, SB_I64, 0),  SB_FIELD_CONST("delete_at", 0, "0"),
    SB_FIELD_CONST("remote_id", 0, "\"\""),       SB_FIELD_END,
};

const struct sb_field sb_file_fields[] = {
    SB_FIELD(sb_file, id, SB_CHARS, 0),
    SB_FIELD(sb_file, user_id, SB_CHARS, 0),
    SB_FIELD(sb_file, post_id, SB_CHARS, SB_OMIT),
    SB_FIELD(sb_file, channel_id, SB_CHARS, 0),
    SB_FIELD(sb_file, create_at, SB_I64, 0),
    SB_FIELD(sb_file, update_at, SB_I64, 0),
    SB_FIELD(sb_file, delete_at, SB_I64, 0),
    SB_FIELD(sb_file, name, SB_STR, 0),
    SB_FIELD(sb_file, extension, SB_STR, 0),
    SB_FIELD(sb_file, size, SB_I64, 0),
    SB_FIELD(sb_file, mime_type, SB_STR, 0),
    SB_FIELD(sb_file, width, SB_I64, SB_OMIT),
    SB_FIELD(sb_file, height, SB_I64, SB_OMIT),
    SB_FIELD(sb_file, has_preview_image, SB_BOOL, SB_OMIT),
    SB_FIELD_CONST("mini_preview", 0, "null"),
    SB_FIELD_CONST("remote_id", 0, "\"\""),
    SB_FIELD_CONST("archived", SB_NEW, "false"),
    SB_FIELD_END,
};

const struct sb_field sb_pref_fields[] = {
    SB_FIELD(sb_pref, user_id, SB_CHARS, 0),
    SB_FIELD(sb_pref, category, SB_STR, 0),
    SB_FIELD(sb_pref, name, SB_STR, 0),
    SB_FIELD(sb_pref, value, SB_STR, 0),
    SB_FIELD_END,
};

const struct sb_field sb_thread_state_fields[] = {
    SB_FIELD(sb_thread_state, user_id, SB_CHARS, 0),
    SB_FIELD(sb_thread_state, post_id, SB_CHARS, 0),
    SB_FIELD(sb_thread_state, following, SB_BOOL, 0),
    SB_FIELD(sb_thread_state, last_viewed_at, SB_I64, 0),
    SB_FIELD_END,
};
