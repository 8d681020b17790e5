#!/usr/bin/python3
"""Breaks each rule about STARTTLS, EHLO, AUTH and client certificates once, wherever in the
program it stands, and sees the tests of that place notice.

    row_mutants.py BUILD [WORDS]     all of it, or the mutants of which a text has these words
    row_mutants.py --check           only: each rule has a mutant, each text is found once

The rules are those of t_story_rows.py.  A mutant: the rule, the end it belongs to, a file, its
text as it stands (exactly once), the text instead, what that breaks, and where the tests of
its folder are not enough, who must notice.  The file is compiled as the build does it, and put
in front of the libraries that a test is linked with.  The client's own mutants are in
cli_mutants.py, those of the server's tables in srv_mutate.c; here they are only named.
"""
import json, os, re, shlex, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Who notices, by folder: programs of the build with their arguments, in this order.
NOTICE = {
    "src/smtp": [["tests/smtp/t_srv_rules"], ["tests/smtp/t_srv_stories", HERE / "stories"], ["tests/smtp/explore_srv", "-d", "4"]],
    "src/auth": [["tests/auth/t_login"], ["tests/auth/t_certmap"], ["tests/auth/t_throttle"]],
    "src/sasl": [["tests/sasl/t_scram"]],
    "src/net": [["tests/net/t_tls"]],
    "src/message": [["tests/message/t_message_trace"]],
}


def system(name, *words):
    """By a system test: the program itself is made with the mutant."""
    return [["src/cli/sallyport", name, *words]]


RULES, SRV, AUTH, CERT, SESSION = ("src/smtp/rules.c", "src/smtp/server.c", "src/auth/login.c", "src/auth/certmap.c",
                                   "src/daemon/srv_session.c")
SRV_AUTH, MAIL, JUDGE, TLS = "src/smtp/srv_auth.c", "src/smtp/srv_mail.c", "src/net/tlsjudge.c", "src/net/tlsctx.c"
S, C = "server", "client"

