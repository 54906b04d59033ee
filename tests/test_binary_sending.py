"""The core of the binary protocol without any I/O: each token ends in exactly one outcome.

What a gateway does is a script, time is a number, and the shell is a function of this file, as
another one could be for asyncio. ``test_binary_model.py`` asks the same of the whole client.
"""

from __future__ import absolute_import, division, print_function

from binascii import hexlify
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient._timing import Timing
from apnsclient.apns import Message
from apnsclient.errors import CertificateRefused, ConnectionLost, Timeout
from apnsclient.protocols.binary import NotificationParser, encode_error
from apnsclient.protocols.ledger import Ledger
from apnsclient.sending import binary_message as states
from apnsclient.sending.binary import BinarySender
from apnsclient.sending.binary_stream import GatewayStream
from effort import examples

pytestmark = pytest.mark.timeout(240)

TAIL, WRITE_TIMEOUT, SLOW = 3.0, 8.0, 0.5
BAD_TOKEN, WHOLE_MESSAGE = (2, 5, 8), (3, 4, 6, 7)
REFUSE, SHUTDOWN, STRANGER, SILENCE = "refuse", "shutdown", "stranger", "silence"
END, LOSS, REFUSED = "end", "loss", "refused"


class Script(namedtuple("Script", "verdict after status delay cut end write_limit stuck "
                                  "pace")):
    """How one connection goes.

    verdict, after -- what the gateway says once so many notifications were accepted.
    status -- of the error frame.
    delay -- seconds until it comes.
    cut -- how many bytes of it come at a time, a second apart.
    end -- how the stream ends then: in order, by a loss, with our certificate refused (in that case
        nothing was accepted), or not at all.
    write_limit -- how many writes go well (None: all).
    stuck -- for how many seconds what is written stays on this machine.
    pace -- how many seconds a write takes.
    """

    __slots__ = ()


HEALTHY = Script(SILENCE, 0, 8, 0, 6, None, None, 0, 0)


