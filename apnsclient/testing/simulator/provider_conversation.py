"""One connection to a service of HTTP/2 as policy and script have it, without transport."""

from __future__ import absolute_import, division, print_function

import json

from ..._compat import MYPY
from ...protocols.http2 import frames
from ...protocols.http2.server import ServerConnection
from .exchange import DISCARDED, REFUSED, RESET, UNANSWERED, ProviderExchange
from .provider_limits import ErrorLimits, OneApp, Throttle
from .provider_policy import Verdict
from .provider_responses import ResponseWriter
from .provider_script import GOAWAY, SETTING_NAMES, SILENT
from .request_script import RequestScript
from .script import GARBAGE

if MYPY:
    from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

    from ...protocols.http2.server import Request
    from .connection_facts import ConnectionFacts
    from .interventions import Interventions
    from .provider_head import Head, HeadReader
    from .provider_policy import Judge
    from .provider_responses import Ids
    from .provider_script import ProviderScript

    Later = Callable[[Optional[float], Callable[[], Any]], Any]

__all__ = ["ProviderConversation"]

#: The settings that Apple has been seen to send.
SETTINGS = {
    frames.HEADER_TABLE_SIZE: 4096,
    frames.MAX_CONCURRENT_STREAMS: 1000,
    frames.INITIAL_WINDOW_SIZE: 65535,
    frames.MAX_FRAME_SIZE: 16384,
    frames.MAX_HEADER_LIST_SIZE: 8000,
}
_SETTINGS_BY_NUMBER = dict((number, name) for name, number in SETTING_NAMES.items())
_NO_INTERVENTION = RequestScript()
#: Streams that are allowed before a valid token has come.
_UNPROVEN_STREAMS = 1


