#!/usr/bin/env python3
"""Breaks the client's rules one at a time and sees the explorer, the stories or the tables'
expectations notice.  usage: cli_mutants.py SOURCE-ROOT CC [part of a name]

A mutant: file, the text as it stands (exactly once), the text instead, the rule it breaks.
A survivor, or a text that is not found once, is a failure.
"""
import os
import re
import subprocess
import sys
import tempfile

MUTANTS = [
    ("cli_rules.c", "SP_TLS_STOP,  SP_TLS_STOP_TEMP, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "SP_TLS_GO_ON,  SP_TLS_STOP_TEMP, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "required: STARTTLS absent stops"),
    ("cli_rules.c", "SP_TLS_STOP,  SP_TLS_STOP_TEMP, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "SP_TLS_STOP,  SP_TLS_GO_ON, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "required: 454 stops"),
    ("cli_rules.c", "SP_TLS_STOP,  SP_TLS_STOP_TEMP, SP_TLS_STOP,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "SP_TLS_STOP,  SP_TLS_STOP_TEMP, SP_TLS_GO_ON,  SP_TLS_STOP, SP_TLS_STOP,  SP_TLS_GO_ON",
     "required: a refused STARTTLS stops"),
    ("client.c", "    if (!c->tls_verified &&\n", "    if (0 &&\n", "an unverified server stops"),
    ("client.c", "c->o.tls == SP_CLI_TLS_OPPORTUNISTIC) &&\n        c->epoch == 0 &&", "c->o.tls == SP_CLI_TLS_OPPORTUNISTIC) &&\n",
     "no HELO inside TLS"),
    ("client.c", "(c->o.tls == SP_CLI_TLS_NONE || c->o.tls == SP_CLI_TLS_OPPORTUNISTIC)", "(true)",
     "no HELO where TLS is wanted"),
    ("client.c", "!wants_login(c) && !c->o.lmtp", "!c->o.lmtp", "no HELO where a login is wanted"),
    ("client.c", "        if (c->state == SP_CS_HANDSHAKE) {\n            /* Response", "        if (0) {\n            /* Response",
     "octets behind the 220"),
    ("client.c", "    if (!c->awaiting || c->out.acked < c->await_end) {", "    if (!c->awaiting) {",
     "a reply before its command left"),
    ("client.c", "        ehlo(c);\n    return 0;\n}\n\nint sp_cli_tls_failed", "        sp_cs_login(c, SP_LE_BEGIN, NULL);\n    return 0;\n}\n\nint sp_cli_tls_failed",
     "EHLO follows STARTTLS"),
    ("client.c", "    return c->o.allow_clear_secret ? SP_PLACE_CLEAR_OPEN : SP_PLACE_CLEAR;", "    return SP_PLACE_CLEAR_OPEN;",
     "allow_clear_secret is asked"),
    ("client.c", "        return SP_PLACE_STRIPPED;", "        return SP_PLACE_CLEAR;", "no credential where TLS is missing"),
    ("client.c", "return c->tls_verified ? SP_PLACE_VERIFIED : SP_PLACE_UNVERIFIED;", "return SP_PLACE_VERIFIED;",
     "no credential to a stranger"),
    ("cli_rules.c", "#define SHOWS     (TLS_ONLY | 1u << SP_PLACE_CLEAR_OPEN)", "#define SHOWS     CHALLENGE",
     "PLAIN and LOGIN not in clear"),
    ("cli_rules.c", "[SP_MECH_EXTERNAL] =           {SP_HELD_CERT,", "[SP_MECH_EXTERNAL] =           {0,",
     "EXTERNAL needs a certificate (trait)"),
    ("cli_rules.c", "[SP_MECH_LOGIN] =              {SP_HELD_PASSWORD,  SHOWS,     true,", "[SP_MECH_LOGIN] =              {SP_HELD_PASSWORD,  SHOWS,     false,",
     "LOGIN has no initial response"),
    ("cli_rules.c", "if (offered & SP_MECH_BIT(m) && ", "if (", "only what is listed"),
    ("cli_rules.h", "enum { SP_CLI_AUTHS_MAX = 3 };", "enum { SP_CLI_AUTHS_MAX = 9 };", "three AUTHs"),
    ("client_auth.c", "    uint32_t set = allowed(c) & ~c->tried &", "    uint32_t set = allowed(c) &", "no mechanism twice"),
    ("client_auth.c", "> COMMAND_MAX) {", "> 9 * COMMAND_MAX) {", "an AUTH line of 512 octets"),
    ("client_auth.c", "        cancel(c, SP_CLASS_PEER, \"the server's challenge", "        ask_owner(c); return;\n        cancel(c, SP_CLASS_PEER, \"the server's challenge",
     "a challenge that is no base64"),
    ("client_auth.c", "    if (c->steps++ >= t->steps) {", "    if (c->steps++ >= 200) {", "bounded challenges"),
    ("cli_rules.c", "    return code / 100 == 4 ? SP_AUTH_TEMP : SP_AUTH_NO;", "    return code / 100 == 4 ? SP_AUTH_TEMP : SP_AUTH_YES;",
     "535 is no login"),
    ("client_mail.c", "    res->accepted = kept->code / 100 == 2;", "    res->accepted = kept->code / 100 != 5;", "only 2xx to the dot accepts"),
    ("client_mail.c", "        if (!is_good(&t->result[t->dot_next]))\n            continue;", "", "a refused recipient stays refused"),
    ("client_mail.c", "    if (r->code == 354 && t->good > 0) {", "    if (r->code == 354) {", "no message without recipients"),
    ("client_mail.c", "    if (r->code / 100 == 2)\n        t->good++;", "    if (r->code / 100 != 5)\n        t->good++;", "RCPT 4xx is no yes"),
    ("client_mail.c", "        t->mail_ok = r->code / 100 == 2;", "        t->mail_ok = r->code / 100 != 5;", "MAIL 4xx is no yes"),
    ("client_mail.c", "    return sp_cs_caps(c)->ext & SP_EXT_PIPELINING &&", "    return", "PIPELINING only when listed"),
    ("client_mail.c", "(c->o.prefer_bdat && sp_cs_caps(c)->ext & SP_EXT_CHUNKING)", "c->o.prefer_bdat", "BDAT only when listed"),
    ("cli_params.c", "    [P_SIZE] =        {SP_EXT_SIZE, NULL, NULL},", "    [P_SIZE] =        {0, NULL, NULL},", "SIZE= only when listed"),
    ("client_mail.c", "    t->unknown = !r && sp_cs_txn_unknown(c);", "    t->unknown = false;", "lost after the dot is unknown"),
    ("client_mail.c", "    return t && !t->over && t->last_said &&", "    return t && !t->over &&", "lost before the dot is known"),
    ("client_mail.c", "        if (t->at_bol && stuff && in[i] == '.')\n            out[w++] = '.';", "", "dots are doubled"),
    ("client_mail.c", "        cr = memchr(in + i, '\\r', stop - i);", "        cr = NULL;", "bare CR is never sent"),
    ("client_mail.c", "    return missing && !t->binary ? SP_LIT(\"\\r\\n\") : SP_LIT(\"\");", "    return (void)missing, SP_LIT(\"\");", "CRLF before the dot"),
    ("client_mail.c", "    c->rset_needed = t->mail_ok && !t->completed;", "    c->rset_needed = false;", "RSET after half a transaction"),
    ("client_mail.c", "        t->refused = true;\n        t->chunk_open = false;", "        t->chunk_open = false;", "a refused chunk refuses the message"),
    ("client.c", "        return !c->txn->data_sent;", "        return true;", "no QUIT into a message"),
    ("cli_caps.c", "    uint32_t ext = c->lines++ ? ext_of(key) : 0;", "    uint32_t ext = (c->lines++, ext_of(key));", "the greeting line offers nothing"),
    ("reply.c", "    if (code / 100 >= r->code / 100u)", "    if (1)", "a refusal hidden in a reply"),
    ("client.c", "    if (c->o.tls == SP_CLI_TLS_IMPLICIT)\n        return 0;\n    if (c->o.quit", "    if (c->o.quit",
     "implicit TLS awaits a greeting"),
    ("client.c", "    o.have_certificate = false;\n", "", "one connection without the certificate, not many"),
    ("client.c", "    sp_caps_free(c->caps);\n    c->caps = NULL;\n    sp_reply_reset(&c->in);\n    sp_cs_enter(c, SP_CS_HANDSHAKE);",
     "    sp_reply_reset(&c->in);\n    sp_cs_enter(c, SP_CS_HANDSHAKE);", "the older list is gone with STARTTLS"),
    ("client_auth.c", "        c->login = SP_LS_IN;\n        ready(c);", "        c->login = SP_LS_IN;\n        sp_cs_say(c, SP_CS_EHLO, \"EHLO again\");",
     "no EHLO after a login"),
    ("client.c", "    case SP_REPLY_GARBAGE:\n        trace_in(c);", "    case SP_REPLY_GARBAGE:\n        return;\n        trace_in(c);",
     "a greeting that is none"),
    ("client_auth.c", "return c->o.external_identity ? c->o.external_identity : c->o.cert_address;", "return c->o.cert_address;",
     "the configured identity is named"),
    ("cli_rules.c", "for (unsigned bound = SP_HELD_BINDING;; bound = 0) {", "for (unsigned bound = 0;; bound = 0) {",
     "whatever binds the channel comes first"),
    ("cli_caps.c", "    if (key.n > 5 && sp_str_caseis((struct sp_str){key.p, 5}, \"AUTH=\")) {", "    if (0) {", "AUTH= is read"),
    ("client_auth.c", "    return (c->cert_sent ? SP_LF_CERT : 0u) |", "    return (c->o.have_certificate ? SP_LF_CERT : 0u) |",
     "EXTERNAL only when a certificate was sent"),
    ("client_auth.c", "    if (initial && ir.n == 0)\n", "    if (0)\n", "an empty initial response is ="),
    ("client_auth.c", "[SP_LS_EXT_EMPTY] = {SP_LOGIN_EXTERNAL,", "[SP_LS_EXT_EMPTY] = {SP_LOGIN_PASSWORD,",
     "a login by certificate is reported as one"),
    ("client_auth.c", "s == SP_LS_BARE && c->bare_ok ? confirmed", "0 ? confirmed", "a certificate alone is reported as unconfirmed"),
    ("client_mail.c", "    return !c->bare_ok && (c->login == SP_LS_BARE || c->login == SP_LS_NONE);", "    return !c->bare_ok;",
     "after 235 a 550 is final"),
]