class Gateway(object):
    """The other end of one connection.

    :ivar accepted: tokens that were accepted, in order; so are those that were thrown away.
    :ivar refused: ``{token: status}``.
    :ivar sent: tokens that the client has handed out to be written.
    """

    def __init__(self, script, clock):
        self.script = script
        self.stream = GatewayStream()
        self.accepted, self.discarded, self.refused, self.sent = [], [], {}, []
        self.has_failed_write = False
        self._clock = clock
        self._moves_at = self._arrives_at = clock.now + script.stuck
        self._writes = 0
        self._is_judged = False
        self._events = []
        self._backlog = b""
        self._sent, self._arrived = NotificationParser(), NotificationParser()
        self._judge_if_due(0)

    def write(self, data):
        """Take what is written; return None, or what it fails with."""
        self._writes += 1
        self._clock.now += self.script.pace
        self.sent += [one.token for one in self._sent.feed(data)]
        limit = self.script.write_limit
        if limit is not None and self._writes > limit:
            self.has_failed_write = True
            data = data[:len(data) // 2]
        self._move()
        self._backlog += data
        self._arrives_at = max(self._moves_at, self._clock.now)
        self._move()
        if not self.has_failed_write:
            return None
        if self.script.end == REFUSED:
            return CertificateRefused("by script")
        return Timeout("by script") if limit % 2 else ConnectionLost("by script")

    def unacknowledged(self):
        self._move()
        return len(self._backlog)

    def next_time(self):
        """Return when something happens next, None if nothing does."""
        self._move()
        times = [when for when, _ in self._events[:1]] + [self._moves_at] * bool(self._backlog)
        return min(times) if times else None

    def take_event(self):
        """Return what has come by now, None for nothing."""
        self._move()
        if self._events and self._events[0][0] <= self._clock.now:
            return self._events.pop(0)[1]
        return None

    def _move(self):
        """Have what was written arrive."""
        if self._clock.now >= self._moves_at:
            data, self._backlog = self._backlog, b""
            for notification in self._arrived.feed(data):
                self._judge(notification.token, notification.identifier)

    def _judge(self, token, identifier):
        script = self.script
        if self._is_judged or script.end == REFUSED:
            self.discarded.append(token)
        elif script.verdict == REFUSE and len(self.accepted) == script.after:
            self.refused[token] = script.status
            self._say(encode_error(script.status, identifier))
        else:
            self.accepted.append(token)
        self._judge_if_due(identifier)

    def _judge_if_due(self, last):
        script = self.script
        if self._is_judged:
            return
        if script.end == REFUSED:
            if self.discarded or not script.after:
                self._say(b"")
        elif len(self.accepted) != script.after:
            pass
        elif script.verdict in (SHUTDOWN, STRANGER):
            self._say(encode_error(10 if script.verdict == SHUTDOWN else 8,
                                   last + 0x7F000000 * (script.verdict == STRANGER)))
        elif script.verdict is None:
            self._say(b"")

    def _say(self, frame):
        script = self.script
        self._is_judged = True
        when = self._arrives_at + script.delay
        for start in range(0, len(frame), script.cut):
            self._events.append((when, frame[start:start + script.cut]))
            when += 1
        end = {LOSS: ConnectionLost("by script"), REFUSED: CertificateRefused("by script")}
        if script.end is not None or not frame:
            self._events.append((when, end.get(script.end, b"")))


class Clock(object):
    now = 100.0


class Shell(object):
    """Does what a sender says, with gateways of the scripts.

    :ivar results: those that were handed out, in order, and those that came late.
    """

    def __init__(self, scripts, buffer_size, deadline=None, connects=100):
        self.clock = Clock()
        self.gateways, self.idle = [], []
        self.results, self.late = [], []
        self.is_refused = False
        self._scripts, self._connects = list(scripts), connects
        self._gateway = None
        self._timing = Timing(10, buffer_size, WRITE_TIMEOUT, 2048, 20, TAIL)
        self.sender = BinarySender(self._timing)
        self.sender.deadline = None if deadline is None else self.clock.now + deadline

    def send_many(self, plan, leave_after=None):
        """Send messages that come after so many seconds each; leave after so many results."""
        sender = self.sender
        for seconds, message in plan:
            self._pass_time(seconds)
            sender.add(message, seconds)
            if sender.has_enough_output or sender.is_due(self.clock.now):
                self._advance(False)
            if self._hand_out(leave_after) or self.is_refused:
                break
        # Nothing can be done about the time that the messages take to come.
        latest = max(self.clock.now, self.sender.deadline or 0)
        has_left = self._hand_out(leave_after)
        while not (has_left or sender.is_empty):
            self._advance(True)
            has_left = self._hand_out(leave_after)
        assert self.sender.deadline is None or self.clock.now <= latest + SLOW
        sender.close()
        if self._gateway is not None and not self._gateway.stream.is_over:
            self.idle.append(self._gateway)

    def _hand_out(self, leave_after):
        for result in self.sender.results():
            self.results.append(result)
            if not (result.errors or result.needs_retry() or result.failed):
                self._see_arrived(result.message.tokens)
            self._see_let_in(result.unknown)
            if len(self.results) == leave_after:
                break
        return len(self.results) == leave_after

    def _see_arrived(self, tokens):
        """Silence proves nothing as long as something has not reached the gateway's system."""
        for token in tokens:
            octets = octets_of(token)
            gateway = [one for one in self.gateways if octets in one.sent][-1]
            assert octets in gateway.accepted + gateway.discarded + list(gateway.refused)

    def _see_let_in(self, tokens):
        """What nobody let in is not unknown, unless that is found out only later."""
        for token in tokens:
            gateway = [one for one in self.gateways if octets_of(token) in one.sent][-1]
            assert not gateway.stream.is_refused

    def _advance(self, is_last):
        try:
            self._check_time()
            while self.sender.has_output:
                self._write()
            until = self.sender.wait_until() if is_last else None
            if until is None and self.sender.is_due(self.clock.now):
                until = self.clock.now
            if until is not None and self._gateway is not None:
                self._listen(until)
        except Refused:
            self.is_refused = True
            self._gateway = None
            self.sender.no_stream()

    def _write(self):
        if self._gateway is None:
            if len(self.gateways) >= self._connects:
                raise Refused()
            self._gateway = Gateway(
                self._scripts.pop(0) if self._scripts else HEALTHY, self.clock)
            self.gateways.append(self._gateway)
            self.sender.stream = self._gateway.stream
        gateway, data = self._gateway, self.sender.next_write()
        if not data:
            return
        error = gateway.write(data)
        if error is None:
            self.sender.written(len(data), self.clock.now)
            self._look()
        else:
            gateway.stream.write_failed(error)
            until = self.clock.now + TAIL
            self._listen_to(gateway, until if self.sender.deadline is None
                            else min(until, self.sender.deadline))
            gateway.stream.end(error)
        self._leave_if_over()
        self._check_time()

    def _check_time(self):
        if self.sender.has_expired(self.clock.now):
            if self._gateway is not None:
                self._listen(self.clock.now)
            self.sender.give_up()

    def _look(self):
        self._listen_to(self._gateway, self.clock.now)

    def _listen(self, until):
        self._listen_to(self._gateway, until)
        self.sender.silent(until, self._gateway.unacknowledged())
        self._leave_if_over()

    def _listen_to(self, gateway, until):
        """Take in what comes until then, and let the time pass."""
        stream = gateway.stream
        while not stream.is_over:
            event = gateway.take_event()
            if isinstance(event, bytes):
                stream.received(event)
            elif event is not None:
                stream.end(event)
            else:
                when = gateway.next_time()
                if when is None or when > until:
                    self._pass_time(until - self.clock.now)
                    stream.silent(self.clock.now, TAIL)
                    break
                self._pass_time(when - self.clock.now)
        self.late += stream.take_late()

    def _pass_time(self, seconds):
        self.clock.now += max(0, seconds)

    def _leave_if_over(self):
        gateway = self._gateway
        if gateway is not None and gateway.stream.is_over:
            self._gateway = None
            self.late += gateway.stream.take_late()
            if gateway.stream.is_refused:
                raise Refused()
            self.sender.leave_stream()

    def finish(self):
        """Hear what idle connections still say."""
        for gateway in self.idle:
            self._listen_to(gateway, self.clock.now + 1000)


class Refused(Exception):
    """No connection can be had, or the gateway refuses our certificate."""


def octets_of(token):
    return bytes(bytearray.fromhex(token))


def text_of(octets):
    return hexlify(octets).decode("ascii")


def tokens_of(message):
    return [] if message is None else list(message.tokens)


def check(shell, messages, leaves=False):
    """Compare what is said of each token with what the gateways know."""
    assert [one.message for one in shell.results] == messages[:len(shell.results)]
    if not shell.results and shell.is_refused:
        # There is nothing to report but the exception.
        assert not any(gateway.accepted for gateway in shell.gateways)
        return
    if shell.is_refused:
        assert any(gateway.sent for gateway in shell.gateways), "nothing was sent, but reported"
    assert leaves or shell.is_refused or len(shell.results) == len(messages)
    said = dict((id(one.message), one) for one in shell.results)
    for late in shell.late:
        before = said.get(id(late.message))
        assert before is None and leaves or not (before.errors or before.needs_retry())
        carriers = [one for one in shell.gateways for token in late.message.tokens
                    if octets_of(token) in one.sent]
        assert leaves or carriers[-1].script.stuck + carriers[-1].script.delay >= TAIL, (
            "it was taken for delivered too early")
        said[id(late.message)] = late
    told = set(token for one in said.values() for token in one.message.tokens)
    for gateway in shell.idle:
        if gateway.stream.response is not None:
            assert told.issuperset(map(text_of, gateway.discarded + list(gateway.refused))), (
                "nobody was told of a message whose result was not waited for")
    for message in messages:
        if id(message) in said:
            for index, token in enumerate(message.tokens):
                _check_token(shell, said[id(message)], index, token)


def _check_token(shell, result, index, token):
    octets = octets_of(token)
    carriers = [one for one in shell.gateways if octets in one.sent]
    acceptors = [one for one in carriers if octets in one.accepted]
    refusers = [one for one in carriers if octets in one.refused]
    places = [token in result.failed, token in tokens_of(result.retry()),
              token in result.undelivered]
    assert sum(places) <= 1
    assert len(acceptors) <= 1, "it was accepted twice"
    if places[0]:
        assert refusers[-1].refused[octets] in BAD_TOKEN and not acceptors
    elif places[2]:
        assert set(code for code, _ in result.errors) & set(WHOLE_MESSAGE) and not acceptors
    elif token in result.unknown:
        assert result.errors == [(None, "Unknown")]
    elif places[1]:
        assert not acceptors, "it is to be sent again although it was accepted"
    elif not acceptors:
        # The gateway was silent for as long as success takes, and could say nothing later.
        last = carriers[-1]
        assert last.stream.response is None
        assert last.script.stuck + last.script.delay >= TAIL or last.has_failed_write


def often(usual, *others):
    """Return a strategy that draws one value three times as often as all the others together."""
    return st.sampled_from([usual] * 3 * len(others) + list(others))


scripts = st.lists(st.builds(
    Script, after=st.integers(0, 8), delay=st.sampled_from([0, 1, 2.5, 10]),
    verdict=st.sampled_from([REFUSE, REFUSE, REFUSE, SHUTDOWN, STRANGER, SILENCE, None]),
    status=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 128, 255]),
    cut=st.sampled_from([6, 6, 4, 1]), end=often(END, LOSS, None, REFUSED),
    write_limit=often(None, 0, 1, 3), stuck=often(0, 1, 4),
    pace=st.sampled_from([0, 0, SLOW])), max_size=5)
