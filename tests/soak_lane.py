"""One lane of the soak test: a simulator, a proxy with one fault, a session, and a few threads.

A round begins with connections that work and are pooled. Then come legs, each with the fault in
another direction and for another percentage of the connections, while threads that share the
session send in every way there is. At last the fault is switched off, what is left is sent again
until nothing is, and the simulator's record is held against the results.

Over the binary protocol success is silence, and a test must not depend on how long a slow machine
is silent. So whatever is sent there ends with a bad token, wherever a fault can only be strict: the
gateway's error frame says at once that all before it were accepted, and silence is waited for,
long enough, once a round.
"""

from __future__ import absolute_import, division, print_function

import sys
import threading
import traceback
from collections import Counter

from apnsclient import APNs, Message, Session
from apnsclient._compat import monotonic
from apnsclient.errors import ConnectError
from apnsclient.testing.chaos.randomness import Dice
from soak_faults import FAULTS, HARMLESS, lane_name
from soak_stage import Stage, sample
from soak_verdict import (
    Attempt,
    Call,
    Timing,
    Violation,
    deadline,
    judge,
    judge_calls,
    read_attempt,
)

__all__ = ["Lane", "Load", "leave_thread"]

#: Seconds that a slow machine may add to any deadline.
MARGIN = 30.0
#: How often what is left is sent again once the fault is off.
MOST_TRIES = 30
#: How many tokens of a lane are bad.
BAD_TOKENS = 10
#: How many threads share the session where it is crowded, and what most of their calls are.
CROWD = 50
CROWD_KINDS = ("send",) * 8 + ("send_many", "abandon")
CROWD_SIZES = (1, 1, 1, 1, 1, 3, 20)
#: The same for all, so that no cache has an entry for each second.
EXPIRY = 2000000000


class Load(object):
    """How much is sent.

    :param tokens: about how many tokens each leg of a lane has (int).
    :param legs: how many legs a round has (int).
    :param threads: how many threads send at once (int, from 1).
    :param tail: seconds of silence over the binary protocol that count as success where they are
        waited for; much longer than any machine needs to bring an error frame about.
    :param patience: timeouts of the session where the peer may go silent (seconds).
    """

    def __init__(self, tokens=300, legs=3, threads=3, tail=10.0, patience=3.0):
        self.tokens = tokens
        self.legs = legs
        self.threads = threads
        self.tail = tail
        self.patience = patience