MUTANTS = [
    # ---- 1: STARTTLS and EHLO ----
    ("what STARTTLS erases", S, SRV, """    sp_srv_wipe(s, SP_AT_TLS);
    assert(s->greeted == SP_GREETED_NO && s->login_by == SP_BY_NOTHING &&
           s->line.n == 0 && !s->txn && !s->exch);
""", "", "nothing is erased"),
    ("after the handshake", S, RULES, """        if (s->tls && !s->policy->implicit_tls)
            return refused(SP_R_EHLO_AGAIN, NO_ARG);
""", "", "the words do not say that TLS erased the EHLO"),
    ("after the handshake", S, RULES, "    if (!(v->flags & (SP_F_GREET | SP_F_EHLO)))\n", "    if (s->tls || !(v->flags & (SP_F_GREET | SP_F_EHLO)))\n",
     "inside TLS no greeting is wanted"),
    ("lenient-ehlo", S, RULES, "v->verb == SP_V_MAIL && s->tls && s->policy->lenient_ehlo", "v->verb == SP_V_MAIL && s->tls",
     "lenient without being told"),
    ("lenient-ehlo", S, RULES, "s->policy->lenient_ehlo)", "!s->policy->lenient_ehlo)", "strict where it is told to be lenient"),
    ("lenient-path", S, MAIL, "s->policy->lenient_path ?", "true ?", "paths without angle brackets without being told"),
    ("lenient-path", S, MAIL, "s->policy->lenient_path ?", "false ?", "strict where it is told to be lenient"),
    ("EHLO again", S, SRV, "    sp_srv_wipe(s, SP_AT_EHLO);\n", "", "EHLO keeps the transaction"),
    ("EHLO again", S, SRV, "    sp_srv_wipe(s, SP_AT_EHLO);\n", "    sp_srv_wipe(s, SP_AT_TLS);\n", "EHLO erases the login"),
    ("STARTTLS edges", S, RULES, """    if (v->verb == SP_V_STARTTLS && s->tls)
        return refused(SP_R_ALREADY_TLS, NO_ARG);
""", "", "STARTTLS inside TLS"),
    ("STARTTLS edges", S, RULES, """    if (v->verb == SP_V_STARTTLS && !p->starttls)
        return refused(SP_R_NO_TLS_KEY, NO_ARG);
""", "", "STARTTLS without a key"),
    ("octets behind STARTTLS", S, SRV, "    if (used < len)\n        too_early(s);\n", "", "octets behind STARTTLS are executed"),
    ("handshake fails, TLS ends", S, SRV, "    sp_close(s); /* RFC 3207 4.1: never on in clear */\n",
     "    sp_set_mode(s, SP_IN_COMMAND);\n", "on in clear"),
    ("implicit TLS", S, SRV, "    say(s, SP_R_TLS_PORT);\n", "", "nothing said to a clear first line"),
    ("implicit TLS", S, "src/smtp/srv_state.c", "policy->implicit_tls", "0 && policy->implicit_tls", "the port greets in clear"),
    ("resumption, renegotiation", S, TLS, "    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |\n"
     "                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |\n", "    SSL_CTX_set_options(c, "
     "SSL_OP_NO_RENEGOTIATION |\n                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |\n",
     "TLS 1.2 tickets"),
    # renegotiation: OpenSSL 3 refuses a client's by itself, our option is a second wall
    ("not a mail client", S, RULES, "    return i > 0 && i < word.n && word.p[i] == ':';", "    return false;", "a Label: line is SMTP"),
    ("not a mail client", S, TLS, "    return SSL_TLSEXT_ERR_ALERT_FATAL;\n", "    return SSL_TLSEXT_ERR_NOACK;\n", "any ALPN will do"),
    ("mechanism list", S, RULES, "    if (!((s->tls ? p->mechs_tls : p->mechs_clear) & SP_MECH_BIT(m)) ||",
     "    if (!((p->mechs_tls | p->mechs_clear) & SP_MECH_BIT(m)) ||", "one list for clear and TLS"),
    ("mechanisms that show the secret", S, RULES, "    if (!s->tls && ((r->flags & SP_M_TLS) || sp_mech_shows_secret(m)))\n"
     "        return refused(SP_R_MECH_NEEDS_TLS, name);\n", "", "PLAIN in clear, when it is configured"),
    ("challenge mechanisms in the clear", S, RULES, "    if (!s->tls && (p->mechs_tls & ~p->mechs_clear & SP_MECH_BIT(m)))",
     "    if (!s->tls)", "none in clear, though it is configured"),
    ("530", S, RULES, "    return refused(clear_auth(s) ? SP_R_NEED_TLS_OR_AUTH : SP_R_NEED_TLS, NO_ARG);\n", "    return ALLOWED;\n",
     "no 530 in clear"),
    ("530", S, RULES, "    return refused(SP_R_NEED_LOGIN, NO_ARG);\n", "    return ALLOWED;\n", "no 530 inside TLS"),
    ("AUTH replies", S, RULES, """    if (v->verb == SP_V_AUTH &&
        (s->login_by == SP_BY_AUTH || s->login_by == SP_BY_SOCKET))
        return refused(SP_R_AUTH_AGAIN, sp_buf_view(&s->user));
""", "", "a second login"),
    ("AUTH replies", S, SRV_AUTH, "    if (ir.n && !(r->flags & (SP_M_FIRST | SP_M_IR))) {", "    if (0) {",
     "an initial response to a server-first mechanism"),
    ("authorization identity", S, AUTH, "as->enabled && sp_user_may_act_as(user, sp_str(as->name))", "as->enabled",
     "acting as anybody"),
    ("authorization identity", S, AUTH, "rc == 0 && as->enabled && sp_user_may_act_as", "rc == 0 && sp_user_may_act_as",
     "acting as a disabled account"),
    ("authorization identity", S, AUTH, "        ret->user = as;\n", "        ret->user = as;\n        as = user;\n        user = ret->user;\n"
     "        ret->user = as;\n        as = NULL;\n", "the rights are those of who proved himself"),
    ("channel binding", S, RULES, "    if ((r->flags & SP_M_BINDING) && !s->binding)\n", "    if (0)\n", "-PLUS without a binding"),
    ("channel binding", S, "src/sasl/scram_server.c", "        if (s->plus_listed && flag.p[0] == 'y')\n", "        if (0)\n",
     "y while -PLUS is listed: a downgrade"),
    ("channel binding", S, "src/sasl/scram_server.c", "        if (s->require_binding)\n", "        if (0)\n", "require-binding"),
    ("channel binding", S, "src/sasl/scram_server.c", "    if (!sp_str_eq((struct sp_str){binding, (size_t)n}, sp_buf_view(&s->gs2)))\n",
     "    if (0)\n", "the binding is not compared"),
    ("error limits", S, SRV_AUTH, "SP_LIMIT_AUTH_FAILS))\n        return;", "SP_LIMIT_AUTH_FAILS + 1) || 1)\n        return;",
     "a fourth failed AUTH"),
    ("error limits", S, "src/auth/throttle.c", "    if (others / ONE >= t->refuse_at)\n", "    if (0)\n", "an address is never refused"),
    ("error limits", S, "src/auth/throttle.c", "    if (pair && good_at(pair, now_ms))\n", "    if (0)\n",
     "who logs in from there is locked out by others"),
    ("legacy list line", S, "src/smtp/srv_ehlo.c", "        if (s->policy->legacy_auth_line) {", "        if (0) {", "no AUTH= line"),

    # ---- 2: client certificates and EXTERNAL ----
    ("certificate-login", S, RULES, "    if (how != SP_CERT_LOGIN_EITHER && how != SP_CERT_LOGIN_EXPLICIT)\n",
     "    if (how == SP_CERT_LOGIN_OFF)\n", "EXTERNAL where certificate-login = implicit"),
    ("certificate-login", S, RULES, "           (how == SP_CERT_LOGIN_EITHER || how == SP_CERT_LOGIN_IMPLICIT);",
     "           how != SP_CERT_LOGIN_OFF;", "implicit login where certificate-login = explicit"),
    ("client-certificates", S, RULES, "s->policy->cert_want == SP_CERT_WANT_REQUIRED && !s->cert_verified", "0",
     "required, and none is wanted"),
    ("client-certificates", S, TLS, "    X509_STORE_CTX_set_error(s, X509_V_OK);\n    return 1;\n", "    return X509_verify_cert(s) > 0;\n",
     "a foreign certificate breaks the handshake"),
    ("client-certificates", S, AUTH, "    if (r->status != SP_LOGIN_OK || strcmp(cert_user, r->login) == 0)\n", "    if (1)\n",
     "required: any account's password"),
    ("client-certificates", S, AUTH, "    else if (!holder || !holder->enabled ||\n", "    else if (!holder ||\n",
     "required: a disabled account's certificate"),
    ("usable certificate", S, CERT, "    if (!dates_hold(x, q->now_s, r))\n        return 0;\n", "", "the dates"),
    ("usable certificate", S, CERT, "    if (!q->chain_ok)\n", "    if (0)\n", "the chain"),
    ("usable certificate", S, CERT, "    if (!for_clients(x)) {", "    if (0) {", "the extended key usage"),
    ("usable certificate", S, CERT, "    if (all->refused)\n", "    if (0)\n", "a NUL inside a name"),
    ("usable certificate", S, CERT, "    if (found(&pin))\n        return decide(r, RULE_PIN, &pin);\n", "", "a pin is no mapping"),
    ("usable certificate", S, CERT, "    r->verified = q->chain_ok || found(&pin);\n", "    r->verified = q->chain_ok;\n",
     "a pin does not replace the chain"),
    ("usable certificate", S, CERT, "    if (m->two)\n", "    if (0)\n", "two accounts by one rule"),
    ("usable certificate", S, CERT, "    if (!hit->enabled) {", "    if (0) {", "a disabled account"),
    ("usable certificate", S, CERT, "        if (!ca_may_assert(q, n)) {", "        if (0) {", "the domains of the CA"),
    ("usable certificate", S, CERT, "    for (enum rule rule = RULE_UTF8; rule < RULES; rule++) {",
     "    for (enum rule rule = RULES; rule-- > RULE_UTF8;) {", "the order of the rules"),
    ("usable certificate", S, CERT, "        if (found(&m))\n            return decide(r, rule, &m);\n",
     "        if (found(&m) && !m.disabled[0])\n            return decide(r, rule, &m);\n", "a rule that matches ends the search"),
    ("usable certificate", S, CERT, "if (n->rule != rule || !plausible(n))", "if (n->rule != rule)", "UTF-8 in an rfc822Name"),
    ("usable certificate", S, CERT, "    r->external_only = !m->has_password;\n", "", "a user without a password"),
    ("usable certificate", S, JUDGE, "    if (ctx->use_crl)\n        flags |=", "    if (0)\n        flags |=", "the revocation list"),
    ("usable certificate", S, JUDGE, "    if (ok)\n        return 1;\n", "    if (ok || code == X509_V_ERR_CRL_HAS_EXPIRED)\n        return 1;\n",
     "a list out of date"),
    ("usable certificate", S, JUDGE, "    if (ok)\n        return 1;\n", "    if (ok || code == X509_V_ERR_UNABLE_TO_GET_CRL)\n        return 1;\n",
     "no list at all"),
    ("usable certificate", S, JUDGE, "    X509_STORE_CTX_set_purpose(s, X509_PURPOSE_SSL_CLIENT);\n", "", "clientAuth"),
    ("usable certificate", S, JUDGE, "    else if (!v->dates_ok)\n", "    else if (!v->dates_ok && !pinned)\n", "a pin replaces the dates"),
    ("usable certificate", S, JUDGE, "    else if (!v->chain_ok && !pinned)\n", "    else if (0)\n", "the chain"),
    ("judged when", S, SESSION, "    if (s->who && rests_on_certificate(s) &&\n", "    if (0 &&\n", "not judged again at MAIL",
     system("t_certs_reasons.py", "is revoked, and one")),
    ("judged when", S, SESSION, "    if (rests_on_certificate(s))\n        ask_again(s);\n    else\n        ask_account(s);\n",
     "    ask_account(s);\n", "a pin that was taken away", system("t_certs_accounts.py", "a pinned self-signed")),
    ("judged when", S, SESSION, "                  sp_str_is(s->cert_user, m->user[j]);\n", "                  0;\n",
     "the certificate's account, where a password logged in", system("t_certs_reasons.py", "is revoked, and one")),
    ("judged when", S, SESSION, "        if (s->by_certificate)\n            ask_account(s);\n        else\n            ask_holder(s);\n",
     "        ask_account(s);\n", "required: the right to act as who logged in", system("t_certs_reasons.py", "is revoked, and one")),
    ("judged when", S, "src/daemon/role_auth.c", "    if (rc == 0 && r.usable && strcmp(r.user, m->user) == 0)\n        return false;\n",
     "    return false;\n", "EXTERNAL after the pin has gone", system("t_certs_accounts.py")),
    ("judged when", S, AUTH, "    else if (prover_now->secret_generation > since)\n", "    else if (0)\n", "a new password"),
    ("judged when", S, AUTH, "    else if (rc < 0 || !prover_now->has_password)\n", "    else if (rc < 0)\n", "no password any more"),
    ("judged when", S, RULES, "    if (v->verb == SP_V_MAIL && s->login_stale)\n", "    if (0)\n", "421 at MAIL"),
    ("judged when", S, SRV, "    if (by_cert && (tls->cert != SP_CERT_USABLE ||\n                    !sp_str_eq(tls->user, sp_buf_view(&s->cert_user))))\n",
     "    if (by_cert && tls->cert != SP_CERT_USABLE)\n", "the certificate is another's now"),
    ("EXTERNAL offered", S, RULES, """    if (s->cert != SP_CERT_USABLE)
        return refused(SP_R_EXTERNAL_UNUSABLE, sp_buf_view(&s->cert_reason));
""", "", "with a certificate that does not count"),
    ("EXTERNAL offered", S, RULES, "(s->policy->cert_list == SP_CERT_LIST_ALL && s->external_only);", "false;",
     "not alone for a user without a password"),
    ("EXTERNAL offered", S, RULES, "    if (m == SP_MECH_EXTERNAL && s->policy->cert_list == SP_CERT_LIST_PASSWORD)\n", "    if (0)\n",
     "listed where it is to be hidden"),
    ("spellings accepted", S, SRV_AUTH, "    if (decoded(s, line, x->mech == SP_MECH_EXTERNAL))\n", "    if (decoded(s, line, false))\n",
     "= behind the empty 334"),
    ("spellings accepted", S, AUTH, "            sp_address_same(t->certificate_address, t->authorization_identity));", "            false);",
     "the certificate's own address"),
    ("success", S, SRV_AUTH, "        sp_say(s, SP_R_AUTH_OK, sp_buf_view(&s->user));\n", "        sp_say(s, SP_R_AUTH_OK, NONE);\n",
     "the text names nobody"),
    ("implicit login", S, RULES, "           !s->implicit_off && s->greeted >= SP_GREETED_HELO &&\n", "           s->greeted >= SP_GREETED_HELO &&\n",
     "after a failed AUTH"),
    ("implicit login", S, RULES, "           !s->implicit_off && s->greeted >= SP_GREETED_HELO &&\n", "           !s->implicit_off &&\n",
     "without a greeting"),
    ("implicit login", S, SRV_AUTH, "    if (s->login_by != SP_BY_NOTHING && (v.reply != SP_R_NONE || m != SP_MECH_EXTERNAL))\n", "    if (0)\n",
     "any AUTH after it"),
    ("implicit login", S, SRV_AUTH, "    if (s->login_by != SP_BY_NOTHING &&\n        !sp_str_eq(", "    if (0 &&\n        !sp_str_eq(",
     "another identity after it"),
    ("implicit login", S, SRV_AUTH, "    end_exchange(s, false);\n    sp_refuse(s, verdict(r, arg));\n",
     "    end_exchange(s, false);\n    s->implicit_off = true;\n    sp_refuse(s, verdict(r, arg));\n", "a cancelled AUTH ends it"),
    ("implicit login", S, SRV_AUTH, "    s->implicit_off = true;\n    if (s->policy->auth_failures_max", "    if (s->policy->auth_failures_max",
     "a failed AUTH does not end it"),
    ("certificate and password", S, SESSION, "    if (!s->by_certificate && s->cert_user.n &&\n", "    if (0 && s->cert_user.n &&\n",
     "no warning", system("t_certs_reasons.py", "a password beside")),
    ("certificate and password", S, RULES, "    if (r->flags & SP_M_CERT)\n        return rule_external(s);\n", "", "EXTERNAL by the list alone"),
    ("trace", S, "src/message/trace.c", "(login ? LOGIN : 0u)", "0u", "no A after a login"),
    ("trace", S, "src/message/trace.c", "(tls ? TLS : 0u)", "0u", "no S in TLS"),
    ("trace", S, "src/daemon/srv_message.c", "    if (l->trace_identity && s->who)\n", "    if (s->who)\n", "the identity, unasked",
     system("t_attack_rows.py", "the trace says")),
]

