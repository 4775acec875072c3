/* An upload in pieces that is under way; kept in memory only. */
#ifndef SB_UPLOAD_H
#define SB_UPLOAD_H

#include "base/buf.h"
#include "base/id.h"

struct sb_upload {
    char id[MW_ID_SIZE], user_id[MW_ID_SIZE], channel_id[MW_ID_SIZE];
    int64_t create_at, file_size;
    char *filename;
    struct mw_buf data;
};

void sb_upload_free(void *upload);

#endif
