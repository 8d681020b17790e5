/* t_maildir.c - Maildirs: which addresses may name one, and what a crash leaves. */
#include "t.h"

#include "maildir.h"
#include "stored.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the code under test asks of the disk, in order; and a disk that fails. */
static char steps[4096];
static int fail_sync; /* the nth fsync fails; 0: none */

static void note(const char *what, bool folder)
{
    size_t n = strlen(steps);

    snprintf(steps + n, sizeof steps - n, "%s%s ", what, folder ? "-folder" : "");
}

int fsync(int fd)
{
    struct stat st;

    note("sync", fstat(fd, &st) == 0 && S_ISDIR(st.st_mode));
    if (fail_sync && --fail_sync == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int link(const char *from, const char *to)
{
    note("name", false);
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- paths ---- */

/* By hand.  NULL: this address cannot name a mailbox, and the mail bounces. */
static const struct {
    const char *template, *address;
    size_t n; /* of the address; 0: strlen */
    const char *want;
} paths[] = {
    {"/m/%d/%u", "alice@example.org", 0, "/m/example.org/alice"},
    {"/m/%u", "alice@example.org", 0, "/m/alice"},
    {"/m/100%%/%u", "a@b", 0, "/m/100%/a"},
    {"/m/%u%", "a@b", 0, "/m/a%"},
    {"/m/%d/%u", "\"a@b\"@c", 0, "/m/c/\"a@b\""}, /* the last @ divides */
    {"/m/%d/%u", "a b@c", 0, "/m/c/a b"},
    {"/m/%d/%u", "j\xc3\xbcrgen@example.org", 0, "/m/example.org/j\xc3\xbcrgen"},
    {"/m/%d/%u", "a..b@example.org", 0, "/m/example.org/a..b"},
    {"/m/%d/%u", "../../etc@example.org", 0, NULL},
    {"/m/%d/%u", "..@example.org", 0, NULL},
    {"/m/%d/%u", ".@example.org", 0, NULL},
    {"/m/%d/%u", ".hidden@example.org", 0, NULL},
    {"/m/%d/%u", "a/b@example.org", 0, NULL},
    {"/m/%d/%u", "/etc/passwd@example.org", 0, NULL},
    {"/m/%d/%u", "a@..", 0, NULL},
    {"/m/%d/%u", "a@.org", 0, NULL},
    {"/m/%d/%u", "a@b/c", 0, NULL},
    {"/m/%d/%u", "a\0b@c", 5, NULL},
    {"/m/%d/%u", "a@c\0", 4, NULL},
    {"/m/%d/%u", "a\nb@c", 0, NULL},
    {"/m/%d/%u", "a\x7f@c", 0, NULL},
    {"/m/%d/%u", "alice", 0, NULL},
    {"/m/%d/%u", "@example.org", 0, NULL},
    {"/m/%d/%u", "alice@", 0, NULL},
    {"/m/%d/%u", "", 0, NULL},
};

TEST("an address can never lead out of the folder of its template")
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        size_t n = paths[i].n ? paths[i].n : strlen(paths[i].address);
        struct sp_err err = {.text = ""};
        char path[SP_MAILDIR_PATH_MAX];
        int rc =
            sp_maildir_path(paths[i].template, (struct sp_str){paths[i].address, n},
                            path, sizeof path, &err);

        CHECK_STR(rc == 0 ? path : "refused",
                  paths[i].want ? paths[i].want : "refused");
        if (rc < 0)
            CHECK_INT(err.cls, SP_CLASS_PEER);
    }
}

TEST("a path that does not fit is refused, not cut")
{
    char local[300], path[64];
    struct sp_err err;

    memset(local, 'a', sizeof local);
    memcpy(local + 201, "@b", 2);
    CHECK(sp_maildir_path("/m/%u", (struct sp_str){local, 203}, path, sizeof path,
                          &err) < 0);
    memcpy(local + 100, "@b", 2);
    CHECK(sp_maildir_path("/m/%u", (struct sp_str){local, 102}, path, sizeof path,
                          &err) < 0);
    memcpy(local + 60, "@b", 2); /* "/m/" and 60 octets and NUL are exactly 64 */
    CHECK_INT(
        sp_maildir_path("/m/%u", (struct sp_str){local, 62}, path, sizeof path, &err),
        0);
    CHECK_INT(strlen(path), 63);
    CHECK(sp_maildir_path("/m/.%u", (struct sp_str){local, 62}, path, sizeof path,
                          &err) < 0);
}

/* ---- delivery ---- */

static char base[64];

static void begin(void)
{
    snprintf(base, sizeof base, "/tmp/t_maildir.XXXXXX");
    CHECK(mkdtemp(base) != NULL);
    steps[0] = '\0';
    fail_sync = 0;
}

static void end(void)
{
    char command[100];

    snprintf(command, sizeof command, "rm -r %s", base);
    CHECK_INT(system(command), 0);
}

/* How many files; the content of the last one goes to `out`. */
static int files(const char *folder, char *out, size_t cap)
{
    char path[600];
    struct dirent *e;
    DIR *d;
    int n = 0;

    snprintf(path, sizeof path, "%s/box/%s", base, folder);
    d = opendir(path);
    while (d && (e = readdir(d))) {
        char file[900];
        int fd;
        ssize_t got;

        if (e->d_name[0] == '.')
            continue;
        n++;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        fd = out ? open(file, O_RDONLY) : -1;
        if (fd < 0)
            continue;
        got = read(fd, out, cap - 1);
        out[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    if (d)
        closedir(d);
    return n;
}

struct how {
    const char *id, *to, *hostname;
    bool again;
};

static int deliver_as(const struct how *how, const char *content, int fd, size_t n)
{
    Sp__Envelope env = SP__ENVELOPE__INIT;
    struct sp_err err;
    char path[100];
    struct sp_maildir_mail m = {
        .env = &env,
        .to = sp_str(how->to),
        .prefix = SP_LIT("Received: here\r\n"),
        .content = {content, content ? n : 0},
        .fd = fd,
        .id = how->id,
        .hostname = how->hostname,
        .now_ms = 1700000000000,
        .again = how->again,
    };

    sp_stored_defaults(&env, 1700000000000);
    env.reverse_path = (ProtobufCBinaryData){7, (uint8_t *)(uintptr_t) "a@b.org"};
    env.content_size = n;
    env.header_size = 0;
    snprintf(path, sizeof path, "%s/box", base);
    return sp_maildir_deliver(path, &m, &err);
}

/* Another message each time. */
static int deliver(const char *content, int fd, size_t n)
{
    static unsigned count;
    char id[20];

    snprintf(id, sizeof id, "01ID%u", count++);
    return deliver_as(&(struct how){id, "bob@example.org", "mail:example/org", false}, content,
                      fd, n);
}

static const char mail[] = "Subject: x\r\n\r\na\rb\r\nlast\r";

TEST("a message is whole in new/, with LF, and leaves nothing in tmp/")
{
    char text[4000] = "";

    begin();
    CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    CHECK_INT(files("new", text, sizeof text), 1);
    CHECK_INT(files("tmp", NULL, 0), 0);
    CHECK_INT(files("cur", NULL, 0), 0);
    CHECK_STR(text, "Return-Path: <a@b.org>\nDelivered-To: bob@example.org\n"
                    "Received: here\nSubject: x\n\na\rb\nlast\r");
    end();
}

TEST("the octets are on the disk before the name, the name before we say so")
{
    begin();
    CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    CHECK(strncmp(steps, "sync-folder sync-folder ", 24) == 0); /* folders were made */
    steps[0] = '\0';
    CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    CHECK_STR(steps, "sync name sync-folder ");
    end();
}

TEST("octets that could not be synced get no name, and nothing is left of them")
{
    begin();
    CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    fail_sync = 1;
    CHECK(deliver(mail, -1, sizeof mail - 1) < 0);
    CHECK_INT(files("new", NULL, 0), 1);
    CHECK_INT(files("tmp", NULL, 0), 0);
    end();
}

TEST("a name that could not be synced is no success")
{
    begin();
    CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    fail_sync = 2;
    CHECK(deliver(mail, -1, sizeof mail - 1) < 0);
    end();
}

/* The only name in new/, moved to cur/ as a mail reader does it. */
static void read_it(void)
{
    char command[200];

    snprintf(command, sizeof command,
             "cd %s/box/new && for f in *; do mv \"$f\" \"../cur/$f:2,S\"; done", base);
    CHECK_INT(system(command), 0);
}

TEST("messages that come in one second do not replace each other")
{
    begin();
    for (int i = 0; i < 5; i++)
        CHECK_INT(deliver(mail, -1, sizeof mail - 1), 0);
    CHECK_INT(files("new", NULL, 0), 5);
    end();
}

TEST("the same message for the same recipient is there once, however often it is brought")
{
    struct how h = {"01SAME", "bob@example.org", "mail.example.org", false};

    begin();
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), SP_MAILDIR_BEFORE);
    CHECK_INT(files("new", NULL, 0), 1);
    CHECK_INT(files("tmp", NULL, 0), 0);
    h.to = "alice@example.org"; /* another recipient whose mail goes to the same place */
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    h.id = "01OTHER";
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    CHECK_INT(files("new", NULL, 0), 3);
    end();
}

TEST("one that was read meanwhile is recognised too, under a new host name as well")
{
    struct how h = {"01SAME", "bob@example.org", "mail.example.org", false};

    begin();
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    read_it();
    h.again = true;
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), SP_MAILDIR_BEFORE);
    h.hostname = "mx.example.org";
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), SP_MAILDIR_BEFORE);
    h.id = "01OTHER";
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    CHECK_INT(files("cur", NULL, 0), 1);
    CHECK_INT(files("new", NULL, 0), 1);
    end();
}

TEST("one that was found there is on the disk before we say so")
{
    struct how h = {"01SAME", "bob@example.org", "mail.example.org", true};

    begin();
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), 0);
    steps[0] = '\0';
    CHECK_INT(deliver_as(&h, mail, -1, sizeof mail - 1), SP_MAILDIR_BEFORE);
    CHECK_STR(steps, "sync-folder ");
    fail_sync = 1;
    CHECK(deliver_as(&h, mail, -1, sizeof mail - 1) < 0);
    end();
}

TEST("a stored file that is shorter than it should be is not delivered by half")
{
    char name[100];
    int fd;

    begin();
    snprintf(name, sizeof name, "%s/body", base);
    fd = open(name, O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, mail, sizeof mail - 1) == (ssize_t)(sizeof mail - 1));
    CHECK(deliver(NULL, fd, sizeof mail) < 0);
    CHECK_INT(files("new", NULL, 0), 0);
    CHECK_INT(files("tmp", NULL, 0), 0);
    CHECK_INT(deliver(NULL, fd, sizeof mail - 1), 0);
    CHECK_INT(files("new", NULL, 0), 1);
    close(fd);
    end();
}

T_MAIN