def row_mutants(text):
    """Each row of the tables of cli_rules.c broken once: a mechanism that may be used nowhere, a
    reply and a step of the login that are not in the table, a cell of the TLS table turned over."""
    made = []
    for line in text.splitlines():
        cells = re.match(r"( *\[(SP_MECH_\w+)\] = +\{\w+, +)(TLS_ONLY|CHALLENGE|SHOWS)(,.*)$", line)
        if cells:
            made.append((line, cells[1] + "0" + cells[4], "row " + cells[2]))
        elif re.match(r" +\{\d{3}, SP_AUTH_", line):
            made.append((line, "", "row of AUTH reply " + line.strip()[1:4]))
        elif re.match(r" +\{[A-Z|]+, +(S\(|EXT|~0u)", line) and "~0u,       ~0u" not in line:
            made.append((line, "", "row " + " ".join(line.split())))
    for name, cell, other in (("REQUIRED", "SP_TLS_STOP,", "SP_TLS_GO_ON,"), ("IMPLICIT", "SP_TLS_STOP,", "SP_TLS_GO_ON,"),
                              ("NONE", "SP_TLS_GO_ON,", "SP_TLS_STOP,")):
        line = re.search(r"^ *\[SP_CLI_TLS_%s\] += \{.*$" % name, text, re.M)[0]
        made.append((line, line.replace(cell, other, 1), "row TLS " + name))
    line = re.search(r"^ *\{SP_TLS_GO_ON, SP_TLS_GO_ON, .*$", text, re.M)[0]
    made.append((line, line.replace("SP_TLS_STOP", "SP_TLS_GO_ON"), "row TLS OPPORTUNISTIC"))
    return [("cli_rules.c", old, new, rule) for old, new, rule in made]


