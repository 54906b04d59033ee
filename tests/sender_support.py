"""A world around a sender, without any I/O: callers, a shell, and servers with scripts.

The shell does what a real one does, and nothing else: it does not look at what the sender keeps for
itself. The servers are in :mod:`sender_peer`, and the time is in :mod:`sender_network`.
"""

from __future__ import absolute_import, division, print_function

from collections import defaultdict, deque, namedtuple

from apnsclient._timing import Timing
from apnsclient.apns import Message
from apnsclient.errors import ConnectError
from apnsclient.sending.calls import Call
from apnsclient.sending.facts import Facts
from apnsclient.sending.http2 import ANOTHER, IN_FLIGHT, Sender
from apnsclient.sending.message_work import Bundle, Delivery
from apnsclient.sending.tally import Tally, outcome_events
from apnsclient.sending.work import Request, Work
from observer_support import count_outcomes, count_results
from sender_network import START, Line, Network, failure_of
from sender_peer import Script

__all__ = ["NO_TOKEN", "PLACES", "START", "Caller", "Key", "Part", "Stuck", "World"]

#: Where it sends to, for an observer.
ADDRESS = ("apple.test", 443)
#: How the names of what is no token begin.
NO_TOKEN = "zz"
#: Steps of the shell after which nothing is to be expected any more.
_MOST_STEPS = 5000
#: Where a request may be that is withdrawn: in flight; on a connection that nothing more is written
#: to; not written to its end; with a response that has begun; not processed, and waiting again.
PLACES = ["anywhere", "in flight", "cut", "in part", "begun", "refused"]
#: What a request says as long as nothing is known of it.
_NO_PROBLEM = Request(b"GET", b"/", (), b"").problem


class Stuck(AssertionError):
    """There is work, and nothing will ever happen."""


class Key(object):
    """A provider token as the sender knows it.

    :ivar renewals: how many times it was renewed.
    """

    key_id, team_id = "A", "B"

    def __init__(self):
        self.renewals = 0
        self.rejected = set()

    def bearer(self):
        return b"bearer %d" % self.renewals

    def renew(self, token):
        if token == self.bearer():
            self.renewals += 1

    def new_bearer(self):
        return _Bearer(self)


class _Bearer(object):
    age = 0.0

    def __init__(self, key):
        self._key, self._token = key, None

    def current(self):
        self._token = self._token or self._key.bearer()
        return self._token

    @property
    def is_rejected(self):
        return self._token in self._key.rejected

    def reject(self):
        self._key.rejected.add(self._token)


class Awaited(Work):
    """Requests of which each has somebody who waits for it: work that no part of the product has.

    :ivar outcomes: of each that was told, by index, in the words of :class:`Caller`.
    """

    def __init__(self, message):
        super(Awaited, self).__init__(len(message.tokens))
        self._tokens, self._template = message.tokens, message.request_template()
        self.outcomes = {}

    @property
    def payload_size(self):
        return len(self._template.payload)

    def request_size(self, client):
        return 128 + self.payload_size

    def _send(self, client, indices, rejected):
        return client.send_each([self._template] * len(indices),
                                [self._tokens[index] for index in indices],
                                indices, self, rejected)

    def token_of(self, index):
        return self._tokens[index].encode("ascii")

    def _put(self, index, outcome):
        assert index not in self.outcomes, "two outcomes"
        self.outcomes[index] = outcome

    def accept(self, index, response):
        assert response.status == 200
        self._put(index, "accepted")

    def reject(self, index, reason, response, timestamp):
        self._put(index, "failed" if reason.blames_token else _unsent(reason))

    def refuse(self, index, error):
        self._put(index, "failed")

    def lose(self, index, text):
        self._put(index, "unknown")

    def cut(self, index, text):
        self._put(index, "retry")

    def stop(self, reason):
        for indices in self._take_waiting():
            for index in indices:
                self._put(index, _unsent(reason))

    def give_up(self, text):
        for indices in self._take_waiting():
            for index in indices:
                self._put(index, "retry")


def _unsent(reason):
    return "retry" if reason.retries_reported else "undelivered"


#: Work of a caller: a "delivery" or a "bundle" of so many tokens, or a "request", of so many bytes;
#: "spoilt" is a delivery whose first token is none, "awaited" is :class:`Awaited`.
Part = namedtuple("Part", "kind count size")


def _counted(work):
    """Have the outcomes of some work counted, as if there were an observer; return the work."""
    work.tally = Tally()
    return work


