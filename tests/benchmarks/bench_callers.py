"""How fast many callers are who share a session, and how fast one is who is far from the server.

    python tests/benchmarks/bench_callers.py [--server NAME=HOST:PORT]... [--trip MILLISECONDS]
        [--only SECTION]... [--callers N] [--messages N] [--crowd N] [--tokens N]... [--bytes N...]
        [--rounds N] [--json] [--plot FOLDER]

Without ``--server`` it measures against the responder of bench_http2_server.py, whose window for a
connection is 65 535 bytes, as Apple's, and against the same with a window of nearly 2^31. With it,
against any HTTP/2 server that answers 200, on the last core; its certificate is not verified. Far
away means behind bench_relay.py. What is measured:

far       callers who send single messages one after the other, each of a message of its own: as
          threads, as greenlets of a patched gevent, and as tasks of aioapns. The limit is one
          message for each caller and round trip.
crowd     callers far away who send one message each, all at once, over a session that has sent
          nothing before, with its default timeouts.
near      callers as above, without a delay, and one alone.
campaign  APNs.send() of one message to many tokens, far away: with the default pool, and with
          pool_size=1.
single    APNs.send() to one token, time and again, near: half of the calls took less. The same
          requests are written and read through pyOpenSSL as it is, and through pycurl.

The callers are measured with the first server, everything else with all of them. gevent, aioapns
and pycurl are measured where they are installed; aioapns only with a server that returns the
apns-id of its request, which the responder does not. Each figure is of a process of its own on the
first core. All of them take turns within each round, and what is printed are medians.
"""

from __future__ import absolute_import, division, print_function

import functools
import json
import os
import subprocess
import sys

from bench_http2 import OwnServers, named_address, new_certificate, significant
from bench_support import HERE, Report, in_turns, median, new_parser, pin

SECTIONS = ("far", "crowd", "near", "campaign", "single")
#: The kinds of clients, what they need beyond the package, and what their callers are.
NEEDED = {"greenlets": "gevent", "tasks": "aioapns", "pycurl": "pycurl"}
KINDS = ("threads", "greenlets", "tasks", "campaign", "single", "plain", "pycurl")
CALLERS = {"threads": "thread%s", "greenlets": "greenlet%s", "tasks": "aioapns task%s"}


def is_installed(kind):
    """Return True if a kind of client can be measured here."""
    try:
        __import__(NEEDED.get(kind, "apnsclient"))
    except ImportError:
        return False
    return True


def new_payload(size):
    """Return JSON text of so many bytes."""
    rest = size - len('{"aps":{"alert":""}}')
    return '{"aps":{"alert":"%s"}}' % ("x" * rest)


