/* Runs a fuzz target once over every file of the folders and files named on the command line. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fuzz.h"

static int run_file(const char *path)
{
    MW_AUTOBUF content = {0};
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    size_t n;

    if (!f) {
        fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        mw_buf_append(&content, chunk, n);
    fclose(f);
    if (mw_buf_error(&content))
        return -1;
    LLVMFuzzerTestOneInput((const uint8_t *)mw_buf_str(&content), content.len);
    return 0;
}

static int run_path(const char *path, unsigned *count)
{
    struct stat st;
    struct dirent *entry;
    DIR *dir;
    int r = 0;

    if (stat(path, &st) < 0) {
        fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    if (!S_ISDIR(st.st_mode)) {
        (*count)++;
        return run_file(path);
    }
    dir = opendir(path);
    if (!dir)
        return -1;
    while (r == 0 && (entry = readdir(dir))) {
        char child[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        r = run_path(child, count);
    }
    closedir(dir);
    return r;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++)
        if (run_path(argv[i], &count) < 0)
            return 1;
    printf("%u inputs\n", count);
    return count ? 0 : 1;
}