# Rules of the client, by the words of their mutants in cli_mutants.py.
CLIENT = {
    "what STARTTLS erases": "the older list is gone with STARTTLS",
    "after the handshake": "EHLO follows STARTTLS",
    "EHLO again": "no EHLO after a login",
    "STARTTLS edges": "required: 454 stops",
    "octets behind STARTTLS": "octets behind the 220",
    "handshake fails, TLS ends": "row TLS OPPORTUNISTIC",
    "the client's TLS policy": "required: STARTTLS absent stops",
    "implicit TLS": "implicit TLS awaits a greeting",
    "not a mail client": "a greeting that is none",
    "mechanism list": "only what is listed",
    "mechanisms that show the secret": "PLAIN and LOGIN not in clear",
    "challenge mechanisms in the clear": "no credential where TLS is missing",
    "530": "row of AUTH reply 530",
    "AUTH replies": "535 is no login",
    "authorization identity": "the configured identity is named",
    "channel binding": "whatever binds the channel comes first",
    "error limits": "three AUTHs",
    "legacy list line": "AUTH= is read",
    "certificate-login": "row {EXPLICIT, S(START), E(BEGIN), 0, SP_LA_FAIL_NO_WAY},",
    "client-certificates": "one connection without the certificate, not many",
    "EXTERNAL offered": "EXTERNAL only when a certificate was sent",
    "spellings accepted": "an empty initial response is =",
    "success": "a login by certificate is reported as one",
    "implicit login": "a certificate alone is reported as unconfirmed",
    "auto": "after 235 a 550 is final",
    "certificate and password": "row {AUTO|EXPLICIT, S(START), E(BEGIN), CERT|EXTERNAL, SP_LA_EXT_EMPTY},",
}


