"""A model of Apple's gateway as a back-end, and what a client may say about each token.

It parses what is written to it and follows a script for each connection: accept so many
notifications, then refuse one, shut down, hang up, talk nonsense, break in the middle of a write,
and tell the client at once or much later. What it accepted, refused and threw away is its
record; what the client says of each token is compared with that, one rule for each assertion of
:func:`check`. Time does not pass: where the gateway is silent, a read times out at once.
"""

from __future__ import absolute_import, division, print_function

import functools
import threading
import traceback
from collections import namedtuple

from apnsclient import events
from apnsclient.apns import APNs, Message
from apnsclient.backends import BaseBackend, BaseConnection
from apnsclient.backends.dummy import Certificate
from apnsclient.errors import ConnectError, ConnectionLost, Timeout
from apnsclient.protocols.binary import NotificationParser, encode_error
from apnsclient.transport import Session
from observer_support import Notes, count_results

#: No scenario here needs nearly as many connections.
MOST_CONNECTIONS = 60
#: Nor nearly as many reads and writes.
MOST_STEPS = 5000
#: Statuses that concern the whole message.
WHOLE_MESSAGE = (3, 4, 6, 7)
#: Statuses that the reported token is given up for.
BAD_TOKEN = (2, 5, 8)

REFUSE, SHUTDOWN, CLOSE, RESET, GARBAGE, STRANGER = VERDICTS = (
    "refuse", "shutdown", "close", "reset", "garbage", "stranger")
#: It names a notification that it has not seen yet. Once that was sent it cannot be told from a
#: refusal, so that this one is not among those that chance combines.
AHEAD = "ahead"

_Fields = namedtuple("Script", "refuses_connection verdict after status hold cut shuts_writing "
                               "write_limit keeps_frame idle")
_Fields.__new__.__defaults__ = (False, None, 0, 8, 0, 64, False, None, True, None)


class Script(_Fields):
    """How one connection goes; every default is that of a healthy one.

    refuses_connection -- there is no connection at all.
    verdict, after -- what happens once so many notifications were accepted (None: nothing).
    status -- status code of the error frame.
    hold -- how many more reads and writes it takes until the client can notice.
    cut -- how many bytes are read at a time.
    shuts_writing -- whether writing fails once the client could have noticed.
    write_limit -- how many bytes go through before a write fails (None: any number).
    keeps_frame -- whether the error frame can be read after a write has failed.
    idle -- how it dies when it is in the pool: "closed", noticed by closed(); "peek", by peek();
    "write", by the first write; "swallow", by the read after a write that seems to work; or None.
    """

    __slots__ = ()


HEALTHY = Script()


class Endless(BaseException):
    """The client does more than there is reason for. It must not mistake this for a failed IO."""


def noting_violations(method):
    """Keep what the model itself finds wrong: the client would take it for a failure of IO."""
    @functools.wraps(method)
    def call(self, *arguments):
        try:
            return method(self, *arguments)
        except (ConnectionLost, Timeout):
            raise
        except Exception:
            self.gateway.violations.append(traceback.format_exc())
            raise
    return call


