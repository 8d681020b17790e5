/* t_clidoc.c - completion as a real shell does it, from a small table. */
#include "clidoc.h"
#include "t.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct sp_option serve_options[] = {
    {"config", 'c', "FILE", "configuration: it's read once"},
    {"log-json", 'j', NULL, "JSON"},
    {NULL, 0, NULL, NULL}};
static const struct sp_option user_options[] = {
    {"data", 'd', "DIR", "data directory"},
    {"kind", 0, "plain|scram|none", "which"},
    {"name", 'n', "NAME", "whose"},
    {NULL, 0, NULL, NULL}};
static const struct sp_command serve = {.name = "serve",
                                        .summary = "run: the \"server\"",
                                        .usage = "[--config FILE]",
                                        .more = ".dot at the beginning\n'quote\n",
                                        .options = serve_options};
static const struct sp_command add = {
    .name = "add", .summary = "add one", .usage = "NAME", .options = user_options};
static const struct sp_command list = {.name = "list", .summary = "list all"};
static const struct sp_command *const user_sub[] = {&add, &list, NULL};
static const struct sp_command user = {
    .name = "user", .summary = "accounts", .options = user_options, .sub = user_sub};
static const struct sp_command *const subs[] = {&serve, &user, NULL};
static const struct sp_command root = {
    .name = "sallyport", .summary = "mail", .sub = subs};

static char dir[] = "/tmp/t_clidocXXXXXX";

static const char *in_dir(const char *name)
{
    static char path[100];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void save(const char *name,
                 int (*make)(const struct sp_command *, struct sp_buf *))
{
    FILE *f = fopen(in_dir(name), "w");
    struct sp_buf out;

    sp_buf_init(&out, SP_CLIDOC_MAX);
    CHECK_INT(make(&root, &out), 0);
    CHECK(f && fwrite(out.p, 1, out.n, f) == out.n);
    CHECK(f && fclose(f) == 0);
    sp_buf_free(&out);
}

/* First line of what a command prints; its status is checked. */
static const char *shell(const char *command)
{
    static char line[2000];
    FILE *p = popen(command, "r");

    line[0] = '\0';
    CHECK(p != NULL);
    if (p && fgets(line, sizeof line, p))
        line[strcspn(line, "\n")] = '\0';
    CHECK(p && pclose(p) == 0);
    return line;
}

/* What bash offers when the cursor stands at the end of these words. */
static const char *offered(const char *words)
{
    char command[1000];

    (void)snprintf(
        command, sizeof command,
        "cd %s && bash -c 'compopt() { :; }; source ./bash; COMP_WORDS=(%s); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sallyport; "
        "IFS=,; echo \"${COMPREPLY[*]}\"'",
        dir, words);
    return shell(command);
}

TEST("the directory of this test is there")
{
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(mkdir(in_dir("folder x"), 0700), 0);
    save("bash", sp_clidoc_bash);
    save("zsh", sp_clidoc_zsh);
    save("mdoc", sp_clidoc_mdoc);
}

TEST("bash offers commands, then what belongs to the command")
{
    CHECK_STR(offered("sallyport \"\""), "serve,user,--help");
    CHECK_STR(offered("sallyport us"), "user");
    CHECK_STR(offered("sallyport user \"\""), "add,list,--data,--kind,--name,--help");
    CHECK_STR(offered("sallyport serve --"), "--config,--log-json,--help");
    CHECK_STR(offered("sallyport user add --k"), "--kind");
    CHECK_STR(offered("sallyport nonsense \"\""), "serve,user,--help");
}

TEST("bash offers files, directories and words for values")
{
    CHECK_STR(offered("sallyport serve --config z"), "zsh");
    CHECK_STR(offered("sallyport serve -c fol"), "folder x");
    CHECK_STR(offered("sallyport user add --data \"\""), "folder x");
    CHECK_STR(offered("sallyport user add --kind \"\""), "plain,scram,none");
    CHECK_STR(offered("sallyport user add --kind s"), "scram");
    CHECK_STR(offered("sallyport user add --name \"\""), "");
}

TEST("the value of an option is not taken for a command")
{
    CHECK_STR(offered("sallyport user --name add l"), "list");
    CHECK_STR(offered("sallyport user -d list \"\""),
              "add,list,--data,--kind,--name,--help");
    CHECK_STR(offered("sallyport user --data"), "--data");
}

TEST("zsh takes its script, and finds commands in the same way")
{
    char command[300];

    if (system("command -v zsh >/dev/null 2>&1") != 0) {
        printf("no zsh here: its script is not tried\n");
        return;
    }
    (void)snprintf(command, sizeof command,
                   "cd %s && zsh -f -c 'compdef() { :; }; source ./zsh; "
                   "_sallyport_where user --name add list; echo $cmd'",
                   dir);
    CHECK_STR(shell(command), "sallyport user list");
    (void)snprintf(
        command, sizeof command,
        "cd %s && zsh -f -c 'compdef() { :; }; _describe() { echo ${(P)2}; }; "
        "source ./zsh; words=(sallyport user x); CURRENT=3; PREFIX=; _sallyport'",
        dir);
    CHECK_STR(shell(command), "add:add one list:list all");
    (void)snprintf(
        command, sizeof command,
        "cd %s && zsh -f -c 'compdef() { :; }; _describe() { echo ${(P)2}; }; "
        "source ./zsh; words=(sallyport serve -); CURRENT=3; PREFIX=-; _sallyport'",
        dir);
    CHECK_STR(shell(command),
              "--config:configuration\\: it's read once --log-json:JSON --help:help");
}

TEST("the manual page has every command and option, nothing taken for a macro")
{
    char command[300];

    (void)snprintf(command, sizeof command, "grep -c '^\\.Ss ' %s", in_dir("mdoc"));
    CHECK_STR(shell(command), "3");
    (void)snprintf(command, sizeof command, "grep -c '^\\.It Fl' %s", in_dir("mdoc"));
    CHECK_STR(shell(command), "5");
    (void)snprintf(command, sizeof command, "grep -c '^\\\\&\\.dot' %s",
                   in_dir("mdoc"));
    CHECK_STR(shell(command), "1");
    (void)snprintf(command, sizeof command, "grep -c \"^\\\\\\\\&'quote\" %s",
                   in_dir("mdoc"));
    CHECK_STR(shell(command), "1");
}

TEST("nothing is left behind")
{
    static const char *const names[] = {"bash", "zsh", "mdoc"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_INT(unlink(in_dir(names[i])), 0);
    CHECK_INT(rmdir(in_dir("folder x")), 0);
    CHECK_INT(rmdir(dir), 0);
}
T_MAIN