def load(name):
    import importlib.util
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules():
    """{rule: (server's part, client's part)} of sections 1 and 2: "-" has none."""
    found = {}
    for line in (HERE / "stories/INDEX").read_text().splitlines():
        words = [w.strip() for w in line.split("|")]
        if len(words) == 4 and words[0] in "12":
            found[words[1]] = words[2:]
    return found


def faults():
    bad, client = [], load("cli_mutants")
    texts = (ROOT / "src/smtp/cli_rules.c").read_text()
    names = {m[3] for m in client.MUTANTS + client.row_mutants(texts)}
    have = {(m[0], m[1]) for m in MUTANTS} | {(r, C) for r, n in CLIENT.items() if n in names}
    bad += [f"{r}: cli_mutants.py has no \"{n}\"" for r, n in CLIENT.items() if n not in names]
    for rule, parts in rules().items():
        own = [end for end, part in zip((S, C), parts) if not part.startswith("-")]
        bad += [f"{rule}: no mutant of the {end}" for end in own if (rule, end) not in have]
        if not own and not any((rule, end) in have for end in (S, C)):
            bad.append(f"{rule}: no mutant at all")
    bad += [f"{m[0]}: no such rule" for m in MUTANTS if m[0] not in rules()]
    for rule, _, file, old, new, what, *_ in MUTANTS:
        n = (ROOT / file).read_text().count(old)
        if n != 1 or old == new:
            bad.append(f"{rule}, {what}: the text is in {file} {n} times")
    return bad


