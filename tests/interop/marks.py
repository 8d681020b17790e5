"""marks.py - what Sallyport is measured by: the set-ups of mail programs, and the servers,
that were tried with each other before it was written.  Of the set-ups the best of those
servers served 31; of the servers no program reached more than 10, and by a certificate
without a password none more than 8.  text() counts the same ones in the matrix.
"""
import re

PASSWORD, ALONE, BOTH = "password", "certificate alone", "certificate and password"
ASKED, AT_ONCE = "EXTERNAL, identity when asked", "EXTERNAL, identity at once"
# Program: its set-ups, which are rows of the matrix.
SETUPS = {
    "msmtp": [PASSWORD, ASKED, ALONE, BOTH],
    "swaks": [PASSWORD, ALONE, BOTH],
    "curl": [PASSWORD, ASKED, AT_ONCE, ALONE, BOTH],
    "smtplib": [PASSWORD, AT_ONCE, "EXTERNAL, empty, at once", ALONE, BOTH],
    "Net::SMTP": [PASSWORD, AT_ONCE, BOTH],
    "s-nail": [PASSWORD, AT_ONCE, "EXTERNAL, =", ALONE],
    "mutt": [PASSWORD, ASKED, "certificate alone, account without password"],
    "NeoMutt": [PASSWORD],
    "git send-email": [PASSWORD],
    "nullmailer": [PASSWORD, ALONE],
    "dma": [PASSWORD, ALONE],
    "esmtp": [PASSWORD],
    "nodemailer": [PASSWORD, AT_ONCE, ALONE, BOTH],
}
BEST_SERVER = 31
# Server: those of its settings that were tried.
SERVERS = {
    "Exim": ["external driver", "tls driver"],
    "Postfix": ["permit_tls_clientcerts"],
    "Sendmail": ["EXTERNAL"],
    "OpenSMTPD": ["auth", "verify"],
    "Dovecot submission": ["implicit-auth-external", "explicit"],
    "aiosmtpd": [""],
    "nodemailer's smtp-server": [""],
    "Courier": [""],
}
BEST_CLIENT, BEST_CLIENT_CERTIFICATE = 10, 8
HELD = ("password", "certificate", "both")


def passed(cells):
    """Did all of these cells run, and each of their runs deliver?"""
    return bool(cells) and all(c["runs"] and c["passed"] == c["runs"] for c in cells)


def served(cells):
    """{(program, set-up): delivered, over each transport that the program has}"""
    return {(peer, row): passed([c for c in cells if c["side"] == "clients" and c["want"] == "delivered"
                                 and (c["peer"], c["row"]) == (peer, row)])
            for peer, rows in SETUPS.items() for row in rows}


def reached(cells):
    """{(server, setting): {held: did our client get in; None: there is no way in}}"""
    out = {}
    for c in cells:
        hit = re.fullmatch(r"(?:(.*): )?(password|certificate|both)", c["row"])
        if c["side"] != "servers" or not hit:
            continue
        here = out.setdefault((c["peer"], hit[1] or ""), {})
        if c["want"] == "delivered":
            here[hit[2]] = here.get(hit[2], True) and passed([c])
        else:
            here.setdefault(hit[2])
    return out


def text(cells):
    sides = {c["side"] for c in cells}
    out = ["## What is counted\n"]
    if "clients" in sides:
        mine = served(cells)
        bad = [f"{peer}, {row}" for (peer, row), good in mine.items() if not good]
        out.append(f"**Our server.** Before Sallyport was written {len(mine)} set-ups of {len(SETUPS)} mail programs "
                   f"were tried with eleven servers as they come; the best of them served {BEST_SERVER}. Sallyport's "
                   f"server, in its default configuration, serves **{len(mine) - len(bad)} of {len(mine)}**: a set-up "
                   "counts when each run delivered, over STARTTLS and, where the program has it, over implicit TLS."
                   + (f" Not: {'; '.join(bad)}." if bad else "") + "\n")
        out.append("| program | set-ups |\n|---|---|")
        for peer, rows in SETUPS.items():
            out.append(f"| {peer} | " + "; ".join(("✓ " if mine[peer, r] else "✗ ") + r for r in rows) + " |")
        out.append("")
    if "servers" in sides:
        out += _reached_text(reached(cells))
    return "\n".join(out) + "\n"


def _count(have, held):
    """(how many our client got into, how many have a way in)"""
    known = [h[held] for h in have if h.get(held) is not None]
    return sum(known), len(known)


def _reached_text(all_):
    those = {key: all_.get(key, {}) for key in ((s, v) for s, vs in SERVERS.items() for v in vs)}
    lines = {held: (_count(those.values(), held), _count(all_.values(), held)) for held in HELD}
    out = [f"**Our client.** It gets host, port, authority and credentials, and no option: `--certificate-login` is "
           f"`auto`. One invocation must deliver, byte for byte, and the server's log must name the account. Of the "
           f"{len(those)} server settings that were tried before, no other program reached more than {BEST_CLIENT}, "
           f"by a certificate without a password none more than {BEST_CLIENT_CERTIFICATE}. A setting counts below "
           "when it has any way in for what is held; where it has none the client must say so and nothing may arrive, "
           "which is a cell of the matrix too.\n",
           f"| held | of those {len(those)} settings | of all {len(all_)} settings here |\n|---|---|---|"]
    for held, ((a, b), (c, d)) in lines.items():
        out.append(f"| {held} | {a} of {b} that have a way in | {c} of {d} that have a way in |")
    out.append("")
    return out
