"""Drives the client through every fault of the chaos proxy, and proves what it says.

    python tests/soak.py --seconds 600 --seed 7 --protocol all

It prints a table, and ends with exit status 1 if anything was not as it should be; what it takes to
replay it is printed as well. Everything runs in this process, on loopback.
"""

from __future__ import absolute_import, division, print_function

import argparse
import ctypes
import gc
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections import OrderedDict

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from apnsclient._compat import monotonic  # noqa: E402
from apnsclient.testing.certs import Authority  # noqa: E402
from apnsclient.testing.chaos.randomness import new_seed  # noqa: E402
from modern import IS_MODERN  # noqa: E402
from soak_faults import specs  # noqa: E402
from soak_lane import Lane, Load, leave_thread  # noqa: E402
from soak_verdict import Figures, Violation, judge_leftovers  # noqa: E402

__all__ = ["Soak", "main", "total_of"]

#: By what ``--protocol`` calls it; "aio" is HTTP/2 by the asynchronous client, on each loop.
PROTOCOLS = {"binary": ["binary"], "http2": ["http2"], "all": ["binary", "http2"]}
if IS_MODERN:
    PROTOCOLS["aio"] = ["aio"]
    PROTOCOLS["all"] = ["binary", "http2", "aio"]

#: Figures, and what they are called in the head of the table.
COLUMNS = (("connections", "conn."), ("faults", "faults"), ("tokens", "tokens"),
           ("accepted", "accepted"), ("failed", "failed"), ("unknown", "unknown"),
           ("left", "left"), ("unprocessed", "unproc."), ("resent", "resent"), ("late", "late"),
           ("duplicates", "dupl."), ("swallowed", "swall."), ("losses", "losses"))
WIDTH = 8

#: What the process may grow by from the second round on: objects, blocks of memory that Python has
#: given out, megabytes that the system's allocator has, and megabytes altogether. The allocator
#: counts as given out what it keeps for each thread that lives on, up to a fifth of a megabyte, and
#: that takes many rounds to fill up; see docs/soak.rst.
GROWTH = {"objects": 2000, "blocks": 5000, "megabytes in use": 8, "megabytes resident": 64}

#: The fields of glibc's ``struct mallinfo2``.
ALLOCATOR = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
             "fordblks", "keepcost")


def holdings():
    """Return what the process holds: threads and descriptors."""
    held = {"threads": threading.active_count()}
    if os.path.isdir("/proc/self/fd"):
        held["descriptors"] = len(os.listdir("/proc/self/fd"))
    return held


def size():
    """Return how much memory the process has, by the names of GROWTH; what is not known is 0."""
    gc.collect()
    return {"objects": len(gc.get_objects()),
            "blocks": getattr(sys, "getallocatedblocks", int)(),
            "megabytes in use": in_use(), "megabytes resident": resident()}


def in_use():
    """Return how much the system's allocator has given out, in megabytes; 0 if it does not tell.

    That is what OpenSSL has, and each object of Python's that is larger than 512 bytes.
    """
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):  # Before glibc 2.33, or another library.
        return 0.0
    ask.restype = MallInfo
    told = ask()
    return (told.uordblks + told.hblkhd) / 1e6


class MallInfo(ctypes.Structure):
    """What glibc's ``mallinfo2()`` returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in ALLOCATOR]


def resident():
    """Return how much memory the process has, in megabytes; 0 where that is not known."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (IOError, ValueError):
        return 0.0


class Complaints(logging.Handler):
    """What is told to nobody in particular: in the log of the event loops, and by destructors.

    :param note: called with each text, by any thread.
    """

    def __init__(self, note):
        super(Complaints, self).__init__(logging.WARNING)
        self._note = note
        self._loggers = [logging.getLogger(name) for name in ("asyncio", "apnsclient.aio")]

    def __enter__(self):
        for logger in self._loggers:
            logger.addHandler(self)
        # Python 2.7 has none, and does not look at it.
        self._hook, sys.unraisablehook = getattr(sys, "unraisablehook", None), self._note_unraisable

    def __exit__(self, *exception):
        sys.unraisablehook = self._hook
        for logger in self._loggers:
            logger.removeHandler(self)

    def emit(self, record):
        """Take note of a record; the client warns of single requests and connections."""
        if record.name == "asyncio" or record.levelno >= logging.ERROR:
            self._note(self.format(record))

    def _note_unraisable(self, one):
        self._note("%s: %s" % (one.err_msg, "".join(traceback.format_exception(
            one.exc_type, one.exc_value, one.exc_traceback))))