class Relay(object):
    """The relay, in a process of its own.

    :param seconds: the delay in each direction.
    :param addresses: where it leads to.
    :ivar addresses: the same ones, far away.
    """

    def __init__(self, seconds, addresses):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "bench_relay.py"), repr(seconds)]
            + ["%s:%d" % tuple(address) for address in addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        self.addresses = [tuple(one) for one in json.loads(self._process.stdout.readline())]

    def close(self):
        """The relay ends with its standard input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Bench(object):
    """One run.

    :param options: the arguments.
    :param certificate: what clients present (PEM).
    :param near: list of ``(name, address)``.
    :param far: the same servers, far away.
    """

    def __init__(self, options, certificate, near, far):
        self._options = options
        self._certificate = certificate
        self._near = near
        self._far = far
        self._report = Report(options)
        self._kinds = [kind for kind in KINDS if is_installed(kind)]
        self._remarks = ["Not installed, and so not measured: %s." % NEEDED[kind]
                         for kind in KINDS if kind not in self._kinds]
        if not options.server and "tasks" in self._kinds:
            self._kinds.remove("tasks")
            self._remarks.append("aioapns needs a --server that returns its apns-id.")

    def run(self):
        for section in self._options.only or SECTIONS:
            getattr(self, section)()
        self._report.finish(*self._remarks)

    def far(self):
        callers, trip = self._options.callers, self._options.trip
        self._compare("far", "%d callers, %g ms away" % (callers, trip), self._far[0],
                      [(kind, callers) for kind in ("threads", "greenlets", "tasks")],
                      limit=callers * 1000 / trip)

    def crowd(self):
        crowd, trip = self._options.crowd, self._options.trip
        self._compare("crowd", "%d callers once each, %g ms away" % (crowd, trip), self._far[0],
                      [(kind, crowd) for kind in ("threads", "greenlets", "tasks")], is_warm=False)

    def near(self):
        callers = self._options.callers
        self._compare("near", "Callers without a delay", self._near[0], [
            ("threads", callers), ("threads", 1), ("greenlets", callers), ("greenlets", 1),
            ("tasks", callers), ("tasks", 1)])

    def _compare(self, name, title, server, wanted, is_warm=True, limit=None):
        """Measure callers, and compare the first to all others.

        :param wanted: list of ``(kind, number of callers)``.
        :param is_warm: whether each has sent a message before.
        :param limit: how many messages a second there can be.
        """
        candidates, payload = [], new_payload(self._options.bytes[0])
        for kind, callers in wanted:
            if kind in self._kinds:
                each = max(self._options.messages // callers, 1) if is_warm else 1
                label = "%d %s" % (callers, CALLERS[kind] % ("" if callers == 1 else "s"))
                candidates.append((label, functools.partial(
                    self._measure, kind, server, payload, callers=callers, each=each,
                    is_warm=is_warm)))
        figures = in_turns(self._options.rounds, candidates)
        first = medians(figures[candidates[0][0]])["rate"]
        rows = []
        for label, _ in candidates:
            rate = medians(figures[label])["rate"]
            rows.append([label, int(round(rate)), significant(first / rate)]
                        + ([significant(rate / limit)] if limit else [])
                        + times_and_failures(figures[label]))
            self._remark(label, figures[label])
        self._report.table(
            name, "%s: %s" % (server[0], title), ["", "a second", "first : it"]
            + (["of the limit"] if limit else [])
            + ["p50 ms", "p99 ms", "CPU us", "connections", "failed"], rows, ["a second"])

    def _remark(self, label, figures):
        """Keep one of the errors that callers saw."""
        errors = [error for one in figures for error in one["first"]]
        if errors:
            self._remarks.append("%s: %s" % (label, errors[0]))

    def campaign(self):
        cases = [(server, size, count) for server in self._far for size in self._options.bytes
                 for count in self._options.tokens or [20000, 50000]]
        rows = []
        for server, size, count in cases:
            figures = in_turns(self._options.rounds, [
                (key, functools.partial(self._measure, "campaign", server, new_payload(size),
                                        tokens=count, options=options))
                for key, options in (("one", {"pool_size": 1}), ("default", {}))])
            one, default = medians(figures["one"]), medians(figures["default"])
            rows.append(["%s, %d bytes, %d tokens" % (server[0], size, count),
                         int(one["rate"]), int(default["rate"]),
                         significant(default["rate"] / one["rate"]),
                         int(default["connections"])])
        self._report.table(
            "campaign", "One message, %g ms away, notifications a second" % self._options.trip,
            ["", "pool_size=1", "default", "default : 1", "connections"], rows,
            ["pool_size=1", "default"])

    def single(self):
        rows = []
        kinds = [kind for kind in ("single", "plain", "pycurl") if kind in self._kinds]
        for server in self._near:
            figures = in_turns(self._options.rounds, [
                (kind, functools.partial(self._measure, kind, server,
                                         new_payload(self._options.bytes[0]),
                                         count=self._options.messages)) for kind in kinds])
            middle = [medians(figures[kind])["p50"] * 1e6 for kind in kinds]
            rows.append([server[0]] + [int(round(value)) for value in middle]
                        + [significant(middle[0] / value) for value in middle[1:]])
        self._report.table(
            "single", "One message to one token, p50 in microseconds",
            ["", "ours"] + kinds[1:] + ["times " + kind for kind in kinds[1:]], rows,
            ["ours"] + kinds[1:])

    def _measure(self, kind, server, payload, options=None, **job):
        """Run a client in a process of its own; return what it printed."""
        job = dict(job, address=server[1], certificate=self._certificate, payload=payload,
                   options=options or {})
        process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "bench_callers_client.py"), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _ = process.communicate(json.dumps(job).encode("ascii"))
        if process.returncode:
            raise RuntimeError("The client %s ended with status %d."
                               % (kind, process.returncode))
        return json.loads(output.decode("utf-8"))


def medians(figures):
    """Return the median of each number in dicts of numbers."""
    return dict((key, median([one[key] for one in figures]))
                for key, value in figures[0].items() if not isinstance(value, list))


def times_and_failures(figures):
    """Return the cells that say what callers saw: medians, but for the calls that failed."""
    values = medians(figures)
    return ([significant(values[key] * 1e3) for key in ("p50", "p99")]
            + [int(round(values["cpu"])), int(values["connections"]),
               max(one["raised"] for one in figures)])


def main():
    parser = new_parser(__doc__, rounds=3)
    parser.add_argument("--server", type=named_address, action="append", default=[],
                        metavar="NAME=HOST:PORT", help="a server to measure against")
    parser.add_argument("--trip", type=float, default=50, metavar="MILLISECONDS",
                        help="round trip to what is far away (default: %(default)s)")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure this alone")
    parser.add_argument("--callers", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--messages", type=int, default=2000,
                        help="messages of all callers together (default: %(default)s)")
    parser.add_argument("--crowd", type=int, default=1200,
                        help="callers with one message each (default: %(default)s)")
    parser.add_argument("--tokens", type=int, action="append",
                        help="tokens of one message (default: 20000, and 50000)")
    parser.add_argument("--bytes", type=int, nargs="+", default=[126, 1500],
                        help="sizes of the payload (default: 126 1500)")
    options = parser.parse_args()
    own = None if options.server else OwnServers()
    near = options.server or [(name, own.addresses[name]) for name in ("responder", "wide")]
    relay = Relay(options.trip / 2000, [address for _, address in near])
    far = [(name, address) for (name, _), address in zip(near, relay.addresses)]
    try:
        pin(0)
        Bench(options, own.certificate if own else new_certificate(), near, far).run()
    finally:
        relay.close()
        if own:
            own.close()


if __name__ == "__main__":
    main()