class Caller(object):
    """Somebody who sends something.

    :param number: a number of its own.
    :param parts: :class:`Part` of what it brings, one after the other.
    :param patience: seconds until its deadline, or None.
    :param stays: seconds until it leaves, whatever has become of its work; None for never.

    :ivar names: what its requests are known by, in order.
    :ivar outcomes: what became of each: "accepted", "failed", "undelivered", "retry" or "unknown";
        for a request the status, or "lost".
    :ivar has_left: whether it left before its end.
    :ivar is_over: whether it has nothing more to wait for.
    :ivar ended_at: when that was.
    """

    def __init__(self, number, parts, patience=None, stays=None):
        self.parts, self.patience, self.stays = parts, patience, stays
        self.outcomes = {}
        self.is_over = self.has_left = False
        self.ended_at = self.call = None
        self.names, self._to_bring, self._brought = [], deque(), deque()
        # Work and index of each request.
        self._places = []
        for part in parts:
            first = len(self.names)
            names = ["%032x%032x" % (number, first + index) for index in range(part.count)]
            if part.kind == "spoilt":
                names[0] = NO_TOKEN + names[0][len(NO_TOKEN):]
            self.names += names
            self._to_bring.append((names, self._work(part, names)))
            self._places += [(self._to_bring[-1][1], index) for index in range(part.count)]

    @staticmethod
    def _work(part, names):
        text = "x" * part.size
        if part.kind in ("delivery", "spoilt"):
            message = Message(names, alert=text, apns_topic="com.example.app")
            return _counted(Delivery(message, message.request_template()))
        if part.kind == "awaited":
            return Awaited(Message(names, alert=text, apns_topic="com.example.app"))
        if part.kind == "bundle":
            messages = [Message([name], alert=text, apns_topic="com.example.app")
                        for name in names]
            return _counted(Bundle(messages, [one.request_template() for one in messages]))
        return Request(b"POST", b"/4/" + names[0].encode("ascii"), [], text.encode("ascii"))

    def begin(self, sender, now):
        """Bring the first part."""
        self.call = Call(None if self.patience is None else now + self.patience)
        self.go_on(sender, now)

    def go_on(self, sender, now):
        """Take what is decided, and bring more when it is time to; return True if it was."""
        call = self.call
        if self.is_over or not call.is_ready:
            return False
        while call.is_ready and not self.is_over:
            for work in call.decided():
                names, expected = self._brought.popleft()
                assert work is expected, "the results are out of order"
                self._note(work, names)
            if self._to_bring and call.is_ready and call.failure is None:
                self._brought.append(self._to_bring.popleft())
                call.add(self._brought[-1][1])
                call.has_more = bool(self._to_bring)
                sender.submit(call, now)
            elif call.is_empty:
                self.is_over, self.ended_at = True, now
                sender.leave(call)
        return True

    def leave(self, sender, now):
        """Leave in the middle of everything."""
        if not self.is_over:
            self.is_over = self.has_left = True
            self.ended_at = now
            self.call.is_abandoned = True
            sender.leave(self.call)

    def withdraw(self, sender, number, now):
        """Withdraw a request by its number; return where it was, None if it was not."""
        work, index = self._places[number]
        if work.call is None:
            return None
        return sender.withdraw(work, index, "it was withdrawn", now)

    def _note(self, work, names):
        """Note the outcomes of some work, one of each request."""
        if isinstance(work, Awaited):
            for index, outcome in work.outcomes.items():
                self._put(names[index], outcome)
            for name in names:
                # As with any work, what was accepted may not be told.
                self.outcomes.setdefault(name, "accepted")
            return
        if isinstance(work, Request):
            is_lost = work.response is None
            assert is_lost == (work.problem != _NO_PROBLEM)
            self._put(names[0], "lost" if is_lost else work.response.status)
            return
        results = list(work.results(lambda outcomes, count: None))
        assert [name for one in results for name in one.message.tokens] == names
        told = outcome_events([work], ADDRESS, 0.0)
        assert count_outcomes(told) == count_results(results)
        for result in results:
            retried = result.retry().tokens if result.needs_retry() else []
            for kind, found in (("failed", result.failed), ("undelivered", result.undelivered),
                                ("retry", retried)):
                for name in found:
                    self._put(name, kind)
            for name in result.unknown:
                assert self.outcomes[name] == "retry"
                self.outcomes[name] = "unknown"
        for name in names:
            self.outcomes.setdefault(name, "accepted")

    def _put(self, name, outcome):
        assert name not in self.outcomes, "two outcomes: %s, %s" % (self.outcomes[name], outcome)
        self.outcomes[name] = outcome


