/* clidoc.c - see clidoc.h. */
#include "clidoc.h"

#include "text.h"

#include <string.h>

/* ---- walking the tables ---- */

enum { PATH_MAX_LEN = 200 };

typedef int visitor(const struct sp_command *cmd, const char *path, struct sp_buf *out);

/* Every command, a parent before what is below it; path is "sallyport user add". */
static int walk(const struct sp_command *cmd, const char *path, int depth,
                visitor *visit, struct sp_buf *out)
{
    int rc = visit(cmd, path, out);

    for (size_t i = 0; rc == 0 && depth < SP_CLIDOC_DEPTH && cmd->sub && cmd->sub[i];
         i++) {
        char below[PATH_MAX_LEN];

        if (snprintf(below, sizeof below, "%s %s", path, cmd->sub[i]->name) >=
            (int)sizeof below)
            return -SP_ELIMIT;
        rc = walk(cmd->sub[i], below, depth + 1, visit, out);
    }
    return rc;
}

/* What the shell offers for the value of an option. */
static const char *kind_of(const struct sp_option *o)
{
    size_t n = strlen(o->arg);

    if (n >= 4 && strcmp(o->arg + n - 4, "FILE") == 0)
        return "files";
    if (n >= 3 && strcmp(o->arg + n - 3, "DIR") == 0)
        return "dirs";
    return strchr(o->arg, '|') ? "words" : "nothing";
}

/* In single quotes for a shell; for zsh's _describe a colon would end the word. */
static int put_quoted(struct sp_buf *out, const char *s, bool colons)
{
    int rc = 0;

    for (; rc == 0 && *s; s++)
        rc = *s == '\''                ? sp_buf_puts(out, "'\\''")
             : *s == ':' && colons     ? sp_buf_puts(out, "\\:")
             : (unsigned char)*s < ' ' ? sp_buf_puts(out, " ")
                                       : sp_buf_put(out, s, 1);
    return rc;
}

/* ---- what both shells share ---- */

/* A pattern of the function that finds the command: "sallyport user add". */
static int put_path(const struct sp_command *cmd, const char *path, struct sp_buf *out)
{
    (void)cmd;
    if (!strchr(path, ' '))
        return 0; /* the program itself is where it begins */
    return sp_buf_printf(out, "    '%s') return 0 ;;\n", path);
}

/* Patterns of the function that tells what the value of an option is. */
static int put_values(const struct sp_command *cmd, const char *path,
                      struct sp_buf *out)
{
    int rc = 0;

    for (const struct sp_option *o = cmd->options; rc == 0 && o && o->name; o++) {
        if (!o->arg)
            continue;
        rc = sp_buf_printf(out, "    '%s --%s'", path, o->name);
        if (rc == 0 && o->letter)
            rc = sp_buf_printf(out, "|'%s -%c'", path, o->letter);
        if (rc == 0)
            rc = sp_buf_printf(out, ") kind=%s", kind_of(o));
        if (rc == 0 && strchr(o->arg, '|')) {
            rc = sp_buf_puts(out, " list='");
            for (const char *s = o->arg; rc == 0 && *s; s++)
                rc = *s == '|' ? sp_buf_puts(out, " ") : sp_buf_put(out, s, 1);
            if (rc == 0)
                rc = sp_buf_puts(out, "'");
        }
        if (rc == 0)
            rc = sp_buf_puts(out, " ;;\n");
    }
    return rc;
}

/* _NAME_is: a command?  _NAME_value: sets kind (and list) for an option with a value.
 * _NAME_where: sets cmd to the command that the words before number $1 name; an
 * option's value is not mistaken for one. */
static int put_common(const struct sp_command *root, struct sp_buf *out)
{
    int rc = sp_buf_printf(out, "_%s_is() {\n    case \"$1\" in\n", root->name);

    if (rc == 0)
        rc = walk(root, root->name, 0, put_path, out);
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "    esac\n    return 1\n}\n\n"
                           "_%s_value() {\n    kind= list=\n    case \"$1\" in\n",
                           root->name);
    if (rc == 0)
        rc = walk(root, root->name, 0, put_values, out);
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "    esac\n    test -n \"$kind\"\n}\n\n"
                           "_%s_where() {\n"
                           "    cmd=%s\n"
                           "    while test $# -gt 0; do\n"
                           "        if _%s_value \"$cmd $1\"; then\n"
                           "            shift\n"
                           "        elif _%s_is \"$cmd $1\"; then\n"
                           "            cmd=\"$cmd $1\"\n"
                           "        fi\n"
                           "        test $# -eq 0 || shift\n"
                           "    done\n"
                           "}\n\n",
                           root->name, root->name, root->name, root->name);
    return rc;
}

