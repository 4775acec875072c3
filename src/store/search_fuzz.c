/* Whatever is typed, its index expression holds only quoted trigrams, which FTS5 accepts; and what
 * matches can be shown as a snippet. Input: a query, a NUL byte, a text. */
#include <sqlite3.h>
#include <string.h>

#include "base/fuzz.h"
#include "store/search_query.h"

static sqlite3_stmt *statement;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void prepare(void)
{
    sqlite3 *db;

    require(sqlite3_open(":memory:", &db) == SQLITE_OK);
    require(sqlite3_exec(db,
                         "CREATE VIRTUAL TABLE search USING fts5 (text, content='', columnsize=0,"
                         " detail=none, tokenize='trigram');"
                         "INSERT INTO search (rowid, text) VALUES (1, 'some text')",
                         NULL, NULL, NULL) == SQLITE_OK);
    require(sqlite3_prepare_v2(db, "SELECT rowid FROM search WHERE search MATCH ?", -1, &statement,
                               NULL) == SQLITE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = malloc(size + 2);
    MW_AUTOQUERY *q = NULL;
    const char *second;
    MW_AUTOBUF b = {0};
    int r;

    /* cppcheck-suppress uninitdata ; it asks whether there is memory, not what is in it */
    require(text);
    if (size)
        memcpy(text, data, size);
    text[size] = text[size + 1] = '\0';
    second = text + strlen(text) + 1;
    if (second > text + size)
        second = text;
    if (!statement)
        prepare();
    mw_buf_init(&b, 0);
    r = mw_search_query_new(text, &q, NULL);
    require(r == 0 || r == -EINVAL || r == -E2BIG);
    if (r < 0)
        return 0;
    r = mw_search_query_fts(q, &b);
    require(r == 0 || r == 1);
    require((r == 0) == (b.len > 0));
    if (r == 0) {
        sqlite3_bind_text(statement, 1, b.data, (int)b.len, SQLITE_STATIC);
        r = sqlite3_step(statement);
        require(r == SQLITE_ROW || r == SQLITE_DONE);
        sqlite3_reset(statement);
    }
    mw_buf_clear(&b);
    if (mw_search_query_match(q, second) > 0) {
        require(mw_search_query_snippet(q, 20, "\1", "\2", &b) == 0);
        require(strchr(mw_buf_str(&b), '\1') && strchr(mw_buf_str(&b), '\2'));
        require(!strpbrk(mw_buf_str(&b), "\r\n"));
    }
    return 0;
}