plans = st.lists(st.tuples(st.sampled_from([0, 0, 1, 4]), st.integers(0, 5)), max_size=8)


@examples(400)
@given(scripts, plans, st.sampled_from([1, 100, 2048]), often(None, 1, 3.5, 9), often(100, 1, 2),
       often(None, 1, 2))
def test_every_token_ends_in_exactly_one_outcome(
        scripts, plan, buffer_size, deadline, connects, leave_after):
    """Whatever gateways say, and whenever: it agrees with what they did."""
    messages, first = [], 0
    for _, size in plan:
        messages.append(Message(["%08x" % number for number in range(first, first + size)],
                                payload="{}"))
        first += size
    shell = Shell(scripts, buffer_size, deadline, connects)
    shell.send_many(zip([seconds for seconds, _ in plan], messages), leave_after)
    shell.finish()
    check(shell, messages, leave_after is not None)


def numbered(*sizes):
    """Return messages to so many tokens each."""
    tokens = ["%08x" % number for number in range(sum(sizes))]
    return [Message([tokens.pop(0) for _ in range(size)], payload="{}") for size in sizes]


def test_what_is_said_of_messages_without_a_result_is_told_late():
    """A caller who leaves before the end hears of what was refused."""
    messages = numbered(1, 3)
    shell = Shell([HEALTHY._replace(verdict=REFUSE, after=2, delay=10)], 2048)
    shell.send_many(zip([0, 4], messages), leave_after=1)
    shell.finish()
    assert [one.message for one in shell.results] == messages[:1]
    assert [list(late.failed) for late in shell.late] == [messages[1].tokens[1:2]]


