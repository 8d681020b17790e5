/*
 * confdoc.c - writes the documents that are made from tables: of configuration keys, of
 * findings.
 *
 *     confdoc example                the commented example file
 *     confdoc markdown               doc/configuration.md
 *     confdoc findings               doc/findings.md
 *     confdoc words                  section, key and possible words, a line a key
 *     confdoc man FRAME              sallyport.conf(5): FRAME with its line @KEYS@ replaced
 *     confdoc fill FRAME FILE        FRAME with its line @FILE@ replaced by the file
 *
 * All go to standard output.  The build runs it; see man/meson.build.
 */
#include "conf.h"
#include "finding.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { OUT_MAX = 1024 * 1024 };

static int put_file(const char *name, struct sp_buf *out)
{
    FILE *f = fopen(name, "r");
    char *room = sp_buf_room(out, OUT_MAX / 4);
    int rc = f && room ? 0 : -SP_EIO;

    if (rc == 0) {
        out->n += fread(room, 1, OUT_MAX / 4, f);
        rc = ferror(f) || !feof(f) ? -SP_EIO : 0;
    }
    if (rc < 0)
        perror(name);
    if (f)
        (void)fclose(f);
    return rc;
}

/* The frame, and what belongs in it: the keys, or a file. */
static int fill(const char *frame, const char *file, struct sp_buf *out)
{
    FILE *f = fopen(frame, "r");
    char line[1024];
    int rc = 0;

    if (!f) {
        perror(frame);
        return -SP_EIO;
    }
    while (rc == 0 && fgets(line, sizeof line, f))
        if (strcmp(line, file ? "@FILE@\n" : "@KEYS@\n") == 0)
            rc = file ? put_file(file, out) : sp_conf_doc_man(out);
        else
            rc = sp_buf_puts(out, line);
    if (ferror(f))
        rc = -SP_EIO;
    (void)fclose(f);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*make)(struct sp_buf *);
    } forms[] = {
        {"example", sp_conf_doc_example},
        {"markdown", sp_conf_doc_markdown},
        {"findings", sp_catalogue_markdown},
        {"words", sp_conf_doc_words},
    };
    struct sp_buf out;
    int rc = 1;

    sp_buf_init(&out, OUT_MAX);
    if (argc == 3 && strcmp(argv[1], "man") == 0)
        rc = fill(argv[2], NULL, &out);
    if (argc == 4 && strcmp(argv[1], "fill") == 0)
        rc = fill(argv[2], argv[3], &out);
    for (size_t i = 0; argc == 2 && i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(argv[1], forms[i].name) == 0)
            rc = forms[i].make(&out);
    if (rc == 1)
        fputs("usage: confdoc example|markdown|findings|words | man FRAME | fill FRAME FILE\n",
              stderr);
    else if (rc == 0 &&
             (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0))
        perror("confdoc");
    else if (rc < 0)
        fputs("confdoc: too much text, or no memory\n", stderr);
    sp_buf_free(&out);
    return rc != 0 || ferror(stdout);
}
