#include "io/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#define PIECE (256 * 1024)

MW_DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free, free_digest)

static int feed(EVP_MD_CTX *digest, int fd)
{
    MW_AUTOFREE char *piece = malloc(PIECE);

    if (!piece)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (!EVP_DigestUpdate(digest, piece, (size_t)n))
            return -EIO;
    }
}

int mw_file_sha256(const char *path, char *ret_hex)
{
    MW_CLEANUP(free_digest) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int fd, r;

    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        return -ENOMEM;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    r = feed(digest, fd);
    close(fd);
    if (r == 0 && !EVP_DigestFinal_ex(digest, hash, &len))
        r = -EIO;
    for (unsigned i = 0; r == 0 && i < len; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
    return r;
}
