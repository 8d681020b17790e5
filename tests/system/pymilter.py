#!/usr/bin/python3
"""pymilter.py SOCKET - a milter by python3-milter (libmilter): what it does is in the Subject.

"body" replaces the body, "headers" adds, inserts, changes and removes fields, "envelope" changes sender and
recipients, "hold" quarantines, "reject" refuses with lines of its own, "slow" takes its time and says so."""
import sys, time
import Milter


class Changer(Milter.Base):
    def __init__(self):
        self.id, self.subject, self.octets = Milter.uniqueID(), "", 0

    def envfrom(self, sender, *params):
        self.subject, self.octets = "", 0
        return Milter.CONTINUE

    def envrcpt(self, to, *params):
        return Milter.REJECT if "refused" in to else Milter.CONTINUE

    def header(self, name, value):
        if name.lower() == "subject":
            self.subject = value
        return Milter.CONTINUE

    def body(self, chunk):
        self.octets += len(chunk)
        return Milter.CONTINUE

    def eom(self):
        if "reject" in self.subject:
            self.setreply("550", "5.7.9", "first line", "second line")
            return Milter.REJECT
        if "slow" in self.subject:
            for _ in range(4):
                time.sleep(0.7)
                self.progress()
        if "headers" in self.subject:
            self.addheader("X-Octets", str(self.octets))
            self.addheader("X-First", "top", 0)
            self.chgheader("X-Remove", 1, "")
            self.chgheader("Subject", 1, "changed")
        if "body" in self.subject:
            self.replacebody("the new body\r\n" * 3)
        if "envelope" in self.subject:
            self.chgfrom("<bounces@example.org>")
            self.addrcpt("<carol@example.org>")
            self.delrcpt("<bob@example.org>")
        if "hold" in self.subject:
            self.quarantine("for the administrator")
        return Milter.CONTINUE


Milter.factory = Changer
Milter.set_flags(Milter.CHGBODY + Milter.CHGHDRS + Milter.ADDHDRS + Milter.ADDRCPT + Milter.DELRCPT + Milter.CHGFROM +
                 Milter.QUARANTINE)
Milter.runmilter("changer", sys.argv[1], 300)