class Build:
    def __init__(self, folder, tmp):
        self.folder, self.tmp, self.links = Path(folder).resolve(), Path(tmp), {}
        db = json.loads((self.folder / "compile_commands.json").read_text())
        self.compile = {}
        for row in db:  # the library's, not a test's own copy of the file
            path = os.path.relpath(os.path.join(row["directory"], row["file"]), ROOT)
            if path not in self.compile or re.search(r"-o src/\S+\.a\.p/", row["command"]):
                self.compile[path] = row["command"]

    def mutant(self, file, text):
        """The object of the changed file, or None when it does not compile."""
        source, made = self.tmp / Path(file).name, self.tmp / "mutant.o"
        source.write_text(text)
        argv = shlex.split(self.compile[file])
        argv[argv.index("-o") + 1] = str(made)
        for flag in ("-MD", "-MQ", "-MF"):
            if flag in argv:
                at = argv.index(flag)
                del argv[at:at + (1 if flag == "-MD" else 2)]
        argv[argv.index("-c") + 1] = str(source)
        argv += ["-w", "-I" + str((ROOT / file).parent)]
        return made if subprocess.call(argv, cwd=self.folder) == 0 else None

    def link(self, program, mutant):
        """The program with the mutant in it."""
        if program not in self.links:
            said = subprocess.run(["ninja", "-t", "commands", program], cwd=self.folder, capture_output=True, text=True, check=True)
            self.links[program] = shlex.split(said.stdout.strip().splitlines()[-1])
        argv, made = list(self.links[program]), self.tmp / "program"
        argv[argv.index("-o") + 1] = str(made)
        argv.insert(argv.index("-o") + 2, str(mutant))
        subprocess.run(argv, cwd=self.folder, check=True)
        return made


