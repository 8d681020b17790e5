/*
 * without.c - runs a command on a kernel that cannot do what ours can.
 *
 *     without no-landlock|landlock|seccomp COMMAND [WORD ...]
 *
 * no-landlock: it has never heard of Landlock.  landlock, seccomp: it has it, and fails
 * when a process asks to be confined.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    const char *what = argc > 2 ? argv[1] : "";
    int rc = -EINVAL;

    if (f && strcmp(what, "no-landlock") == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SYS_landlock_create_ruleset, 0);
    else if (f && strcmp(what, "landlock") == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SYS_landlock_restrict_self, 0);
    else if (f && strcmp(what, "seccomp") == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SYS_seccomp, 0);
    if (rc == 0 && strcmp(what, "seccomp") == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SYS_prctl, 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
    if (rc == 0)
        rc = seccomp_load(f);
    if (rc < 0) {
        fprintf(stderr, "without: %s\n", rc == -EINVAL ? "what, and which command?" : strerror(-rc));
        return 64;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