class Soak(object):
    """All lanes, round after round.

    :param seed: what all random numbers come from.
    :param protocols: one of PROTOCOLS.
    :param load: how much each lane sends (``Load``).
    :param pool: the back-end.
    :param only: name of a lane, or a part of it; None runs all.
    :param at_once: how many lanes run at the same time (int); None for all.
    :param first: number of the first round (int): each round draws from the seed and its number.

    :ivar violations: what was wrong, list of ``(lane, round, Violation)``.
    :ivar figures: ``Figures`` by name of the lane.
    """

    def __init__(self, seed, protocols="all", load=None, pool="apnsclient.backends.stdio",
                 only=None, at_once=None, first=1):
        self.seed = seed
        self.violations = []
        self.figures = OrderedDict()
        # An OrderedDict of Python 2.7 loses what several threads put in at a time.
        self._lock = threading.Lock()
        self.rounds = first - 1
        self.memory = []
        self._authority = Authority()
        self._load = load or Load()
        self._pool = pool
        self._at_once = at_once
        self._lanes = [lane for lane in (self._new_lane(spec)
                                         for spec in specs(PROTOCOLS[protocols]))
                       if only is None or only in lane.name]
        if not self._lanes:
            raise ValueError("there is no lane %r" % only)

    def _new_lane(self, spec):
        if spec.protocol == "aio":
            from aio_soak import AioLane
            return AioLane(spec, self.seed, self._load, self._authority)
        return Lane(spec, self.seed, self._load, self._authority, self._pool)

    def run(self, seconds, report=None):
        """Run whole rounds for so many seconds, one at least.

        :param report: called with a text after each round.
        """
        # What is made once, by whoever comes first, is nothing left behind.
        self._rehearse()
        before = holdings()
        end = monotonic() + seconds
        with Complaints(self._complain):
            try:
                self._run_rounds(end, report)
            finally:
                for lane in self._lanes:
                    self._stop(lane)
        self._accuse("all", judge_leftovers(before, holdings()))
        self.judge_growth()

    def _run_rounds(self, end, report):
        for lane in self._lanes:
            lane.start()
        while not self.memory or monotonic() < end:
            self.rounds += 1
            self._run_round()
            self.memory.append(size())
            if report is not None:
                held = dict(holdings(), **self.memory[-1])
                report("round %d: %s; %d violations" % (self.rounds, ", ".join(
                    "%d %s" % (held[name], name) for name in sorted(held)),
                    len(self.violations)))

    def _stop(self, lane):
        try:
            lane.stop()
        except Exception:
            self._accuse(lane.name, [Violation("a lane can be stopped", traceback.format_exc())])

    def _complain(self, text):
        self._accuse("all", [Violation("nothing is complained of to nobody in particular", text)])

    def judge_growth(self):
        """Compare the process after the last round with what it was after the second one."""
        for name in sorted(GROWTH) if len(self.memory) > 2 else ():
            self._accuse("all", judge_leftovers(
                {name: self.memory[1][name]}, {name: self.memory[-1][name]}, GROWTH[name]))

    def _rehearse(self):
        kinds = OrderedDict((lane.name.split("/")[0], lane) for lane in self._lanes)
        for lane in kinds.values():
            lane.start()
            lane.stop()

    def _run_round(self):
        """Run each lane once, some of them at a time."""
        waiting = list(self._lanes)
        workers = [threading.Thread(target=self._work, args=(waiting,), name="soak worker")
                   for _ in range(min(self._at_once or len(waiting), len(waiting)))]
        for worker in workers:
            worker.daemon = True
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(1.0)
                self._look_for_overdue()

    def _work(self, waiting):
        try:
            self._run_lanes(waiting)
        finally:
            leave_thread()

    def _run_lanes(self, waiting):
        while True:
            try:
                lane = waiting.pop()
            except IndexError:
                return
            try:
                violations, figures = lane.run(self.rounds)
                with self._lock:
                    self.figures.setdefault(lane.name, Figures()).update(figures)
            except Exception:
                violations = [Violation("the test itself works", traceback.format_exc())]
            self._accuse(lane.name, violations)

    def _look_for_overdue(self):
        for lane in self._lanes:
            overdue = lane.is_overdue()
            if overdue:
                self._accuse(lane.name, overdue)
                raise Overdue()

    def _accuse(self, name, violations):
        self.violations.extend((name, self.rounds, one) for one in violations)

    def table(self):
        """Return the figures as text, one line for each lane and one for all."""
        lines = ["%-32s" % "fault" + "".join("%*s" % (WIDTH + 1, head) for _, head in COLUMNS)
                 + "  longest"]
        for lane in self._lanes:
            lines.append(self._line(
                lane.name, self.figures.get(lane.name, Figures()), lane.longest))
        lines.append(self._line(
            "all", total_of(self.figures), max(lane.longest for lane in self._lanes)))
        return "\n".join(lines)

    @staticmethod
    def _line(name, figures, longest):
        return "%-32s" % name + "".join(
            "%*d" % (WIDTH + 1, figures[column]) for column, _ in COLUMNS) + " %6.1f s" % longest

    def complaints(self):
        """Return what was wrong, and how to see it again, as text."""
        lines = []
        for name, number, violation in self.violations:
            lines.append("%s, round %d: %s: %s" % ((name, number) + violation))
        load = self._load
        for name, number in sorted(set(one[:2] for one in self.violations)):
            if name != "all":
                lines.append(
                    "replay: python tests/soak.py --seed %s --only %s --round %d --seconds 0 "
                    "--tokens %d --legs %d --threads %d --tail %g --backend %s" % (
                        self.seed, name, number, load.tokens, load.legs, load.threads, load.tail,
                        self._pool))
        return "\n".join(lines)


