#!/usr/bin/python3
# sets: default
# timeout: 400
"""Loss, delay and partitions between us and the next hop, in two network namespaces: every
accepted recipient ends in exactly one place, and comes twice only where the 250 was lost."""
from lossy import *
from wire import *

need_server()
if SALLYPORT == "standin":
    skip("the stand-in delivers nowhere")

ROUNDS = int(os.environ.get("SALLYPORT_LOSSY_ROUNDS", "1"))
SEED = int(os.environ.get("SALLYPORT_SEED", "1"))


def refuse(line):
    return "550 5.1.1 nobody" if "<gone" in line else "450 4.2.1 later" if "<later" in line else None


def submit(ledger, name, octets=0, to=()):
    """One message to each of `to`, or to one of its own name."""
    to = [f"{t}@remote.test" for t in to or [name]]
    with inside(ledger.srv) as w:
        w.expect(250, f"MAIL FROM:<{ledger.srv.address}>")
        for address in to:
            w.rcpt(address)
        w.submit(message(name) + (b"x" * 76 + b"\r\n") * (octets // 78))
    ledger.accepted += to


def loss_and_delay(net, ledger, n):
    net.relay.loss, net.relay.delay = 0.04, 0.02
    before = net.relay.dropped
    for i in range(8):
        submit(ledger, f"loss{n}-{i}", octets=i * 6000, to=[f"a{n}-{i}", f"gone{n}-{i}"] if i % 3 == 0 else [f"a{n}-{i}"])
    submit(ledger, f"later{n}")
    wait_until(lambda: sum(ledger.taken()[f"a{n}-{i}@remote.test"] for i in range(8)) >= 8, 120, "all through the loss")
    check(net.relay.dropped > before, "nothing was lost")
    net.relay.loss = net.relay.delay = 0.0


def partition(net, ledger, n, forgets):
    """In the middle of a message; healed in time, or behind the end of the connection."""
    cut, name = threading.Event(), f"{'forgets' if forgets else 'waits'}{n}"

    def happens():
        net.relay.cut = True
        if forgets:
            net.hop.gone()
        cut.set()

    net.relay.at(60000, happens)
    submit(ledger, name, octets=300000)
    check(cut.wait(60), "the message did not begin")
    time.sleep(1)
    check(not ledger.taken()[f"{name}@remote.test"], "it was taken through the partition")
    net.relay.cut = False
    ledger.settled(90, still=lambda a: a.startswith("later"))


def lost_reply(net, ledger, n):
    """The hop has the message, and what it says to that does not arrive: RFC 1047."""
    lost = threading.Event()

    def dot(to):
        if lost.is_set() or not to.startswith("reply"):
            return None
        c = net.hop.this()
        net.relay.mute.add(c.getpeername()[1])
        c.settimeout(0.5)  # then it resets the connection
        ledger.lost.append(to)
        lost.set()
        return None

    net.hop.answers["."] = dot
    submit(ledger, f"reply{n}")
    check(lost.wait(60), "the message did not arrive")
    ledger.settled(90, still=lambda a: a.startswith("later"))
    net.relay.mute.clear()
    del net.hop.answers["."]


@test("loss, delay, a partition in the middle of a message, a lost 250: one end for each recipient, duplicates only with the 250")
def _():
    with work() as tmp, Lossy(tmp, SEED) as net:
        net.hop.answers["RCPT"] = refuse
        with server(tmp, routes=net.route(), more="retry-intervals = 1s 2s") as srv:
            ledger = Ledger(srv, net.hop)
            for n in range(ROUNDS):
                loss_and_delay(net, ledger, n)
                partition(net, ledger, n, forgets=False)
                partition(net, ledger, n, forgets=True)
                lost_reply(net, ledger, n)
            again = ledger.check(bounced=lambda a: a.startswith("gone"), queued=lambda a: a.startswith("later"))
            check(again == ROUNDS, f"{again} duplicates of {ROUNDS} lost replies")
            print(f"    {len(ledger.accepted)} recipients, {again} duplicates of {len(ledger.lost)} lost replies, "
                  f"{net.relay.dropped} of {net.relay.passed + net.relay.dropped} packets dropped")
            told = b"".join(srv.mailbox("alice").wait(3 * ROUNDS))
            check(all(a.encode() in told for a in ledger.accepted if a.startswith("gone")), "a bounce is missing")


if __name__ == "__main__":
    run()
