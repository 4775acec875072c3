/* Operations that take several calls, and what calls and operations share. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mattermost/client_impl.h"

void mm_result_init(struct mm_result *r, enum mm_outcome outcome)
{
    *r = (struct mm_result){
        .outcome = outcome, .error_id = "", .request_id = "", .retry_after_ms = -1};
}

char *mm_url_escape(const char *s)
{
    MW_AUTOBUF b = {0};

    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            mw_buf_putc(&b, *s);
        else
            mw_buf_printf(&b, "%%%02X", (unsigned char)*s);
    }
    return mw_buf_take(&b);
}

void mm_op_init(struct mm_op *op, struct mm_client *c, mm_cb cb, void *userdata,
                void (*free_fn)(struct mm_op *op))
{
    *op =
        (struct mm_op){.c = c, .cb = cb, .userdata = userdata, .free_fn = free_fn, .next = c->ops};
    if (c->ops)
        c->ops->prev = op;
    c->ops = op;
}

void mm_op_drop(struct mm_op *op)
{
    *(op->prev ? &op->prev->next : &op->c->ops) = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->free_fn(op);
}

void mm_op_finish(struct mm_op *op, struct mm_result *r)
{
    mm_cb cb = op->cb;
    void *userdata = op->userdata;

    mm_op_drop(op);
    if (cb)
        cb(r, userdata);
}

void mm_op_finish_body(struct mm_op *op, cJSON *body)
{
    struct mm_result r;

    if (!body) {
        mm_op_fail(op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        return;
    }
    mm_result_init(&r, MM_OK);
    r.body = body;
    mm_op_finish(op, &r);
    cJSON_Delete(r.body);
}

void mm_op_fail(struct mm_op *op, enum mm_outcome outcome, int code, const char *fmt, ...)
{
    MW_AUTOFREE char *text = NULL;
    struct mm_result r;
    va_list ap;

    mm_result_init(&r, outcome);
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    mw_error_set(&r.err, code, "%s", text ? text : "out of memory");
    mm_op_finish(op, &r);
    mw_error_reset(&r.err);
}
