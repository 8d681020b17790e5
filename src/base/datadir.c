/* datadir.c - see datadir.h. */
#include "datadir.h"

#include <sallyport/types.h>
#include <stdio.h>
#include <sys/stat.h>

int sp_data_path(char *out, size_t cap, const char *data, const char *folder,
                 const char *name)
{
    const char *slash = *name ? "/" : "";
    struct stat st;
    int n = snprintf(out, cap, "%s/%s", data, folder);

    if (n >= 0 && (size_t)n < cap) {
        if (lstat(out, &st) == 0 && S_ISDIR(st.st_mode))
            n = snprintf(out, cap, "%s/%s%s%s", data, folder, slash, name);
        else
            n = snprintf(out, cap, "%s%s%s", data, slash, name);
    }
    if (n >= 0 && (size_t)n < cap)
        return 0;
    out[0] = '\0';
    return -SP_ELIMIT;
}