class GatewayConnection(BaseConnection):
    """One connection, with Apple's side of it.

    :param gateway: the :class:`Gateway` that has the script and the clock.
    """

    touches = 0

    def __init__(self, address, certificate, gateway, script):
        super(GatewayConnection, self).__init__(address, certificate)
        self.gateway = gateway
        self.script = script
        self.parser = NotificationParser()
        self.writes = 0
        self.written = 0
        self.accepted = []
        self.discarded = []
        self.arrived = set()
        self.named = None
        self.judged_at = None
        self.input = b""
        self.frame_seen_at = None
        self.told_at = None
        self.failed_in_first_write = False
        self.is_closed = False
        self._judge(None)

    # What the pool does.

    def touch(self):
        """Called by the constructor, and then for every way into the pool and out of it."""
        super(GatewayConnection, self).touch()
        self.touches += 1
        self.writes_in_use = 0
        if self.touches > 1 and self.script.idle is not None:
            # What could have been read dies with the connection.
            self.input = b""

    @property
    def uses(self):
        return 1 + self.touches // 2

    # What the client does.

    @noting_violations
    def reset(self):
        self._check_open()

    @noting_violations
    def peek(self, size):
        self._check_open()
        self.gateway.tick()
        if self._is_dead("closed", "peek"):
            return self._tell(b"")
        if self._is_dead("write", "swallow") or not self._is_visible():
            return None
        return self._arrive(size, b"")

    @noting_violations
    def read(self, size, timeout):
        self._check_open()
        assert size > 0 and timeout > 0
        self.gateway.tick()
        if self._is_dead("closed", "peek", "write", "swallow"):
            return self._tell(None)
        if not self._is_visible():
            raise Timeout("silence")
        return self._arrive(size, None)

    @noting_violations
    def write(self, data, timeout):
        self._check_open()
        assert data and timeout > 0
        self.gateway.tick()
        self.writes += 1
        self.writes_in_use += 1
        if self._is_dead("closed", "peek", "write"):
            self._fail_write(b"")
        if self._is_dead("swallow"):
            self._throw_away(data)
            return
        if self.script.shuts_writing and self._is_visible():
            self._fail_write(b"")
        limit = self.script.write_limit
        if limit is not None and self.written + len(data) > limit:
            self._fail_write(data[:max(0, limit - self.written)])
        self._deliver(data)

    def close(self):
        self.is_closed = True

    def closed(self):
        if self.is_closed or not self.gateway.can_detect_close:
            return self.is_closed
        return self._is_dead("closed") or (self._is_visible() and not self.input)

    # What the gateway does.

    def _check_open(self):
        assert not self.is_closed, "a closed connection was used"

    def _is_dead(self, *ways):
        return self.uses > 1 and self.script.idle in ways

    def _is_visible(self):
        return (self.judged_at is not None
                and self.gateway.now - self.judged_at > self.script.hold)

    def _tell(self, response):
        """The client learns that the connection is over."""
        if self.told_at is None:
            self.told_at = self.gateway.now
        return response

    def _arrive(self, size, at_end):
        if not self.input:
            self._tell(None)
            if self.script.verdict == RESET:
                raise ConnectionLost("reset")
            return at_end
        size = min(size, self.script.cut)
        data, self.input = self.input[:size], self.input[size:]
        if not self.input:
            self._tell(None)
            self.frame_seen_at = self.gateway.now
        return data

    def _fail_write(self, taken):
        self._deliver(taken)
        self._tell(None)
        if self.uses > 1 and self.writes_in_use == 1:
            self.failed_in_first_write = True
        if self.judged_at is None or not self.script.keeps_frame:
            self.input = b""
        self.judged_at = -1000
        raise ConnectionLost("broken pipe")

    def _deliver(self, data):
        self.written += len(data)
        for notification in self.parser.feed(data):
            token = notification.token
            assert token not in self.arrived, "a token went twice over one connection"
            self.arrived.add(token)
            if self.judged_at is not None:
                self.discarded.append(token)
                if notification.identifier == self.named:
                    self.gateway.refused[token] = self.script.status
            elif self.script.verdict == REFUSE and len(self.accepted) == self.script.after:
                self.discarded.append(token)
                self.gateway.refused[token] = self.script.status
                self._end(encode_error(self.script.status, notification.identifier))
            else:
                self.accepted.append(token)
                self._judge(notification.identifier)
        assert self.parser.error is None

    def _throw_away(self, data):
        tokens = [notification.token for notification in self.parser.feed(data)]
        self.arrived.update(tokens)
        self.discarded += tokens

    def _judge(self, last_identifier):
        """See whether the end has come after an accepted notification."""
        if len(self.accepted) < self.script.after:
            return
        last = last_identifier or 0
        status = self.script.status
        if self.script.verdict == SHUTDOWN:
            self._end(encode_error(10, last))
        elif self.script.verdict in (CLOSE, RESET):
            self._end(b"")
        elif self.script.verdict == GARBAGE:
            self._end(b"\x09garbage")
        elif self.script.verdict == STRANGER:
            self._end(encode_error(status, (last + 0x7F000000) % (1 << 32)))
        elif self.script.verdict == AHEAD:
            self.named = last + 4
            self._end(encode_error(status, self.named))

    def _end(self, data):
        self.input = data
        self.judged_at = self.gateway.now

    @property
    def has_proved(self):
        """True if the client has read a truthful error frame."""
        return (self.frame_seen_at is not None and self.script.verdict in (REFUSE, SHUTDOWN))


