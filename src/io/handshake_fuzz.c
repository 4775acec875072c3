/* The answer to an upgrade: the first byte says how much of it has arrived. */
#include <string.h>

#include "base/fuzz.h"
#include "io/handshake.h"
#include "io/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mw_handshake_answer answer;
    MW_AUTOERROR err = MW_ERROR_INIT;
    enum mw_handshake_result r;
    struct mw_head head;
    char *copy;

    if (size == 0)
        return 0;
    size = size - 1 - (size - 1) * data[0] / 512;
    copy = malloc(size + !size); /* so that a read behind the end is seen */
    if (!copy)
        return 0;
    memcpy(copy, data + 1, size);
    r = mw_handshake_judge(copy, size, "dGhlIHNhbXBsZSBub25jZQ==", "a server", 1000000000000,
                           &answer, &err);
    if ((r == MW_HANDSHAKE_BAD || r == MW_HANDSHAKE_REFUSED) != mw_error_is_set(&err))
        abort();
    if (r == MW_HANDSHAKE_OK && (answer.status != 101 || answer.size > size))
        abort();
    if (mw_head_parse(copy, size, &head) == MW_HEAD_OK &&
        (head.size > size || head.fields_len > head.size || head.status < 100))
        abort();
    free(copy);
    return 0;
}