class World(object):
    """All there is.

    :param scripts: :class:`~sender_peer.Script` of one connection after the other; those behind
        them are accepted, and so is all that is sent over them.
    :param limit: most connections, or None.
    :param credential: a :class:`Key`, or None for a certificate.
    :param read_timeout: seconds, or None.
    :param trip: seconds of a round trip.
    :param write_time: seconds that each write takes.
    :param keeps_ids: whether results have the identifiers of what was accepted.

    :ivar flights: every request that was begun, in order (list of :class:`~sender_peer.Flight`).
    :ivar processed: what servers have processed: list of verdicts by name.
    :ivar wanted: ``(time, why)`` of each connection that the sender wanted.
    :ivar withdrawn: where each request was that was withdrawn, and how many there had been of its
        flights, by name.
    :ivar lines: connections in use, and ``idle``: those that wait to be used again.
    """

    def __init__(self, scripts=(), limit=None, credential=None, read_timeout=None, trip=0.0625,
                 write_time=0.0, keeps_ids=False):
        self.network, self.credential, self.trip = Network(), credential, trip
        self.processed, self.flights, self.wanted = defaultdict(list), [], []
        self.withdrawn, self._withdrawals, self._moment, self._owners = {}, [], 0, {}
        self.lines, self.idle, self.opened, self.most_lines = [], [], [], 0
        timing = Timing(1.0, 1, None, 65536, read_timeout, 1.0)
        self.sender = Sender(credential, timing, limit)
        self.events = []
        self.sender.facts = Facts(self.events.append, ADDRESS, "http2")
        self._limit, self._write_time, self._keeps_ids = limit, write_time, keeps_ids
        self._scripts, self._callers, self._coming = deque(scripts), {}, 0

    @property
    def now(self):
        """The time in seconds."""
        return self.network.now

    # Callers.

    def bring(self, caller, after=0.0):
        """Have a caller come after so many seconds; return it."""
        self._coming += 1
        self._owners.update((name, caller) for name in caller.names)
        self.network.after(after, lambda: self._begin(caller))
        return caller

    def _begin(self, caller):
        self._coming -= 1
        self.network.has_news = True
        caller.begin(self.sender, self.now)
        self.watch(caller)

    def watch(self, caller):
        """Serve a caller who has begun."""
        if not caller.is_over:
            self._callers[caller.call] = caller
            if caller.stays is not None:
                self.network.after(caller.stays, lambda: self._leave(caller))

    def _leave(self, caller):
        self.network.has_news = True
        caller.leave(self.sender, self.now)
        self._callers.pop(caller.call, None)

    def withdraw(self, place, number, moment=0):
        """Have a request withdrawn, as soon as there is one.

        :param place: where it is: one of :data:`PLACES`.
        :param number: which of those that are there, counted from 0 and all over again.
        :param moment: how often something has to be read or written before (int).
        """
        self._withdrawals.append((place, number, moment))

    def _pass_moment(self):
        """Withdraw what is to be withdrawn when something was read or written."""
        self._moment += 1
        for withdrawal in list(self._withdrawals):
            place, number, moment = withdrawal
            names = self._names_in(place) if moment <= self._moment else []
            if names:
                self._withdrawals.remove(withdrawal)
                self._withdraw(names[number % len(names)])

    def _names_in(self, place):
        """Return the names of the requests in a place."""
        if place == "anywhere":
            return sorted(self._owners)
        if place == "refused":
            last = dict((flight.name, flight) for flight in self.flights)
            return sorted(name for name, flight in last.items()
                          if flight.is_proven and name not in self.withdrawn)
        return sorted(flight.name for line in self.lines for flight in line.tap.in_flight
                      if place == "in flight" or place == "cut" and flight.is_cut
                      or place == "in part" and not flight.is_whole
                      or place == "begun" and flight.status is not None)

    def _withdraw(self, name):
        caller = self._owners[name]
        where = caller.withdraw(self.sender, caller.names.index(name), self.now)
        if where is None:
            return
        assert name not in self.withdrawn, "it was withdrawn twice"
        begun = [flight for flight in self.flights if flight.name == name]
        self.withdrawn[name] = where, len(begun)
        found = sum(line.tap.withdraw(name) for line in self.lines)
        assert found == (where == IN_FLIGHT), (where, found)
        self.network.has_news = True

    def _go_on(self):
        """Go on with callers who are told to; return True if any did."""
        calls = [call for call in self.sender.take_touched() if call in self._callers]
        went_on = False
        for call in sorted(calls, key=lambda one: self._callers[one].names):
            caller = self._callers[call]
            went_on |= caller.go_on(self.sender, self.now)
            if caller.is_over:
                del self._callers[call]
        return went_on

    # The shell.

    def run(self):
        """Go on until no caller is left."""
        for _ in range(_MOST_STEPS):
            if self.is_over:
                self._rest()
                for line in self.idle:
                    line.tap.write(line.state.output(self.now), self.now)
                return self
            self.step()
        raise Stuck("it goes round and round")

    @property
    def is_over(self):
        """Whether no caller is left."""
        return not self._callers and not self._coming

    def step(self):
        """Do what there is to be done, or wait."""
        sender = self.sender
        sender.expire_calls(self.now)
        ended = [line for line in self.lines if line.state not in sender.connections]
        for line in ended:
            self._close(line)
        self._go_on()
        has_written = [self._write(line) for line in list(self.lines)]
        if self._go_on() or ended or any(has_written) or self.is_over:
            return
        self._rest()
        why = sender.wants_connection(self.now)
        if why is not None:
            self.wanted.append((self.now, why))
            if why == ANOTHER:
                assert all(line.tap.has_accepted for line in self.lines if line.state.can_start)
            self._open(why)
            return
        for call in self._callers:
            assert not call.is_ready, "a caller was not told"
        sender.note_waiting(self.now)
        self._wait(sender.deadline())

    def _close(self, line):
        self.lines.remove(line)
        line.close()

    def _rest(self):
        """Give connections back if nobody needs them."""
        if self.sender.calls:
            return
        for line in list(self.lines):
            if line.state in self.sender.connections:
                self.sender.connections.remove(line.state)
            if line.state.rest(self.now):
                self.lines.remove(line)
                self.idle.append(line)
            else:
                self._close(line)

    def _write(self, line):
        """Write what a connection takes; return True if there was anything."""
        state, fault = line.state, line.faults.pop(0) if line.faults else None
        if state not in self.sender.connections:
            return False
        self.sender.fill(state, self.now)
        if fault == "no write":
            self.sender.lose(state, "it was interrupted", self.now)
            return True
        data = state.output(self.now)
        if not data:
            return False
        assert not state.is_cut, "it goes on in the middle of a frame"
        line.tap.write(data, self.now)
        if fault is None:
            line.transmit(data)
            self.network.pass_until(self.now + self._write_time)
            state.written(self.now)
            self._pass_moment()
            return True
        line.transmit(data[:len(data) // 2])
        if fault == "interrupt":
            line.tap.cut()
            self.sender.cut(state, self.now)
            self._pass_moment()
            return True
        # What the server says may be why it hung up.
        self.network.pass_until(self.now + self.trip)
        self._read(line)
        self.sender.lose(state, "broken pipe", self.now)
        return True

    def _open(self, why):
        """Open a connection, or use one again."""
        while self.idle and not self.sender.needs_new:
            line = self.idle.pop()
            self.lines.append(line)
            self._read(line)
            line.state.attach(self._keeps_ids, self.now)
            if line.state.can_start and not line.state.is_rejected:
                self.sender.add_connection(line.state, self.now)
                return
            self._close(line)
        while self.idle and self._limit is not None and self._count() >= self._limit:
            self.idle.pop().close()
        script = self._scripts.popleft() if self._scripts else Script()
        if script.opening == "refused":
            self.network.pass_until(self.now + self.trip)
            self.sender.connect_failed(why, failure_of(ConnectError("refused")), self.now)
            return
        self.network.pass_until(self.now + self.trip)
        line = Line(script, self)
        line.state.attach(self._keeps_ids, self.now)
        self.lines.append(line)
        self.opened.append(line)
        line.greet(self.sender, self.now)
        line.state.round_trip = self.trip
        self.sender.add_connection(line.state, self.now)
        self.most_lines = max(self.most_lines, self._count())

    def _count(self):
        return len(self.lines) + len(self.idle)

    def _wait(self, deadline):
        """Wait until something has come, or for so long."""
        network = self.network
        while not network.has_news:
            if network.next_at is None and deadline is None:
                raise Stuck("nothing will ever happen")
            if network.next_at is None or deadline is not None and deadline <= network.next_at:
                network.pass_until(deadline)
                break
            network.step()
        # Whatever comes at the same time is there, too.
        network.pass_until(self.now)
        network.has_news = False
        self.sender.note_progress(self.now)
        for line in list(self.lines):
            self._read(line)
        self.sender.expire_requests(self.now)

    def _read(self, line):
        """Take what has come over a connection."""
        while line.inbox and not line.state.is_over:
            came = line.inbox.popleft()
            if isinstance(came, bytes):
                line.tap.read(came)
                self.sender.receive(line.state, came, self.now)
                self._pass_moment()
            elif came is None:
                self.sender.lose(line.state, "the server ended the connection", self.now)
            else:
                is_refusal = not line.state.client.has_proof
                line.tap.end(is_refusal)
                self.sender.lose(line.state, "alert", self.now, came if is_refusal else None)