/* ---- bash ---- */

static int bash_words(const struct sp_command *cmd, const char *path,
                      struct sp_buf *out)
{
    int rc = sp_buf_printf(out, "    '%s') words='", path);

    for (size_t i = 0; rc == 0 && cmd->sub && cmd->sub[i]; i++)
        rc = sp_buf_printf(out, "%s ", cmd->sub[i]->name);
    for (const struct sp_option *o = cmd->options; rc == 0 && o && o->name; o++)
        rc = sp_buf_printf(out, "--%s ", o->name);
    return rc ? rc
              : sp_buf_printf(out, "--help' files=%s ;;\n", cmd->sub ? "no" : "yes");
}

int sp_clidoc_bash(const struct sp_command *root, struct sp_buf *out)
{
    const char *n = root->name;
    int rc = sp_buf_printf(
        out, "# bash completion for %s; made by `%s completion bash`\n\n", n, n);

    if (rc == 0)
        rc = put_common(root, out);
    if (rc == 0)
        rc = sp_buf_printf(
            out,
            "_%s() {\n"
            "    local cmd kind list words files\n"
            "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" "
            "prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
            "    COMPREPLY=()\n"
            "    _%s_where \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"\n"
            "    if _%s_value \"$cmd $prev\"; then\n"
            "        case $kind in\n"
            "        files) compopt -o filenames\n"
            "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
            "        dirs) compopt -o filenames\n"
            "            mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
            "        words) COMPREPLY=($(compgen -W \"$list\" -- \"$cur\")) ;;\n"
            "        esac\n"
            "        return\n"
            "    fi\n"
            "    case \"$cmd\" in\n",
            n, n, n);
    if (rc == 0)
        rc = walk(root, n, 0, bash_words, out);
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "    esac\n"
                           "    if [[ $files == yes && $cur != -* ]]; then\n"
                           "        compopt -o filenames\n"
                           "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                           "    else\n"
                           "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                           "    fi\n"
                           "}\n\n"
                           "complete -F _%s %s\n",
                           n, n);
    return rc;
}

/* ---- zsh ---- */

static int zsh_words(const struct sp_command *cmd, const char *path, struct sp_buf *out)
{
    int rc = sp_buf_printf(out, "    '%s')\n        words_=(", path);

    for (size_t i = 0; rc == 0 && cmd->sub && cmd->sub[i]; i++) {
        rc = sp_buf_printf(out, "\n            '%s:", cmd->sub[i]->name);
        if (rc == 0)
            rc = put_quoted(out, cmd->sub[i]->summary, true);
        if (rc == 0)
            rc = sp_buf_puts(out, "'");
    }
    if (rc == 0)
        rc = sp_buf_puts(out, ")\n        options_=(");
    for (const struct sp_option *o = cmd->options; rc == 0 && o && o->name; o++) {
        rc = sp_buf_printf(out, "\n            '--%s:", o->name);
        if (rc == 0)
            rc = put_quoted(out, o->help, true);
        if (rc == 0)
            rc = sp_buf_puts(out, "'");
    }
    return rc ? rc
              : sp_buf_printf(out,
                              "\n            '--help:help')\n        files=%s ;;\n",
                              cmd->sub ? "no" : "yes");
}

int sp_clidoc_zsh(const struct sp_command *root, struct sp_buf *out)
{
    const char *n = root->name;
    int rc = sp_buf_printf(
        out, "#compdef %s\n# zsh completion; made by `%s completion zsh`\n\n", n, n);

    if (rc == 0)
        rc = put_common(root, out);
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "_%s() {\n"
                           "    local cmd kind list files\n"
                           "    local -a words_ options_\n"
                           "    _%s_where \"${(@)words[2,CURRENT-1]}\"\n"
                           "    if _%s_value \"$cmd ${words[CURRENT-1]}\"; then\n"
                           "        case $kind in\n"
                           "        files) _files ;;\n"
                           "        dirs) _files -/ ;;\n"
                           "        words) compadd -- ${=list} ;;\n"
                           "        esac\n"
                           "        return\n"
                           "    fi\n"
                           "    case \"$cmd\" in\n",
                           n, n, n);
    if (rc == 0)
        rc = walk(root, n, 0, zsh_words, out);
    if (rc == 0)
        rc = sp_buf_printf(out,
                           "    esac\n"
                           "    if [[ $PREFIX == -* ]]; then\n"
                           "        _describe option options_\n"
                           "    elif [[ $files == yes ]]; then\n"
                           "        _files\n"
                           "    else\n"
                           "        _describe command words_\n"
                           "    fi\n"
                           "}\n\n"
                           "if [[ $funcstack[1] == _%s ]]; then\n"
                           "    _%s \"$@\"\n"
                           "else\n"
                           "    compdef _%s %s\n"
                           "fi\n",
                           n, n, n, n);
    return rc;
}