def run(argv, **more):
    try:
        return subprocess.run([str(a) for a in argv], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, timeout=300, **more).returncode
    except subprocess.TimeoutExpired:
        return 1


def notices(build, who, mutant):
    """mutant None: the program as it is."""
    program, *args = who
    made = build.link(program, mutant) if mutant else build.folder / program
    if program != "src/cli/sallyport":
        return run([made, *args]) != 0
    return run([sys.executable, ROOT / "tests/system" / args[0], *args[1:]], env={**os.environ, "SALLYPORT": str(made)}) != 0


def main():
    bad = faults()
    print(*bad, sep="\n")
    if sys.argv[1:] == ["--check"] or bad:
        print(f"{len(MUTANTS)} mutants of {len(rules())} rules\n{int(not bad)} passed, {int(bool(bad))} failed")
        return bool(bad)
    words, killed, alive, sound = " ".join(sys.argv[2:]), 0, [], {}
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        build = Build(sys.argv[1], tmp)
        for rule, end, file, old, new, what, *more in MUTANTS:
            name = f"{rule}, {end}: {what}"
            if words not in f"{name} {file}":
                continue
            made = build.mutant(file, (ROOT / file).read_text().replace(old, new))
            by = None
            for who in more[0] if more else NOTICE[os.path.dirname(file)]:
                if str(who) not in sound:
                    sound[str(who)] = not notices(build, who, None)
                if not sound[str(who)]:
                    alive.append(f"{who} fails as it is")
                elif made and notices(build, who, made):
                    by = who
                    break
            if by:
                killed += 1
                print(f"killed by {' '.join(Path(str(w)).name for w in by[:2])}: {name}", flush=True)
            else:
                alive.append(name if made else f"{name}: does not compile")
                print(f"ALIVE: {alive[-1]}", flush=True)
    print(f"{killed} passed, {len(alive)} failed")
    return bool(alive)


if __name__ == "__main__":
    sys.exit(main())
