/*
 * grade.h - `sallyport check --client`: a scripted server grades a mail program.
 *
 *     char *argv[] = {"curl", "--url", "smtp://{host}:{port}", ..., NULL};
 *     struct sp_grade_options o = {.argv = argv, .choice = choice, .stop = &stopped};
 *     sp_findings_new(SP_SIDE_CLIENT, &f);
 *     sp_findings_choose(f, &o.choice, &err);
 *     rc = sp_grade_run(&o, f);
 *
 * Every case is a story (stories/README.md): what the server says and does, and what is
 * found out from what the client then did on the wire and, where a command is run, from
 * whether its exit status told the truth.  A case runs the command once, or waits for one
 * visit of a program with windows.  Keys, certificates, a password and messages are made
 * for the run in a temporary folder and removed again.
 *
 * In argv {host} {port} {tls-port} {ca} {cert} {key} {user} {password} {password-file}
 * {message} {message-crlf} {from} {to} {to2} are replaced.  Standard input of the command
 * is the message.  Giving {password}, {password-file} or {cert} says how the client is to
 * log in: the server then asks for it.
 *
 * Blocks until the run is over.  0, or -SP_E... when it could not even begin; f then says
 * why (sp_findings_failed()).  Everything in o is borrowed for the call.
 */
#ifndef SP_GRADE_H
#define SP_GRADE_H

#include "finding.h"

#include <signal.h>
#include <stdio.h>

struct sp_grade_options {
    char *const *argv; /* NULL-terminated; NULL: listen and wait for a program */
    uint16_t
        listen_port; /* without argv; STARTTLS there, implicit TLS on the next one */
    struct sp_check_choice choice;
    const char *only_case; /* the name of one story ("cert-expired"); NULL: all */
    const char *story_dir; /* *.story here instead of those built in; NULL */
    unsigned timeout_ms;   /* one run of the command; 0: 20 s */
    bool ipv6;             /* ::1 as well */
    bool queues;           /* the command queues: its exit status says nothing */
    FILE *tell;            /* listen: what the person is to do; NULL: nobody is told */
    bool ask;              /* listen: standard input is a person who can answer */
    const volatile sig_atomic_t *stop;
};

int sp_grade_run(const struct sp_grade_options *o, struct sp_findings *f);

/* One line for each case: "C06  cert-expired  The certificate has expired: ...". */
int sp_grade_list(const char *story_dir, struct sp_buf *out, struct sp_err *err);

#endif