/* ---- the manual page ---- */

static int put_mdoc(struct sp_buf *out, const char *s)
{
    bool line = true;
    int rc = 0;

    for (; rc == 0 && *s; s++) {
        if (line && (*s == '.' || *s == '\''))
            rc = sp_buf_puts(out, "\\&");
        line = *s == '\n';
        if (rc == 0)
            rc = *s == '\\'  ? sp_buf_puts(out, "\\e")
                 : *s == '-' ? sp_buf_puts(out, "\\-")
                 : *s == '"' ? sp_buf_puts(out, "\\(dq")
                             : sp_buf_put(out, s, 1);
    }
    return rc;
}

/* `.It Fl Fl config Ar FILE , Fl c Ar FILE` */
static int mdoc_option(const struct sp_option *o, struct sp_buf *out)
{
    int rc = sp_buf_puts(out, ".It Fl Fl ");

    if (rc == 0)
        rc = put_mdoc(out, o->name);
    if (rc == 0 && o->arg && (rc = sp_buf_puts(out, " Ar ")) == 0)
        rc = put_mdoc(out, o->arg);
    if (rc == 0 && o->letter)
        rc = sp_buf_printf(out, " , Fl %c", o->letter);
    if (rc == 0)
        rc = sp_buf_puts(out, "\n");
    if (rc == 0)
        rc = put_mdoc(out, o->help);
    return rc ? rc : sp_buf_puts(out, ".\n");
}

int sp_clidoc_keys(const struct sp_option *options, struct sp_buf *out)
{
    int rc = 0;

    for (const struct sp_option *o = options; rc == 0 && o->name; o++) {
        rc = sp_buf_puts(out, ".It Cm ");
        if (rc == 0)
            rc = put_mdoc(out, o->name);
        if (rc == 0)
            rc = sp_buf_puts(out, o->arg ? " No = Ar " : " No = Cm yes No or Cm no\n");
        if (rc == 0 && o->arg && (rc = put_mdoc(out, o->arg)) == 0)
            rc = sp_buf_puts(out, "\n");
        if (rc == 0)
            rc = put_mdoc(out, o->help);
        if (rc == 0)
            rc = sp_buf_puts(out, ".\n");
    }
    return rc;
}

static int mdoc_command(const struct sp_command *cmd, const char *path,
                        struct sp_buf *out)
{
    int rc = 0;

    if (cmd->sub && strchr(path, ' '))
        return 0; /* its subcommands say it all */
    if (strchr(path, ' ')) {
        rc = sp_buf_puts(out, ".Ss ");
        if (rc == 0)
            rc = put_mdoc(out, path);
        if (rc == 0)
            rc = sp_buf_puts(out, "\n");
        if (rc == 0)
            rc = put_mdoc(out, cmd->summary);
        if (rc == 0)
            rc = sp_buf_puts(out, ".\n.Dl ");
        if (rc == 0)
            rc = put_mdoc(out, path);
        if (rc == 0 && cmd->usage && (rc = sp_buf_puts(out, " ")) == 0)
            rc = put_mdoc(out, cmd->usage);
        if (rc == 0)
            rc = sp_buf_puts(out, "\n");
    }
    if (rc == 0 && cmd->more && (rc = sp_buf_puts(out, ".Bd -unfilled\n")) == 0 &&
        (rc = put_mdoc(out, cmd->more)) == 0)
        rc = sp_buf_puts(out, ".Ed\n");
    if (rc || !cmd->options || !cmd->options->name)
        return rc;
    rc = sp_buf_puts(out, ".Bl -tag -width 4n\n");
    for (const struct sp_option *o = cmd->options; rc == 0 && o->name; o++)
        rc = mdoc_option(o, out);
    return rc ? rc : sp_buf_puts(out, ".El\n");
}

int sp_clidoc_mdoc(const struct sp_command *root, struct sp_buf *out)
{
    return walk(root, root->name, 0, mdoc_command, out);
}