class Gateway(BaseBackend):
    """Makes connections by a list of scripts; those after its end are healthy."""

    def __init__(self, scripts, can_detect_close=True, **options):
        super(Gateway, self).__init__(**options)
        self.scripts = scripts
        self.can_detect_close = can_detect_close
        self.attempts = 0
        self.connections = []
        self.refused = {}
        self.violations = []
        self.now = 0

    def tick(self):
        self.now += 1
        if self.now > MOST_STEPS:
            raise Endless()

    def get_certificate(self, cert_params):
        return Certificate(**cert_params)

    def create_lock(self):
        return threading.Lock()

    def get_new_connection(self, address, certificate, timeout=None):
        number = self.attempts
        self.attempts += 1
        if number >= MOST_CONNECTIONS:
            raise Endless()
        script = self.scripts[number] if number < len(self.scripts) else HEALTHY
        if script.refuses_connection:
            raise ConnectError("refused by script")
        connection = GatewayConnection(address, certificate, self, script)
        self.connections.append(connection)
        return connection

    def accepted(self):
        """All tokens that were accepted, in order, as hexadecimal."""
        return [text_of(token) for one in self.connections for token in one.accepted]


class Claims(object):
    """What the client said of one message."""

    def __init__(self, message):
        self.message = message
        self.result = None
        self.at = None
        self.late = []
        self.is_raised = False

    def all(self):
        return ([self.result] if self.result is not None else []) + self.late

    def failed(self):
        return set(token for result in self.all() for token in result.failed)

    def retried(self):
        return set(token for result in self.all() if result.needs_retry()
                   for token in result.retry().tokens)

    def is_refused_as_a_whole(self):
        return any(code in WHOLE_MESSAGE for result in self.all() for code, _ in result.errors)


class Scenario(object):
    """A session with a gateway, and what the client claims about each message."""

    def __init__(self, scripts, can_detect_close=True, tail=3, buffer_size=2048, pool_size=5,
                 use_cache_for_reconnects=True):
        self.gateway = Gateway(scripts, can_detect_close, pool_size=pool_size,
                               use_cache_for_reconnects=use_cache_for_reconnects)
        self.session = Session(self.gateway, read_tail_timeout=tail, write_buffer_size=buffer_size,
                               on_late_result=self._late, observer=Notes())
        self.apns = APNs(self.session.get_connection(("gateway", 1), cert_string="x"))
        self.claims = []

    def _late(self, result):
        # It may come just before send() returns: the last look is when the connection is closed.
        for claims in self.claims:
            if claims.message is result.message:
                claims.late.append(result)
                return
        self.gateway.violations.append("a late result for a message that was not sent")

    def send(self, message):
        claims = Claims(message)
        self.claims.append(claims)
        try:
            claims.result = self.apns.send(message)
        except ConnectError:
            claims.is_raised = True
        else:
            assert claims.result.message is message
        claims.at = self.gateway.now

    def send_many(self, messages, is_at_hand=False):
        taken = []

        def take():
            for message in messages:
                taken.append(Claims(message))
                self.claims.append(taken[-1])
                yield message

        class AtHand(list):
            def __iter__(self):
                return take()

        count = 0
        try:
            for result in self.apns.send_many(AtHand(messages) if is_at_hand else take()):
                claims = taken[count]
                count += 1
                assert result.message is claims.message, "results are out of order"
                claims.result = result
                claims.at = self.gateway.now
        except ConnectError:
            for claims in taken[count:]:
                claims.is_raised = True
                claims.at = self.gateway.now
        else:
            assert count == len(messages), "there is not one result for each message"

    def finish(self):
        """Give late frames of pooled connections a last chance, and check everything."""
        self.session.shutdown()
        assert not self.gateway.violations, "\n".join(self.gateway.violations)
        assert all(one.is_closed for one in self.gateway.connections), "a connection stayed open"
        for claims in self.claims:
            check(self.gateway, claims)
        self._check_events()
        return self

    def _check_events(self):
        """See that an observer was told of each outcome once, and of what came late."""
        notes = self.session._shared.observation._observer
        results = [claims.result for claims in self.claims if claims.result is not None]
        assert notes.outcomes() == count_results(results)
        assert sum(event.messages for event in notes.of(events.LateResults)) == sum(
            len(claims.late) for claims in self.claims)
        opened = len(notes.of(events.ConnectionOpened))
        assert opened == len(self.gateway.connections)
        # What is dead in the pool is closed there.
        assert len(notes.of(events.ConnectionClosed)) <= opened