def test_what_is_said_of_messages_that_were_given_up_without_a_result_is_told_late():
    """A caller who leaves at the end of the time hears of them as well; of the result, once."""
    for accepted, is_named in (0, False), (1, True):
        messages = numbered(1, 1)
        shell = Shell([HEALTHY._replace(verdict=REFUSE, after=accepted, delay=2.5)], 1, 2)
        shell.send_many([(0, message) for message in messages], leave_after=1)
        shell.finish()
        assert [one.unknown for one in shell.results] == [messages[0].tokens]
        assert [one.message for one in shell.late] == messages[1:]
        assert [list(one.failed) for one in shell.late] == [messages[1].tokens * is_named]
        check(shell, messages, True)


def test_what_was_told_to_be_unknown_may_turn_out_to_have_been_let_in_by_nobody():
    """The certificate is refused while the caller sees to the next message."""
    messages = numbered(2, 1)
    shell = Shell([HEALTHY._replace(end=REFUSED, after=1, delay=1, pace=SLOW)], 1, 1)
    shell.send_many(zip([0, 1], messages))
    assert [one.unknown for one in shell.results] == [messages[0].tokens, []]
    assert shell.gateways[0].stream.is_refused
    check(shell, messages)


def test_what_is_written_again_is_judged_by_when_that_was():
    """The silence after the first time says nothing: all of that was thrown away."""
    messages = numbered(1, 1, 4, 4)
    # What fails over the second connection is the write that the third message ends with.
    refuse = HEALTHY._replace(verdict=REFUSE, delay=1)
    shell = Shell([refuse, refuse._replace(write_limit=5), HEALTHY._replace(pace=2)], 1, 8)
    shell.send_many((0, message) for message in messages)
    assert [list(result.failed) for result in shell.results] == [
        messages[0].tokens, messages[1].tokens, [], []]
    assert [result.unknown for result in shell.results] == [[], [], messages[2].tokens[:3], []]
    check(shell, messages)


