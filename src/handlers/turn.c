#include "handlers/turn.h"

int gw_turn_write_files(struct mw_buf *b, const struct gw_turn *turn)
{
    mw_buf_putc(b, '[');
    for (size_t i = 0; i < turn->n_files; i++) {
        const struct gw_turn_file *f = &turn->files[i];

        mw_buf_puts(b, i ? ",{\"id\":" : "{\"id\":");
        mw_buf_put_json_string(b, f->id ? f->id : "");
        mw_buf_puts(b, ",\"name\":");
        mw_buf_put_json_string(b, f->name ? f->name : "");
        mw_buf_puts(b, ",\"mime\":");
        mw_buf_put_json_string(b, f->mime ? f->mime : "");
        mw_buf_printf(b, ",\"size\":%lld,\"%s\":", (long long)f->size,
                      f->path ? "path" : "problem");
        mw_buf_put_json_string(b, f->path ? f->path : f->problem ? f->problem : "");
        mw_buf_putc(b, '}');
    }
    return mw_buf_putc(b, ']');
}

int gw_turn_write_json(struct mw_buf *b, const struct gw_turn *turn, bool with_raw)
{
    int rc = mw_event_write_json(b, turn->ev, with_raw);

    if (rc)
        return rc;
    b->data[--b->len] = '\0'; /* the closing brace */
    mw_buf_puts(b, ",\"prompt\":");
    mw_buf_put_json_string(b, turn->text ? turn->text : "");
    mw_buf_puts(b, ",\"conversation\":");
    mw_buf_put_json_string(b, turn->conversation ? turn->conversation : "");
    if (turn->n_files) {
        mw_buf_puts(b, ",\"local_files\":");
        gw_turn_write_files(b, turn);
    }
    return mw_buf_putc(b, '}');
}