def run(cmd):
    try:
        return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120).returncode
    except subprocess.TimeoutExpired:
        return 1


def main():
    root, cc, only = sys.argv[1], sys.argv[2], (sys.argv[3:] + [""])[0]
    smtp, base, tests = (os.path.join(root, d) for d in ("src/smtp", "src/base", "tests/smtp"))
    c_of = lambda d: [os.path.join(d, f) for f in sorted(os.listdir(d)) if f.endswith(".c")]
    engine = [f for f in c_of(smtp) if os.path.basename(f).startswith(("client", "cli_", "reply.c", "mech.c"))]
    killed, alive = 0, []
    with tempfile.TemporaryDirectory() as tmp:
        flags = ["-O1", "-D_GNU_SOURCE", "-std=gnu11", "-w"]
        incs = ["-I" + tmp + "/over", "-I" + root + "/include", "-I" + base, "-I" + smtp, "-I" + root + "/tests"]
        os.mkdir(tmp + "/over")
        names = {"explore": ["explore_cli.c", "cli_world.c"], "stories": ["cli_t_stories.c", "cli_play.c"], "rules": ["cli_t_rules.c"]}
        objs = {}
        def compile_all(files, where):
            made = []
            for f in files:
                o = os.path.join(where, os.path.basename(f) + ".o")
                if subprocess.call([cc, *flags, *incs, "-c", f, "-o", o]):
                    return None
                made.append(o)
            return made
        good = compile_all(engine, tmp)
        common = compile_all(c_of(base), tmp)
        for n, fs in names.items():
            objs[n] = compile_all([os.path.join(tests, f) for f in fs], tmp)
        def tested(engine_objs):
            """The first of the three that notices, or None."""
            for n, args in (("rules", []), ("explore", ["8"]), ("stories", [tests + "/cli_stories"])):
                exe = tmp + "/" + n
                subprocess.check_call([cc, *engine_objs, *common, *objs[n], "-o", exe])
                if run([exe, *args]):
                    return n
            return None
        if tested(good):
            print("the engine itself does not pass\n0 passed, 1 failed")
            return 1
        rows = row_mutants(open(os.path.join(smtp, "cli_rules.c")).read())
        if len(rows) < 40:
            alive.append("the rows of cli_rules.c are not found")
        for name, old, new, rule in MUTANTS + rows:
            if only not in rule:
                continue
            path = os.path.join(smtp, name)
            text = open(path).read()
            if text.count(old) != 1:
                alive.append(rule + " (text not found once in " + name + ")")
                continue
            over = os.path.join(tmp, "over", name)
            open(over, "w").write(text.replace(old, new))
            if name.endswith(".h"):
                where = os.path.join(tmp, "h")
                os.makedirs(where, exist_ok=True)
                heads = [h for h in os.listdir(smtp) if h.endswith(".h") and h != name]
                copies = []
                for h in heads:
                    copies.append(os.path.join(tmp, "over", h))
                    open(copies[-1], "w").write(open(os.path.join(smtp, h)).read())
                for f in engine:  # quoted includes look beside the source first
                    copies.append(os.path.join(tmp, "over", os.path.basename(f)))
                    open(copies[-1], "w").write(open(f).read())
                made = compile_all([f for f in copies if f.endswith(".c")], where)
                for f in copies:
                    os.unlink(f)
            else:
                o = os.path.join(tmp, "mutant.o")
                made = None
                if subprocess.call([cc, *flags, *incs, "-c", over, "-o", o]) == 0:
                    made = [o if os.path.basename(g) == name + ".o" else g for g in good]
            os.unlink(over)
            by = tested(made) if made else None
            if by:
                killed += 1
                print("killed by %-8s %s" % (by, rule), flush=True)
            else:
                alive.append(rule)
    for rule in alive:
        print("ALIVE: " + rule)
    print("%d passed, %d failed" % (killed, len(alive)))
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