def test_a_frame_about_a_message_that_is_forgotten_discards_all_that_is_known():
    """The gateway is not shutting down: what it has thrown away goes out over another connection.
    """
    clock = Clock()
    shell = Shell([], 2048)
    gateway = Gateway(HEALTHY, clock)
    gateway.stream.ledger = Ledger(keep_owners=1)
    messages = [Message("%08x" % number, payload="{}") for number in range(4)]
    shell.gateways.append(gateway)
    shell.clock, shell._gateway, shell.sender.stream = clock, gateway, gateway.stream
    shell.send_many([(10, message) for message in messages[:3]])
    del shell.idle[:]
    shell.sender = BinarySender(Timing(10, 2048, WRITE_TIMEOUT, 2048, 20, TAIL))
    shell.sender.stream = gateway.stream
    gateway._events.append((0, encode_error(8, 1)))
    shell.send_many([(0, messages[3])])
    assert [tokens_of(late.retry()) for late in shell.late] == [messages[2].tokens]
    assert not any(result.needs_retry() for result in shell.results)
    assert [one.accepted[-1] for one in shell.gateways] == [octets_of("00000003")] * 2


@pytest.mark.parametrize("state", sorted(states.TRANSITIONS))
def test_a_message_is_always_in_one_of_the_states(state):
    """Whatever happens to it: the table has a row for where it leads, and for nothing else."""
    events = [states.WRITE, states.CONFIRM, states.NAME, states.DISCARD, states.LOSE,
              states.REPEAT, states.GIVE_UP, states.LEAVE]
    assert set(states.TRANSITIONS[state]) <= set(events)
    for event in events:
        pending = states.PendingMessage(Message("00", alert="x"))
        pending.state = state
        pending.apply(event)
        assert pending.state == states.TRANSITIONS[state].get(event, state)
        assert pending.state in states.TRANSITIONS
        # What was decided stays decided, but for a connection that had been dead before, and for a
        # caller who has left.
        assert pending.state in states.DECIDED or state not in states.DECIDED or (
            event in (states.REPEAT, states.LEAVE))