class ProviderConversation(object):
    """One connection, from its beginning to its end.

    :param heads: :class:`.provider_head.HeadReader`.
    :param judge: decides about a request, like :meth:`.provider_policy.ProviderPolicy.judge`.
    :param caller: who calls, see there.
    :param script: :class:`.provider_script.ProviderScript` of this connection.
    :param ids: :class:`.provider_responses.Ids`.
    :param is_sandbox: True adds the apns-unique-id that only the sandbox sends.
    :param later: called with seconds and a function, has the function called after that time; None
        in place of the seconds holds it back until it is released.
    :param facts: what is known of the connection (:class:`.connection_facts.ConnectionFacts`).
    :param numbers: iterator of the numbers of exchanges.
    :param clock: returns the time in seconds since 1970.
    :param interventions: what is done to requests from outside
        (:class:`.interventions.Interventions`).
    :param page_url: see :class:`.provider_responses.ResponseWriter`.

    :ivar facts: the same as the parameter.
    :ivar ending: in which way the connection has to end now, None as long as it goes on.
    """

    def __init__(self, heads, judge, caller, script, ids, is_sandbox, later, facts, numbers,
                 clock, interventions, page_url=None):
        # type: (HeadReader, Judge, Any, ProviderScript, Ids, bool, Later, ConnectionFacts, Iterator[int], Callable[[], float], Interventions, Optional[bytes]) -> None  # noqa: E501
        self._heads, self._caller = heads, caller
        self._judge = OneApp(judge) if script.one_app else judge
        self._script, self._later = script, later
        self.facts, self._numbers, self._clock = facts, numbers, clock
        self._settings = dict(SETTINGS)  # type: Dict[int, int]
        self._settings.update(dict(script.settings))
        self._interventions = interventions
        if interventions.most_streams is not None:
            self._settings[frames.MAX_CONCURRENT_STREAMS] = interventions.most_streams
        self._is_proven = caller.is_proven
        first = dict(self._settings)
        if not self._is_proven:
            first[frames.MAX_CONCURRENT_STREAMS] = _unproven(
                first[frames.MAX_CONCURRENT_STREAMS])
        self._connection = ServerConnection(
            sorted(first.items()), script.window_step, script.compressed)
        self._responses = ResponseWriter(self._connection, script, ids, is_sandbox, page_url)
        self.ending = None  # type: Optional[str]
        self._count = 0
        self._kind, self._end_at = script.ending or ("", -1)
        self._last = 0
        self._given, self._resets = dict(script.response_at), dict(script.reset_at)
        self._delays, self._changes = dict(script.delay_at), dict(script.settings_at)
        self._late = []  # type: List[Callable[[], Any]]
        self._errors = ErrorLimits(script, self._limit_streams, self._hang_up)
        self._throttle = Throttle(self._connection) if script.throttle else None
        #: Whether requests are taken and responded to without a look at the script.
        self._is_plain = script == type(script)(settings=dict(script.settings))
        self._is_silent = False
        self._last_words = b""
        #: Those that have their response, until they are taken, and those that are to get one.
        self._ended = []  # type: List[ProviderExchange]
        self._has_events = self._is_broken = False
        self._pending = []  # type: List[ProviderExchange]

    def begin(self):
        # type: () -> None
        """Do what the script says of the beginning."""
        if self._script.warning_after == 0:
            self._warn()
        if self._end_at == 0:
            self._end()

    def receive(self, data):
        # type: (bytes) -> List[ProviderExchange]
        """Take bytes; return the requests that they completed, with their responses or without."""
        exchanges = []  # type: List[ProviderExchange]
        requests = self._connection.receive(data)
        self._note_refusals()
        if not requests:
            return exchanges
        if self._throttle is not None:
            self._throttle.arrived([request.stream for request in requests])
        now, facts, numbers = self._clock(), self.facts, self._numbers
        interventions = self._interventions
        for request in requests:
            path, head = self._heads.read(request)
            exchange = ProviderExchange(
                next(numbers), now, facts, request.stream, request.body, path, head)
            exchanges.append(exchange)
            if self.ending is not None and (self.ending != GOAWAY or request.stream > self._last):
                exchange.outcome = DISCARDED
                continue
            self._count += 1
            self._last = max(self._last, request.stream)
            if (self._is_plain and not interventions.is_active
                    and path[10:18] not in interventions.magic):
                verdict = self._judge(request, path, head, self._caller)
                exchange.is_processed = verdict.is_accepted
                self._responses.write_plain(now, exchange, verdict)
                self._ended.append(exchange)
            elif self._throttle is None or self._throttle.takes(request.stream):
                self._take(request, path, exchange)
            else:
                exchange.outcome = REFUSED
            if self._is_proven is not self._caller.is_proven:
                self._prove()
            if self._count == self._end_at:
                self._end()
        return exchanges

    def take_output(self):
        # type: () -> bytes
        """Return what is to be sent, once."""
        output = self._connection.take_output()
        if self._is_silent:
            output, self._last_words = self._last_words, b""
        return output

    def take_ended(self):
        # type: () -> List[ProviderExchange]
        """Return the exchanges that are complete, in the order of their responses, once."""
        ended, self._ended = self._ended, []
        return ended

    def take_news(self):
        # type: () -> bool
        """Return whether events have been added to the connection, once."""
        has_events, self._has_events = self._has_events, False
        return has_events

    def close(self):
        # type: () -> None
        """The connection is closed: what has no response gets none any more."""
        for exchange in self._pending:
            exchange.outcome = UNANSWERED
        self._ended += self._pending
        self._pending = []

    @property
    def has_failed(self):
        # type: () -> bool
        """True if the client has broken a rule of HTTP/2 that ends the connection."""
        return self._connection.error is not None

    @property
    def is_drained(self):
        # type: () -> bool
        """True if no response is missing after GOAWAY, but for those that will never come."""
        return not self._late and not self._connection.needs_response

    def goaway(self, last=None, code=frames.NO_ERROR, reason=None, timestamp=None):
        # type: (Optional[int], int, Optional[str], Optional[int]) -> None
        """Send GOAWAY, and process no request above its last stream."""
        body = {"reason": reason} if reason else {}  # type: Dict[str, Any]
        if timestamp is not None:
            body["timestamp"] = timestamp
        debug = json.dumps(body, sort_keys=True).encode("ascii") if body else b""
        self._last = self._last if last is None else last
        self._connection.goaway(self._last, code, debug)
        self._add_event("goaway", "GOAWAY%s, last stream %d" % (
            " (%s)" % reason if reason else "", self._last))
        self.ending = GOAWAY

    # One request.

    def _take(self, request, path, exchange):
        # type: (Request, bytes, ProviderExchange) -> None
        """Take a request on a connection with a script."""
        number, stream = self._count, request.stream
        own = self._interventions.take(exchange) or _NO_INTERVENTION
        code = self._resets.get(number) if own.reset is None else own.reset
        if code == frames.REFUSED_STREAM:
            exchange.outcome = REFUSED
            self._reset(stream, code)
        else:
            verdict = self._decide(request, path, exchange.head, own)
            exchange.is_processed = verdict.is_accepted
            if code is not None:
                exchange.outcome = RESET
                self._reset(stream, code)
            elif own.no_response or number in self._script.no_response_at:
                exchange.outcome = UNANSWERED
                self._connection.abandon(stream)
            else:
                self._pending.append(exchange)
                self._schedule(lambda: self._respond(exchange, verdict), own)
        if number in self._changes or own.settings:
            self._change_settings(own.settings or self._changes[number])
        if own.goaway:
            self._hang_up()
        if number == self._script.warning_after:
            self._warn()

    def _decide(self, request, path, head, own):
        # type: (Request, bytes, Head, RequestScript) -> Verdict
        """Return the verdict on a request: that of a script, or what it deserves."""
        given = self._given.get(self._count) if own.response is None else own.response
        if given is None:
            return self._judge(request, path, head, self._caller)
        return Verdict(given[0], given[1], None, False, None)

    def _schedule(self, respond, own):
        # type: (Callable[[], Any], RequestScript) -> None
        number = self._count
        delay = (own.delay or self._delays.get(number, self._script.delay)
                 or self._interventions.delay)
        if self._end_at - self._script.late < number <= self._end_at:
            self._late.append(respond)
        elif own.hold or self._script.hold:
            self._later(None, respond)
        elif delay:
            self._later(delay, respond)
        else:
            respond()

    def _respond(self, exchange, verdict):
        # type: (ProviderExchange, Verdict) -> None
        if exchange not in self._pending:
            return  # The connection was closed meanwhile.
        self._pending.remove(exchange)
        self._ended.append(exchange)
        if not self._connection.is_open(exchange.stream):
            # A block that is not sent would change the table of compressed ones all the same.
            exchange.outcome = UNANSWERED
            return
        self._responses.write(self._clock(), exchange, verdict)
        self._errors.responded(verdict.status, verdict.reason)
        if self._throttle is not None:
            self._throttle.responded(
                verdict.status, self._settings[frames.MAX_CONCURRENT_STREAMS])

    def _reset(self, stream, code):
        # type: (int, int) -> None
        self._connection.reset(stream, code)
        self._add_event("reset", "RST_STREAM with code %d on stream %d" % (code, stream))

    def _add_event(self, kind, text):
        # type: (str, str) -> None
        self.facts.add_event(self._clock(), kind, text)
        self._has_events = True

    def _note_refusals(self):
        # type: () -> None
        """Write down what HTTP/2 forbade, and no exchange is made of."""
        for stream, code in self._connection.take_refusals():
            self._add_event("refused", "request on stream %d not taken: RST_STREAM with code %d"
                            % (stream, code))
        error = self._connection.error
        if error is not None and not self._is_broken:
            self._is_broken = True
            self._add_event("error", "GOAWAY with code %d: %s" % (error.code, error))

    # Limits of streams.

    def _prove(self):
        # type: () -> None
        """Allow for all streams, now that a valid token has come."""
        self._is_proven = True
        if self._throttle is None or not self._throttle.is_on:
            self._limit_streams(self._settings[frames.MAX_CONCURRENT_STREAMS])

    def _change_settings(self, settings):
        # type: (Sequence[Tuple[int, int]]) -> None
        self._connection.change_settings(settings)
        self._add_event("settings", "settings changed: %s" % ", ".join(
            "%s to %d" % (_SETTINGS_BY_NUMBER.get(number, number), value)
            for number, value in settings))

    def limit_streams(self):
        # type: () -> None
        """Send the limit of streams that :class:`.interventions.Interventions` has now."""
        most = self._interventions.most_streams
        if most is None:
            most = dict(self._script.settings).get(
                frames.MAX_CONCURRENT_STREAMS, SETTINGS[frames.MAX_CONCURRENT_STREAMS])
        self._limit_streams(most)

    def _limit_streams(self, most):
        # type: (int) -> None
        """Send a limit of streams; before a valid token has come, what it allows for until then."""
        before = _unproven(self._settings[frames.MAX_CONCURRENT_STREAMS])
        self._settings[frames.MAX_CONCURRENT_STREAMS] = most
        if not self._is_proven:
            if _unproven(most) != before:
                self._connection.change_settings((
                    (frames.MAX_CONCURRENT_STREAMS, _unproven(most)),))
        else:
            self._connection.change_settings(((frames.MAX_CONCURRENT_STREAMS, most),))
            self._add_event("settings", "limit of streams: %d" % most)

    # The end.

    def _warn(self):
        # type: () -> None
        self._connection.goaway(frames.LARGEST_STREAM, frames.NO_ERROR)
        self._add_event("goaway", "GOAWAY that allows for all streams")

    def _end(self):
        # type: () -> None
        if self._kind == GOAWAY:
            self._hang_up()
        elif self._kind == SILENT:
            self._last_words = self._connection.take_output()
            self._is_silent = True
        else:
            if self._kind == GARBAGE:
                self._connection.send_raw(self._script.garbage)
            self.ending = self._kind

    def _hang_up(self):
        # type: () -> None
        """Send GOAWAY, and end once all responses have been sent; without effect at the end."""
        if self.ending is not None:
            return
        script = self._script
        self.goaway(script.goaway_last, script.goaway_code, script.goaway_reason,
                    script.goaway_timestamp)
        if script.goaway_delay:
            self._later(script.goaway_delay, self._drain)
        else:
            self._drain()

    def _drain(self):
        # type: () -> None
        late, self._late = self._late, []
        for respond in late:
            respond()


def _unproven(most):
    # type: (int) -> int
    """Return the limit of streams before a valid token has come, for that of later."""
    return min(_UNPROVEN_STREAMS, most)
