/*
 * An answer of a handler: Markdown, or a JSON object with more (docs/answers.md), and how it
 * becomes rows of the outbox. No state.
 */
#ifndef MW_GATEWAY_ANSWER_H
#define MW_GATEWAY_ANSWER_H

#include "base/json.h"
#include "gateway/config.h"

#define GW_ANSWER_FILES_MAX 10

struct gw_answer {
    char *text;       /* Markdown; NULL = none */
    cJSON *props;     /* attachments among them; NULL = none */
    char **files;     /* absolute paths, NULL-terminated; NULL = none */
    char **reactions; /* names, NULL-terminated; on what is answered */
    bool ephemeral;   /* only the person sees it */
    bool has_place;
    enum gw_thread_place place; /* instead of the route's */
};

void gw_answer_deinit(struct gw_answer *a);
/* There is something to post. */
bool gw_answer_has_post(const struct gw_answer *a);

/* Files must be below `folder` (links resolved) and may be attached by the config. Returns 0, 1 (a
 * sentence says what is wrong with the answer), or -ENOMEM. */
int gw_answer_parse(const cJSON *json, const struct gw_config *config, const char *folder,
                    struct gw_answer *ret, struct mw_error *err);

#endif
