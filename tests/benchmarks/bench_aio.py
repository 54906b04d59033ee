"""How fast the asynchronous client is, beside others.

    python tests/benchmarks/bench_aio.py [--server NAME=HOST:PORT] [--peer CLIENT=PYTHON]...
        [--trip MILLISECONDS] [--only SECTION]... [--calls N] [--tokens N] [--callers N]
        [--messages N] [--sends N] [--rounds N] [--json] [--plot FOLDER]

Python 3.8 or newer. Without ``--server`` it measures against the responder of
bench_http2_server.py, which has Apple's settings. With it, against any HTTP/2 server that answers
200, on the last core; its certificate is not verified. A peer is ``aioapns`` or ``aapns``, and the
interpreter of an environment that has it: ``aioapns=env-aioapns/bin/python``. aioapns is measured
only with a server that returns the apns-id of its request, which the responder does not. All of it
is over one connection. What is measured:

calls     as many calls of send_notification() as are wanted, all at once, with asyncio.gather();
          by how much the process grows for each; and send_many() of more tokens.
far       tasks who send single notifications one after the other, far away, behind bench_relay.py.
          The limit is one notification for each task and round trip.
memory    by how much a process grows at most while it sends, and for each client that is idle.

Each figure is of a process of its own on the first core. All of them take turns within each round,
and what is printed are medians.
"""

from __future__ import absolute_import, division, print_function

import functools
import json
import os
import subprocess
import sys

from bench_callers import Relay, medians
from bench_http2 import OwnServers, named_address, new_certificate, significant
from bench_support import HERE, PAYLOAD, Report, in_turns, new_parser, pin

SECTIONS = ("calls", "far", "memory")
PEERS = ("aioapns", "aapns")


def named_interpreter(text):
    """Parse ``CLIENT=PYTHON``."""
    name, _, path = text.partition("=")
    if name not in PEERS:
        raise ValueError(name)
    return name, path


class Bench(object):
    """One run.

    :param options: the arguments.
    :param certificate: what clients present (PEM).
    :param near: address of the server.
    :param far: the same server, far away.
    """

    def __init__(self, options, certificate, near, far):
        self._options = options
        self._certificate = certificate
        self._near = near
        self._far = far
        self._report = Report(options)
        self._interpreters = dict(options.peer, ours=sys.executable)
        self._peers = [name for name in PEERS if name in self._interpreters]
        self._remarks = ["%s is not measured without --peer." % name
                         for name in PEERS if name not in self._peers]
        if not options.server and "aioapns" in self._peers:
            self._peers.remove("aioapns")
            self._remarks.append("aioapns needs a --server that returns its apns-id.")

    def run(self):
        for section in self._options.only or SECTIONS:
            getattr(self, section)()
        self._report.finish(*self._remarks)

    def calls(self):
        calls, tokens = self._options.calls, self._options.tokens
        candidates = [("send_notification()", self._job("ours", "crowd", count=calls)),
                      ("send_many()", self._job("ours", "many", count=tokens))]
        candidates += [(name, self._job(name, "crowd", count=calls)) for name in self._peers]
        figures = in_turns(self._options.rounds, candidates)
        ours, best = [medians(figures[label])["rate"] for label, _ in candidates[:2]]
        rows = []
        for label, _ in candidates:
            values = medians(figures[label])
            rows.append([label, int(round(values["rate"])), significant(ours / values["rate"]),
                         significant(best / values["rate"]), significant(values["cpu"]),
                         int(round(values["bytes"])) if "bytes" in values else "-",
                         self._failed(label, figures[label])])
        self._report.table(
            "calls", "%d calls at once; send_many() of %d" % (calls, tokens),
            ["", "a second", "call : it", "many : it", "CPU us", "bytes", "failed"], rows,
            ["a second"])

    def far(self):
        callers, trip = self._options.callers, self._options.trip
        candidates = [
            (name, self._job(name, "tasks", self._far, count=self._options.messages,
                             callers=callers)) for name in ["ours"] + self._peers]
        figures = in_turns(self._options.rounds, candidates)
        rows = []
        for label, _ in candidates:
            values = medians(figures[label])
            rows.append([label, int(round(values["rate"])),
                         significant(values["rate"] * trip / callers / 1000),
                         significant(values["p50"] * 1e3), significant(values["p99"] * 1e3),
                         significant(values["cpu"]), self._failed(label, figures[label])])
        self._report.table(
            "far", "%d tasks, %g ms away" % (callers, trip),
            ["", "a second", "of the limit", "p50 ms", "p99 ms", "CPU us", "failed"], rows,
            ["a second"])

    def memory(self):
        sends, rows = self._options.sends, []
        for kind, label in (("many", "send_many(), %d"), ("each", "send_notification(), %d")):
            for count in (sends // 10, sends):
                figure = self._job("ours", kind, count=count)()
                self._failed(label, [figure])
                rows.append([label % count, significant(figure["grown"] / 2.0 ** 20)])
        rows.append(["an idle client",
                     significant(self._job("ours", "idle")()["grown"] / 2.0 ** 20)])
        self._report.table("memory", "Growth in MiB", ["", "MiB"], rows)

    def _failed(self, label, figures):
        """Return how many notifications of a round failed at most, and keep one of the reasons."""
        errors = [error for one in figures for error in one["first"]]
        if errors:
            self._remarks.append("%s: %s" % (label, errors[0]))
        return max(one["failed"] for one in figures)

    def _job(self, client, kind, address=None, **job):
        """Return what measures a client when it is called."""
        job = dict(job, address=address or self._near, certificate=self._certificate,
                   payload=PAYLOAD)
        return functools.partial(self._measure, client, kind, job)

    def _measure(self, client, kind, job):
        """Run a client in a process of its own; return what it printed."""
        process = subprocess.Popen(
            [self._interpreters[client], os.path.join(HERE, "bench_aio_client.py"), client, kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _ = process.communicate(json.dumps(job).encode("ascii"))
        if process.returncode:
            raise RuntimeError("The client %s ended with status %d."
                               % (client, process.returncode))
        return json.loads(output.decode("utf-8"))


def main():
    parser = new_parser(__doc__, rounds=2)
    parser.add_argument("--server", type=named_address, metavar="NAME=HOST:PORT",
                        help="a server to measure against")
    parser.add_argument("--peer", type=named_interpreter, action="append", default=[],
                        metavar="CLIENT=PYTHON", help="another client, and what it runs with")
    parser.add_argument("--trip", type=float, default=50, metavar="MILLISECONDS",
                        help="round trip to what is far away (default: %(default)s)")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure this alone")
    parser.add_argument("--calls", type=int, default=20000,
                        help="calls at once (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=100000,
                        help="tokens of one send_many() (default: %(default)s)")
    parser.add_argument("--callers", type=int, default=50,
                        help="tasks far away (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=2000,
                        help="messages of all of them together (default: %(default)s)")
    parser.add_argument("--sends", type=int, default=1000000,
                        help="notifications while memory is watched (default: %(default)s)")
    options = parser.parse_args()
    own = None if options.server else OwnServers()
    near = options.server[1] if options.server else own.addresses["responder"]
    relay = Relay(options.trip / 2000, [near])
    try:
        pin(0)
        Bench(options, own.certificate if own else new_certificate(), near,
              relay.addresses[0]).run()
    finally:
        relay.close()
        if own:
            own.close()


if __name__ == "__main__":
    main()
