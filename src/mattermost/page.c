#include "mattermost/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

static int compare(const void *a, const void *b)
{
    const struct mm_page_post *x = a, *y = b;

    if (x->create_at != y->create_at)
        return x->create_at < y->create_at ? -1 : 1;
    /* The server lists the newest first. */
    return x->order > y->order ? -1 : 1;
}

int mm_page_read(cJSON *answer, struct mm_page *ret)
{
    const cJSON *order = mw_json_arr(answer, "order"), *id;
    cJSON *map = cJSON_GetObjectItemCaseSensitive(answer, "posts"), *post;
    struct mm_page page = {.map = map};
    struct mw_map by_id;
    int r = 0;

    if (!order || !(cJSON_IsObject(map) || cJSON_IsNull(map)))
        return -EINVAL;
    mw_map_init(&by_id, NULL);
    cJSON_ArrayForEach(post, map)
    {
        if (r == 0 && post->string)
            r = mw_map_put(&by_id, post->string, post);
    }
    page.listed = (size_t)cJSON_GetArraySize(order);
    page.posts = calloc(page.listed + 1, sizeof(*page.posts));
    if (!page.posts)
        r = -ENOMEM;
    cJSON_ArrayForEach(id, order)
    {
        post = r == 0 && cJSON_IsString(id) ? mw_map_steal(&by_id, id->valuestring) : NULL;
        if (!post || !mw_id_valid(id->valuestring))
            continue;
        page.posts[page.n] = (struct mm_page_post){.id = id->valuestring,
                                                   .create_at = mw_json_i64(post, "create_at", 0),
                                                   .json = post,
                                                   .order = page.n};
        page.n++;
    }
    mw_map_deinit(&by_id);
    if (r < 0) {
        free(page.posts);
        return r;
    }
    if (page.n)
        qsort(page.posts, page.n, sizeof(*page.posts), compare);
    *ret = page;
    return 0;
}

void mm_page_deinit(struct mm_page *p)
{
    free(p->posts);
    *p = (struct mm_page){0};
}

cJSON *mm_page_take(struct mm_page *p, size_t i)
{
    cJSON *json = p->posts[i].json;

    p->posts[i].json = NULL;
    return cJSON_DetachItemViaPointer(p->map, json);
}

static void set_anchor(const char *id, char *anchor, unsigned *page)
{
    snprintf(anchor, MW_ID_SIZE, "%s", id);
    *page = 0;
}

void mm_page_anchor_start(const struct mm_page *p, char *anchor)
{
    unsigned page = 0;

    anchor[0] = '\0';
    if (p->n)
        set_anchor(p->posts[p->n - 1].id, anchor, &page);
    mm_page_anchor_forward(p, anchor, &page);
}

void mm_page_anchor_back(const struct mm_page *p, char *anchor, unsigned *page)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->posts[i].create_at > p->posts[0].create_at) {
            set_anchor(p->posts[i].id, anchor, page);
            return;
        }
    }
    (*page)++;
}

void mm_page_anchor_forward(const struct mm_page *p, char *anchor, unsigned *page)
{
    for (size_t i = p->n; i-- > 0;) {
        if (p->posts[i].create_at < p->posts[p->n - 1].create_at) {
            set_anchor(p->posts[i].id, anchor, page);
            return;
        }
    }
    (*page)++;
}