def total_of(figures):
    """Return the figures of all lanes together.

    :param figures: ``Figures`` by name.
    """
    total = Figures()
    for one in figures.values():
        total.update(one)
    return total


class Overdue(Exception):
    """A call does not come back."""


def parse(arguments):
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long to begin new rounds; "
                        "the last one is finished (default: 60)")
    parser.add_argument("--seed", help="what all random numbers come from (default: by chance)")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="all",
                        help="aio is HTTP/2 by the asynchronous client, which needs Python 3.8 "
                        "(default: all)")
    parser.add_argument("--backend", default="apnsclient.backends.stdio", metavar="MODULE",
                        help="the back-end (default: apnsclient.backends.stdio)")
    parser.add_argument("--tokens", type=int, default=1000,
                        help="tokens of each leg of each lane (default: 1000)")
    parser.add_argument("--legs", type=int, default=3,
                        help="settings of the fault in each round (default: 3)")
    parser.add_argument("--threads", type=int, default=3,
                        help="threads that share the session of a lane (default: 3)")
    parser.add_argument("--tail", type=float, default=20.0, metavar="SECONDS",
                        help="silence over the binary protocol that counts as success, where it is "
                        "no part of the fault (default: 20)")
    parser.add_argument("--at-once", type=int, default=None, metavar="LANES",
                        help="lanes that run at the same time (default: all)")
    parser.add_argument("--round", type=int, default=1, metavar="NUMBER",
                        help="the first round (default: 1)")
    parser.add_argument("--only", metavar="LANE", help="run lanes whose name has this in it, for "
                        "example http2/reset")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run the program; return its exit status."""
    options = parse(arguments)
    seed = options.seed if options.seed is not None else str(new_seed())
    load = Load(options.tokens, options.legs, options.threads, options.tail)
    soak = Soak(seed, options.protocol, load, options.backend, options.only, options.at_once,
                options.round)
    print("seed %s, Python %s, %s" % (seed, sys.version.split()[0], options.backend))
    began = time.time()

    def report(text):
        print("%5.0f s, %s" % (time.time() - began, text))
        sys.stdout.flush()

    try:
        soak.run(options.seconds, report)
    except Overdue:
        pass
    print(soak.table())
    print("%d rounds in %.0f s, seed %s: %d violations" % (
        len(soak.memory), time.time() - began, seed, len(soak.violations)))
    if soak.violations:
        print(soak.complaints())
    sys.stdout.flush()
    return 1 if soak.violations else 0


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Python [0-9.]+ is no longer supported")
    # Of each connection that ends there would be a warning.
    logging.getLogger("apnsclient").addHandler(logging.NullHandler())
    logging.getLogger("apnsclient").propagate = False
    sys.exit(main())
