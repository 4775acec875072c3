/* What an agent is told in a turn: the words, and the files as it can take them. */
#ifndef MW_HANDLERS_ACP_PROMPT_H
#define MW_HANDLERS_ACP_PROMPT_H

#include "handlers/acp_codec.h"

#define ACP_MAX_IMAGE (5 * 1024 * 1024) /* bytes; a larger one is linked to */
#define ACP_MAX_TEXT  (256 * 1024)      /* of a text file, the same */

/* The content of session/prompt; NULL when memory ran out. Reads files. */
cJSON *acp_prompt_content(const struct gw_turn *turn, const struct acp_agent_info *agent);

#endif
