/* A frame all the way: frame -> item -> names; a post of a REST answer likewise. */
#include <stdlib.h>
#include <string.h>

#include "base/fuzz.h"
#include "mattermost/normalise.h"

static struct mm_client *make_client(void)
{
    static uv_loop_t loop;
    const struct mm_client_params p = {.endpoint = "http://127.0.0.1:1", .token = "t"};
    struct mm_client *c = NULL;

    if (uv_loop_init(&loop) < 0 || mm_client_new(&loop, &p, &c, NULL) < 0)
        abort();
    return c;
}

static void use(struct mm_normaliser *n, struct mm_item *item)
{
    struct mm_missing missing;

    mm_item_missing(n, item, &missing);
    if (mm_item_fill(n, item) == 0 && strlen(item->ev.raw) + strlen(item->ev.detail) +
                                              strlen(item->ev.text) + strlen(item->ev.object) >
                                          (size_t)INT32_MAX)
        abort();
    mm_item_deinit(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mm_client *client;
    struct mm_normaliser n;
    struct mm_frame f;
    struct mm_item item;
    cJSON *json = NULL;

    if (!client)
        client = make_client();
    mm_normaliser_init(&n, client, "fuzz");
    if (mm_frame_parse((const char *)data, size, &f, NULL) == 0) {
        if (f.event > MM_FRAME_HELLO && mm_item_from_frame(&n, &f, 1, &item, NULL) == 0)
            use(&n, &item);
        mm_frame_deinit(&f);
    }
    if (mm_json_parse((const char *)data, size, &json, NULL) < 0)
        return 0;
    if (mm_item_from_reaction(&n, json, "c", "r", &item, NULL) == 0)
        use(&n, &item);
    if (mm_item_from_post(&n, json, 1, 1, &item, NULL) == 0)
        use(&n, &item);
    return 0;
}
