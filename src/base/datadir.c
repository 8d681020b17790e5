/* datadir.c - see datadir.h. */
#include "datadir.h"

#include <sallyport/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What was begun with (firstrun.c) is there in halves: only the service may go on. */
static bool moved(const char *folder)
{
    char begun[4200];
    int n = snprintf(begun, sizeof begun, "%s.new", folder);

    return is_folder(folder) || (n > 0 && (size_t)n < sizeof begun && is_folder(begun));
}

int sp_data_path(char *out, size_t cap, const char *data, const char *folder,
                 const char *name)
{
    const char *slash = *name ? "/" : "";
    int n = snprintf(out, cap, "%s/%s", data, folder);

    if (n >= 0 && (size_t)n < cap) {
        if (moved(out))
            n = snprintf(out, cap, "%s/%s%s%s", data, folder, slash, name);
        else
            n = snprintf(out, cap, "%s%s%s", data, slash, name);
    }
    if (n >= 0 && (size_t)n < cap)
        return 0;
    out[0] = '\0';
    return -SP_ELIMIT;
}
