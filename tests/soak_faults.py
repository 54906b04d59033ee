"""The faults of the soak test: with which options each is injected, and what it may do.

Every handler that the chaos proxy has must be here; a test sees to that.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

try:
    import uvloop
except ImportError:
    uvloop = None

__all__ = ["FAULTS", "HARMLESS", "Fault", "Spec", "lane_name", "specs"]

#: A fault: function of a ``Dice`` that returns options of the handler (dict), directions that are
#: drawn from, and why silence proves nothing about it (str), or None where it has to.
Fault = namedtuple("Fault", "options directions swallows")

#: What one lane is about: protocol, name of the handler, whether the proxy is one end of TLS,
#: whether many callers share the session, and whether the event loop is uvloop's. The protocol
#: "aio" is HTTP/2 by the asynchronous client.
Spec = namedtuple("Spec", "protocol fault is_terminated is_crowded has_uvloop")

BOTH_WAYS = ("to_backend", "to_client", "both")
#: TLS takes about two thousand bytes each way, so that some of these strike in the handshake.
BYTES = (0, 1500, 4000, 10000, 30000)
SMALL = (0, 1, 3, 10, 100)


def after(dice):
    return {"after": dice.choice(BYTES)}


FAULTS = {
    "dummy": Fault(lambda dice: {}, (), None),
    "delay": Fault(lambda dice: {"sleep": dice.choice((0.02, 0.1, 0.3))}, BOTH_WAYS, None),
    "slice": Fault(lambda dice: {"size": dice.choice((200, 1000))}, BOTH_WAYS, None),
    "error": Fault(lambda dice: {"after": dice.choice(BYTES), "size": dice.choice((1, 6, 64))},
                   (), None),
    "reset": Fault(after, BOTH_WAYS, None),
    "refuse": Fault(lambda dice: {"reset": dice.random() < 0.5}, (), None),
    "half-close": Fault(after, ("to_backend", "to_client"), None),
    "cut-after-bytes": Fault(lambda dice: {"count": dice.choice(BYTES)}, BOTH_WAYS, None),
    "cut-after-frames": Fault(lambda dice: {"count": dice.choice(SMALL)}, BOTH_WAYS, None),
    "transient": Fault(lambda dice: {"handler": dice.choice(("reset", "refuse")),
                                     "connections": dice.randint(1, 5)}, (), None),
    "hang": Fault(after, BOTH_WAYS, "the proxy's system acknowledges bytes that nobody reads"),
    "blackout": Fault(lambda dice: {}, BOTH_WAYS, "the proxy takes bytes, or an error frame, and "
                                                  "passes nothing on"),
    "silence": Fault(lambda dice: {"idle": dice.choice((0.02, 0.1, 0.5))}, BOTH_WAYS,
                     "after a pause bytes, or an error frame, go nowhere"),
    "slow": Fault(lambda dice: {"rate": dice.choice((20000.0, 100000.0))}, BOTH_WAYS,
                  "bytes, or an error frame, are on their way for longer than the silence lasts"),
    "corrupt": Fault(lambda dice: {"probability": dice.choice((0.0002, 0.001))}, BOTH_WAYS,
                     "a flipped bit in the length of a record has the receiver wait for more"),
}

#: What changes nothing but the time that things take: no outcome is unknown because of it.
HARMLESS = ("delay", "dummy", "slice")

#: What is also injected where the proxy is one end of TLS: there it counts and cuts frames.
TERMINATED = ("cut-after-frames", "dummy", "half-close", "hang", "reset", "slice")

#: What is also injected where many callers share connections, which HTTP/2 has.
CROWDED = ("cut-after-bytes", "delay", "dummy", "half-close", "hang", "reset")

#: Whether the loop is uvloop's, for each event loop that there is.
LOOPS = (False,) if uvloop is None else (False, True)


def specs(protocols):
    """Return what lanes there are for some protocols (list of :class:`Spec`)."""
    found = []
    for protocol in protocols:
        for has_uvloop in LOOPS if protocol == "aio" else (False,):
            found.extend(Spec(protocol, name, False, False, has_uvloop) for name in sorted(FAULTS))
            found.extend(Spec(protocol, name, True, False, has_uvloop) for name in TERMINATED)
        if protocol == "http2":
            found.extend(Spec(protocol, name, False, True, False) for name in CROWDED)
    return found


def lane_name(spec):
    """Return what a lane is called: protocol, what is special about it, and the fault."""
    return "%s%s%s%s/%s" % (
        spec.protocol, "+uvloop" if spec.has_uvloop else "", "+tls" if spec.is_terminated else "",
        "+crowd" if spec.is_crowded else "", spec.fault)
