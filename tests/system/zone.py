"""zone.py - one signed zone on loopback, for tests that need DNSSEC.

    with Zone([("mx.check.example", "A", "127.0.0.1"), ...], forged=["bad.check.example"]) as z:
        z.address     # "127.0.0.1@PORT", as resolvers are named
        z.anchor      # the trust anchor, one record as text
"""
import socketserver, threading, time
import dns.dnssec, dns.message, dns.name, dns.rcode, dns.rdata, dns.rdataclass, dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec

IN, TYPE = dns.rdataclass.IN, dns.rdatatype


class Zone(socketserver.ThreadingUDPServer):
    """Answers for `origin` as a resolver would.  Names in `forged` have signatures that do
    not fit; names outside of it have no signatures; those in `missing`, outside of it, do
    not exist; those in `broken` are SERVFAIL.  port 53: where a system's resolver asks."""
    daemon_threads = True

    def __init__(self, records, forged=(), signed=True, origin="check.example", missing=(), broken=(), port=0):
        super().__init__(("127.0.0.1", port), None)
        self.address = f"127.0.0.1@{self.server_address[1]}"
        self.origin = dns.name.from_text(origin)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.dnskey = dns.dnssec.make_dnskey(self.key.public_key(), "ECDSAP256SHA256", flags=257)
        self.anchor = f"{origin}. IN DNSKEY {self.dnskey.to_text()}" if signed else \
            f"other.example. IN DNSKEY {self.dnskey.to_text()}"
        self.signed, self.forged = signed, {dns.name.from_text(n) for n in forged}
        self.missing = {dns.name.from_text(n) for n in missing}
        self.broken = {dns.name.from_text(n) for n in broken}
        self.sets = {}
        self.put(origin, "DNSKEY", self.dnskey.to_text())
        self.put(origin, "SOA", f"ns.{origin}. root.{origin}. 1 3600 600 86400 60")
        for name, kind, text in records:
            self.put(name, kind, text)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def put(self, name, kind, text):
        key = dns.name.from_text(name), TYPE.from_text(kind)
        new = dns.rrset.from_text(key[0], 60, "IN", kind, text)
        self.sets[key] = self.sets[key].union(new) if key in self.sets else new

    def add(self, section, rrset):
        section.append(rrset)
        if not self.signed or not rrset.name.is_subdomain(self.origin):
            return
        signature = dns.dnssec.sign(rrset, self.key, self.origin, self.dnskey, lifetime=3600,
                                    inception=time.time() - 3600)
        if rrset.name in self.forged and rrset.rdtype != TYPE.DNSKEY:
            wire = bytearray(signature.to_wire())
            wire[-1] ^= 1
            signature = dns.rdata.from_wire(IN, TYPE.RRSIG, bytes(wire), 0, len(wire))
        section.append(dns.rrset.from_rdata(rrset.name, rrset.ttl, signature))

    def nothing(self, answer, name):
        self.add(answer.authority, self.sets[self.origin, TYPE.SOA])
        if self.signed:  # proves that the name has nothing of this type
            there = sorted({k for n, k in self.sets if n == name} | {TYPE.RRSIG, TYPE.NSEC})
            self.add(answer.authority, dns.rrset.from_text(
                name, 60, "IN", "NSEC", f"\\000.{name} " + " ".join(map(TYPE.to_text, there))))

    def finish_request(self, request, address):
        query = dns.message.from_wire(request[0])
        name, kind = query.question[0].name, query.question[0].rdtype
        answer = dns.message.make_response(query, recursion_available=True)
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self.sets:
            self.add(answer.answer, self.sets[name, kind])
        elif (name, TYPE.CNAME) in self.sets:
            alias = self.sets[name, TYPE.CNAME]
            self.add(answer.answer, alias)
            if (alias[0].target, kind) in self.sets:
                self.add(answer.answer, self.sets[alias[0].target, kind])
            else:
                self.nothing(answer, alias[0].target)
        elif not name.is_subdomain(self.origin):
            if name in self.missing:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            answer.authority.append(dns.rrset.from_text(
                name.split(2)[1], 60, "IN", "SOA", "ns. root. 1 3600 600 86400 60"))
        else:
            self.nothing(answer, name)
        request[1].sendto(answer.to_wire(max_size=4096), address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
