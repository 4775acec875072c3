#include "base/fuzz.h"
#include "mattermost/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOJSON *json = NULL;
    struct mm_post post;
    struct mm_channel channel;
    struct mm_user user;
    struct mm_team team;
    struct mm_reaction reaction;

    if (mw_json_parse((const char *)data, size, &json, NULL) < 0)
        return 0;
    if (mm_post_read(json, &post, NULL) == 0) {
        mm_post_is_system(&post);
        mm_post_from_webhook(&post);
        mm_mentions(post.message, "bot");
    }
    mm_channel_read(json, &channel, NULL);
    mm_user_read(json, &user, NULL);
    mm_team_read(json, &team, NULL);
    mm_reaction_read(json, &reaction, NULL);
    return 0;
}