class Lane(object):
    """See the module.

    :param spec: what it is about (``Spec``).
    :param seed: what all random numbers come from.
    :param load: how much is sent (:class:`Load`).
    :param authority: issues all certificates (``Authority``).
    :param pool: back-end of the session.

    :ivar figures: counts of all rounds (``Figures``), and the longest call as ``longest``.
    """

    def __init__(self, spec, seed, load, authority, pool="apnsclient.backends.stdio"):
        self.spec = spec
        self.name = lane_name(spec)
        self.fault = FAULTS[spec.fault]
        self.seed = "%s/%s" % (seed, self.name)
        self.load = load
        self.may_swallow = spec.protocol == "binary" and self.fault.swallows is not None
        self.timing = self._timing()
        self.longest = 0.0
        # The first one ends what is sent, the second one cannot even be put on the wire.
        self.bad = ["bad%061x" % number for number in range(BAD_TOKENS)]
        self.bad[1] = "not hexadecimal"
        self._lock = threading.Lock()
        self._running = {}
        self._stage = Stage(spec, self.seed, authority)
        self._pool = pool
        self._counts = Counter()

    def _timing(self):
        patience = self.load.patience
        if self.fault.swallows is None:
            # Nothing is silent here, so that all waiting ends by a response or a failure.
            return Timing(self.spec.protocol, 60.0, 60.0, 60.0, self.load.tail)
        return Timing(self.spec.protocol, patience, patience, patience, patience / 3)

    def start(self):
        """Start simulator, proxy and session."""
        self._stage.start()
        self.simulator, self.proxy = self._stage.simulator, self._stage.proxy
        for token in self.bad[:1] + self.bad[2:]:
            self.simulator.devices.bad(token)
        timing = self.timing
        self.session = Session(
            self._pool, protocol=self.spec.protocol, ca_string=self.simulator.ca_string,
            connect_timeout=timing.connect, write_timeout=timing.write, read_timeout=timing.read,
            read_tail_timeout=timing.tail, on_late_result=self._late)
        self.client = APNs(self.session.get_connection(
            self._stage.address, cert_string=self.simulator.cert_string))

    def stop(self):
        """Stop all three."""
        self.session.shutdown()
        self._stage.stop()

    # A round.

    def run(self, number):
        """Run one round; return its violations and figures."""
        self._round = number
        self._dice = Dice(self.seed, number)
        self._messages = {}
        self._attempts = []
        self._places = {}
        self._abandoned = set()
        self._pending = []
        self._calls = []
        self._named = 0
        self._crashes = []
        self._counts = Counter(connections=-self.proxy.connection_count,
                               faults=-self.proxy.fault_count)
        self._warm_up()
        for leg in range(self.load.legs):
            self._inject(leg)
            self._in_threads(self._plan())
        self._heal()
        return self._conclude()

    def _warm_up(self):
        """Have connections in the pool that work."""
        self.proxy.set_behavior("")
        self._in_threads([[("send", [self._tokens(5, 0)])] for _ in range(2)])

    def _inject(self, leg):
        """Switch the fault on, with what the dice say."""
        dice = self._dice
        if leg and dice.random() < 0.5:
            # New connections draw anew.
            self.session.shutdown()
        elif self.spec.fault not in HARMLESS and dice.random() < 0.3:
            # They die in the pool, and the news may come later than the next message.
            self.simulator.disconnect_all(dice.random() < 0.5)
            self.simulator.disconnect_providers(dice.random() < 0.5)
        # First in the pooled connections as well; they were good when they were put there.
        self._stage.inject(dice, leg + self._round, leg == 0 or dice.random() < 0.5)

    def _plan(self):
        """Return what each thread does in this leg: a list of ``(kind, lists of tokens)``."""
        dice, left, is_crowded = self._dice, self.load.tokens, self.spec.is_crowded
        work = [[] for _ in range(CROWD if is_crowded else self.load.threads)]
        kinds = CROWD_KINDS if is_crowded else (
            "send", "send", "send", "send_many", "send_many", "abandon")
        sizes = CROWD_SIZES if is_crowded else (1, 3, 20, 100, self.load.tokens // 2)
        with self._lock:
            again, self._pending = self._pending, []
        if again:
            work[0].append(("retry", again))
        number = 0
        while left > 0:
            kind = dice.choice(kinds)
            if kind == "send":
                size = min(left, dice.choice(sizes) or 1)
                messages = [self._tokens(size, dice.choice((0, 0, 1, 3)))]
            else:
                messages = [self._tokens(dice.choice((1, 1, 1, 7)), int(dice.random() < 0.05))
                            for _ in range(min(left, dice.choice((5, 30, 60))))]
            left -= sum(len(each) for each in messages)
            work[number % len(work)].append((kind, messages))
            number += 1
        if dice.random() < 0.5:
            work.append([("shutdown", [])] * dice.randint(1, 3))
        return work

    def _tokens(self, count, bad):
        """Return so many good tokens, with bad ones among them."""
        dice = self._dice
        tokens = ["%064x" % number for number in range(count)]
        for token in sample(dice, self.bad[1:], bad):
            tokens.insert(dice.randint(0, len(tokens)), token)
        return tokens

    def _in_threads(self, work):
        threads = [threading.Thread(target=self._work, args=(jobs,), name="soak " + self.name)
                   for jobs in work if jobs]
        for thread in threads:
            thread.daemon = True
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, jobs):
        try:
            for kind, messages in jobs:
                if kind == "shutdown":
                    self.session.shutdown()
                elif kind == "retry":
                    self._send_again(messages)
                else:
                    self._send_new(kind, messages)
        except Exception:
            self._crashes.append(Violation("nothing else is raised", traceback.format_exc()))
        finally:
            leave_thread()

    # Sending.

    @property
    def _needs_end(self):
        """Whether what is sent has to end with a bad token, see the module."""
        return self.spec.protocol == "binary" and self.proxy.behavior != ""

    def _send_new(self, kind, lists):
        """Send messages for the first time."""
        if self._needs_end:
            lists = lists[:-1] + [[token for token in lists[-1] if token != self.bad[0]]
                                  + [self.bad[0]]]
        messages = []
        for tokens in lists:
            with self._lock:
                self._named += 1
                name = "%s:r%d.%d" % (self.name, self._round, self._named)
            messages.append((name, 0, Message(tokens, alert="x", expiry=EXPIRY)))
        self._send(kind, messages)

    def _send_again(self, messages):
        """Send what is left of messages, and what makes the gateway respond."""
        kind = "send_many"
        if self.spec.protocol == "binary":
            with self._lock:
                self._named += 1
                name = "%s:r%d.%d" % (self.name, self._round, self._named)
            messages = messages + [(name, 0, Message([self.bad[0]], alert="x", expiry=EXPIRY))]
        self._send(kind, messages)

    def _send(self, kind, entries):
        """Make one call; note what came of each message."""
        messages = []
        for name, number, message in entries:
            message.alert = "%s#%d" % (name, number)
            messages.append(message)
            with self._lock:
                self._places[id(message)] = (name, number, len(self._attempts))
                if kind == "abandon":
                    self._abandoned.add(len(self._attempts))
                self._attempts.append(None)
                self._messages[id(message)] = message
        writes = sum(2 + len(message.tokens) * 200 // 2048 for message in messages)
        opened, started = self.proxy.connection_count, monotonic()
        with self._lock:
            self._running[threading.current_thread()] = (started, opened, writes, kind)
        told = self._make_call(kind, messages)
        seconds = monotonic() - started
        with self._lock:
            del self._running[threading.current_thread()]
            self._calls.append(Call("%s of %d messages of %s" % (kind, len(messages), self.name),
                                    seconds, self.proxy.connection_count - opened, writes,
                                    len(messages)))
        for message in messages[told:]:
            self._note(message, None, kind == "abandon")

    def _make_call(self, kind, messages):
        """Send messages; return how many have got a result, which is noted."""
        told = 0
        try:
            if kind == "send":
                self._note(messages[0], self.client.send(messages[0]))
                return 1
            results = self.client.send_many(messages)
            for result in results:
                if result.message is not messages[told]:
                    self._crashes.append(Violation("results come in order", self.name))
                self._note(messages[told], result)
                told += 1
                if kind == "abandon" and told > len(messages) // 2:
                    results.close()
        except ConnectError:
            # What has no result by now was not processed.
            pass
        return told

    def _note(self, message, result, is_abandoned=False):
        """Enter what became of an attempt; without a result it was not processed, or abandoned."""
        name, number, place = self._places[id(message)]
        tag = "%s#%d" % (name, number)
        if result is None:
            tokens = list(message.tokens)
            attempt = Attempt(name, tag, tokens, [], tokens, tokens if is_abandoned else [], [], 1)
            again = message
            self._counts["left"] += len(attempt.unknown)
        else:
            attempt, again = read_attempt(name, tag, result), result.retry()
        with self._lock:
            if self._attempts[place] is not None:
                self._counts["late"] += 1
            self._attempts[place] = attempt
            if again is not None:
                again = again.with_tokens(list(again.tokens))
                self._pending.append((name, number + 1, again))

    def _late(self, result):
        """Take a correction: called by the client."""
        try:
            name, _, place = self._places[id(result.message)]
            with self._lock:
                before = self._attempts[place]
            if place in self._abandoned and (before is None or before.unknown == before.tokens):
                # Nobody waits for a result, and it is, or will be, sent again as unknown.
                return
            if before is None:
                self._crashes.append(Violation("what is corrected was told before", name))
            self._note(result.message, result)
        except Exception:
            self._crashes.append(Violation("nothing else is raised", traceback.format_exc()))

    def is_overdue(self):
        """Tell which calls are running for too long: list of ``Violation``."""
        now, found = monotonic(), []
        with self._lock:
            running = list(self._running.items())
        for thread, (started, opened, writes, kind) in running:
            call = Call(kind, now - started, self.proxy.connection_count - opened, writes, 0)
            if call.seconds > deadline(call, self.timing) + MARGIN:
                frame = sys._current_frames().get(thread.ident)
                found.append(Violation("no call outlives its deadline", "%s of %s is running for "
                                       "%.0f s\n%s" % (kind, self.name, call.seconds, "".join(
                                           traceback.format_stack(frame) if frame else []))))
        return found

    # The end.

    def _heal(self):
        """Switch the fault off, and send what is left until nothing is."""
        self._stage.heal()
        for _ in range(MOST_TRIES):
            with self._lock:
                pending, self._pending = self._pending, []
            if pending:
                self._in_threads([[("retry", pending)]])
                continue
            # What comes late comes now.
            self.session.shutdown()
            if not self._pending:
                return
        self.session.shutdown()

    def _conclude(self):
        """Wait until nothing moves any more; return violations and figures."""
        violations = list(self._crashes)
        violations += self._stage.settle()
        record = self._stage.take_record()
        found, figures = judge([one for one in self._attempts if one is not None], record,
                               set(self.bad), self.may_swallow)
        figures.update(self._counts)
        if figures["unknown"] > figures["left"] and self.spec.fault in HARMLESS:
            violations.append(Violation("what is only late is not unknown", "%d tokens of %s" % (
                figures["unknown"], self.name)))
        violations += found + judge_calls(self._calls, self.timing, MARGIN)
        figures["connections"] += self.proxy.connection_count
        figures["faults"] += self.proxy.fault_count
        figures["calls"] += len(self._calls)
        self.longest = max([self.longest] + [call.seconds for call in self._calls])
        self._messages = self._places = self._attempts = self._calls = None
        return violations, figures


def leave_thread():
    """Give back what gevent, where it is in use, keeps for each thread: its loop."""
    if "gevent" in sys.modules:
        sys.modules["gevent"].get_hub().destroy(destroy_loop=True)