def check(gateway, claims):
    """Compare what the client says of a message with what the gateway knows."""
    for result in claims.all():
        assert result.needs_retry() == (result.retry() is not None)
        assert not set(result.failed) & set(result.retry().tokens if result.retry() else ())
    if claims.late:
        assert not (claims.result.errors or claims.result.needs_retry()), (
            "a late result for a message whose result was not a success")
    for late in claims.late:
        assert late.errors or late.needs_retry() or (
            set(late.failed) - set(claims.result.failed)), "a late result that says nothing"
    for token in claims.message.tokens:
        if token is None or token.startswith("z"):
            is_failed = token in claims.failed()
            assert (is_failed or token in claims.retried() or claims.is_raised
                    or claims.is_refused_as_a_whole())
            if is_failed:
                assert claims.all()[-1].failed[token][0] == (2 if token is None else 8)
        else:
            _check_token(gateway, claims, token)


def _check_token(gateway, claims, token):
    octets = _octets(token)
    carriers = [one for one in gateway.connections if octets in one.arrived]
    acceptors = [one for one in carriers if octets in one.accepted]
    proved = [one for one in acceptors if one.has_proved]
    is_failed, is_retried = token in claims.failed(), token in claims.retried()

    for one in proved:
        assert one is carriers[-1], "a token went out again although it was proved to be accepted"
    for one in acceptors[:-1]:
        assert one.failed_in_first_write and not gateway.can_detect_close, (
            "a token went out again although it may have been accepted")
    if is_failed:
        assert gateway.refused.get(octets) in BAD_TOKEN, "a token is blamed that was not refused"
        assert not proved
    if is_retried:
        assert not proved, "a token that is proved to be accepted is to be retried"
    if claims.is_raised:
        assert all(one.failed_in_first_write for one in acceptors), (
            "an exception instead of a result for a message that was sent")
    elif not (is_failed or is_retried or claims.is_refused_as_a_whole() or acceptors):
        assert carriers, "a token was not sent, and nobody was told"
        last = carriers[-1]
        assert last.frame_seen_at is None or last.script.verdict in (GARBAGE, STRANGER), (
            "a token was thrown away, the client knew, and nobody was told")
        assert last.told_at is None or last.told_at > claims.at, (
            "a connection failed before the result, and a token on it counts as delivered")


def _octets(token):
    return bytes(bytearray.fromhex(token))


def text_of(octets):
    return "".join("%02x" % octet for octet in bytearray(octets))


def numbered(count, first=0):
    """Device tokens that differ."""
    return ["%08x" % (first + index) for index in range(count)]


def message(count, first=0, **options):
    return Message(numbered(count, first), alert="x", **options)
