"""What is said on one connection to the provider API: policy and script, apart from transport."""

from __future__ import absolute_import, division, print_function

import json
import os
from binascii import hexlify

from ..._compat import MYPY
from ...protocols.http2 import frames
from ...protocols.http2.headers import load_hpack
from ...protocols.http2.server import PLAIN, ServerConnection, Shape
from ...protocols.http2.server_headers import response_block
from .provider_policy import Verdict
from .provider_script import GOAWAY, SILENT
from .provider_throttle import ErrorLimits, OneApp, Throttle
from .script import GARBAGE

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from ...protocols.http2.server import Request
    from .provider_head import Head
    from .provider_policy import Push
    from .provider_script import ProviderScript

    Later = Callable[[Optional[float], Callable[[], Any]], Any]
    Judge = Callable[[Request, bytes, Head, Any], Verdict]

__all__ = ["Ids", "ProviderConversation"]

#: The settings that Apple has been seen to send.
SETTINGS = {
    frames.HEADER_TABLE_SIZE: 4096,
    frames.MAX_CONCURRENT_STREAMS: 1000,
    frames.INITIAL_WINDOW_SIZE: 65535,
    frames.MAX_FRAME_SIZE: 16384,
    frames.MAX_HEADER_LIST_SIZE: 8000,
}
#: Streams that are allowed before a valid token has come.
_UNPROVEN_STREAMS = 1

#: Frames that a client has to ignore: of an unknown type, an unknown setting, a priority.
_NOISE_KIND, _NOISE_SETTING = 0xFA, 0xFAFA
_TRAILERS = ((b"apns-trailer", b"end"),)
#: In the header of each response with a reason.
_JSON = (b"content-type", b"application/json")


class Ids(object):
    """Makes identifiers of notifications, the same for the whole simulator."""

    def __init__(self):
        # type: () -> None
        digits = hexlify(os.urandom(8))
        self._prefix = b"%s-%s-4%s-a%s-" % (digits[:8], digits[8:12], digits[12:15], digits[13:16])
        self._count = 0

    def new(self):
        # type: () -> bytes
        """Return another UUID in lower case."""
        self._count += 1
        return b"%s%012x" % (self._prefix, self._count)


class ProviderConversation(object):
    """One connection, from its beginning to its end.

    :param read_head: :meth:`.provider_policy.ProviderPolicy.read_head`.
    :param judge: decides about a request, like :meth:`.provider_policy.ProviderPolicy.judge`.
    :param caller: who calls, see there.
    :param script: :class:`.provider_script.ProviderScript` of this connection.
    :param ids: :class:`Ids`.
    :param is_sandbox: True adds the apns-unique-id that only the sandbox sends.
    :param later: called with seconds and a function, has the function called after that time; None
        instead of the seconds keeps it back until it is asked for.

    :ivar connection: :class:`ServerConnection`.
    :ivar ending: in which way the connection has to end now, None as long as it goes on.
    """

    def __init__(self, read_head, judge, caller, script, ids, is_sandbox, later):
        # type: (Callable[[Request], Tuple[bytes, Head]], Judge, Any, ProviderScript, Ids, bool, Later) -> None
        self._read_head, self._caller = read_head, caller
        self._judge = OneApp(judge) if script.one_app else judge
        self._script, self._ids, self._later = script, ids, later
        self._is_sandbox = is_sandbox
        self._settings = dict(SETTINGS)  # type: Dict[int, int]
        self._settings.update(dict(script.settings))
        self._is_proven = caller.is_proven
        first = dict(self._settings)
        if not self._is_proven:
            first[frames.MAX_CONCURRENT_STREAMS] = min(
                _UNPROVEN_STREAMS, first[frames.MAX_CONCURRENT_STREAMS])
        self.connection = ServerConnection(
            sorted(first.items()), script.window_step, script.compressed)
        self.ending = None  # type: Optional[str]
        self.count = 0
        self._kind, self._end_at = script.ending or ("", -1)
        self._last = 0
        self._answers, self._resets = dict(script.answer_at), dict(script.reset_at)
        self._delays, self._changes = dict(script.delay_at), dict(script.settings_at)
        self._late = []  # type: List[Callable[[], Any]]
        self._errors = ErrorLimits(script, self._limit_streams, self._hang_up)
        self._throttle = Throttle(self.connection) if script.throttle else None
        self._encoder = load_hpack().Encoder() if script.compressed else None
        self._shape = PLAIN
        if script.padding is not None or script.piece or script.split or script.trailers:
            self._shape = Shape(script.padding, script.piece, script.split,
                                _TRAILERS if script.trailers else ())
        #: Whether requests are taken and answered without a look at the script.
        self._is_plain = script == type(script)(settings=dict(script.settings))
        self._is_silent = False
        self._last_words = b""
        #: Errors since the last look: status, stream, reason, path, and header of the request.
        self.refused = []  # type: List[Tuple[int, int, Optional[str], bytes, Head]]

    def begin(self):
        # type: () -> None
        """Do what the script says of the beginning."""
        if self._script.warning_after == 0:
            self._warn()
        if self._end_at == 0:
            self._end()

    def receive(self, data):
        # type: (bytes) -> List[Push]
        """Take bytes; return what was accepted of what they asked for."""
        accepted = []  # type: List[Push]
        requests = self.connection.receive(data)
        if self._throttle is not None:
            self._throttle.arrived([request.stream for request in requests])
        for request in requests:
            if self.ending is not None and (self.ending != GOAWAY or request.stream > self._last):
                continue
            self.count += 1
            self._last = max(self._last, request.stream)
            path, head = self._read_head(request)
            if self._is_plain:
                verdict = self._judge(request, path, head, self._caller)
                if verdict.push is not None:
                    accepted.append(verdict.push)
                self._answer(request.stream, verdict, path, head)
            elif self._throttle is None or self._throttle.takes(request.stream):
                self._take(request, path, head, accepted)
            if self._is_proven is not self._caller.is_proven:
                self._prove()
            if self.count == self._end_at:
                self._end()
        return accepted

    def take_output(self):
        # type: () -> bytes
        """Return what is to be sent, once."""
        output = self.connection.take_output()
        if self._is_silent:
            output, self._last_words = self._last_words, b""
        return output

    @property
    def is_drained(self):
        # type: () -> bool
        """True if everything has been answered after GOAWAY."""
        return not self._late and not self.connection.open_streams

    def goaway(self, last=None, code=frames.NO_ERROR, reason=None, timestamp=None):
        # type: (Optional[int], int, Optional[str], Optional[int]) -> None
        """Send GOAWAY, and process no request above its last stream."""
        body = {"reason": reason} if reason else {}  # type: Dict[str, Any]
        if timestamp is not None:
            body["timestamp"] = timestamp
        debug = json.dumps(body, sort_keys=True).encode("ascii") if body else b""
        self._last = self._last if last is None else last
        self.connection.goaway(self._last, code, debug)
        self.ending = GOAWAY

    # One request.

    def _take(self, request, path, head, accepted):
        # type: (Request, bytes, Head, List[Push]) -> None
        """Take a request on a connection with a script."""
        number, stream = self.count, request.stream
        code = self._resets.get(number)
        if code == frames.REFUSED_STREAM:
            self.connection.reset(stream, code)
        else:
            answer = self._answers.get(number)
            if answer is None:
                verdict = self._judge(request, path, head, self._caller)
            else:
                verdict = Verdict(answer[0], answer[1], None, None, None)
            if verdict.push is not None:
                accepted.append(verdict.push)
            if code is not None:
                self.connection.reset(stream, code)
            elif number not in self._script.unanswered_at:
                self._schedule(lambda: self._answer(stream, verdict, path, head))
        if number in self._changes:
            self.connection.change_settings(self._changes[number])
        if number == self._script.warning_after:
            self._warn()

    def _schedule(self, answer):
        # type: (Callable[[], Any]) -> None
        number = self.count
        delay = self._delays.get(number, self._script.delay)
        if self._end_at - self._script.late < number <= self._end_at:
            self._late.append(answer)
        elif self._script.hold:
            self._later(None, answer)
        elif delay:
            self._later(delay, answer)
        else:
            answer()

    def _answer(self, stream, verdict, path, head):
        # type: (int, Verdict, bytes, Head) -> None
        fields, body = self._contents(verdict, head)
        if verdict.reason is not None or verdict.status >= 300:
            self.refused.append((verdict.status, stream, verdict.reason, path, head))
            body = _error_body(verdict)
            if body:
                fields.append(_JSON)
        if self._is_plain:
            self.connection.response(stream, response_block(verdict.status, fields), body)
            return
        if not self.connection.is_open(stream):
            # A block that is not sent would change the table of compressed ones all the same.
            return
        self._say_before_a_response(stream)
        if self._script.upper_case_ids:
            fields[0] = (fields[0][0], fields[0][1].upper())
        self.connection.response(stream, self._block(verdict.status, fields), body, self._shape)
        self._errors.answered(verdict.status, verdict.reason)
        if self._throttle is not None:
            self._throttle.answered(
                verdict.status, self._settings[frames.MAX_CONCURRENT_STREAMS])

    def _contents(self, verdict, head):
        # type: (Verdict, Head) -> Tuple[List[Tuple[bytes, bytes]], bytes]
        """Return the fields of a response, its identifier first, and its body if it succeeds."""
        name, echo = b"apns-id", head.echo
        if verdict.response is not None:
            name, echo = b"apns-request-id", head.request_echo
        fields = [(name, echo or self._ids.new())]
        # Of broadcasts, Apple's page has it in either environment.
        if verdict.push is not None and (self._is_sandbox or verdict.response is not None):
            fields.append((b"apns-unique-id", self._ids.new()))
        if verdict.response is None:
            return fields, b""
        return fields + list(verdict.response.fields), verdict.response.body

    def _block(self, status, fields):
        # type: (int, List[Tuple[bytes, bytes]]) -> bytes
        encoder = self._encoder
        if encoder is None:
            return response_block(status, fields)
        size = min(self.connection.peer_table_size, frames.DEFAULT_TABLE_SIZE)
        if encoder.header_table_size != size:
            encoder.header_table_size = size
        return bytes(encoder.encode([(b":status", str(status).encode("ascii"))] + fields))

    def _say_before_a_response(self, stream):
        # type: (int) -> None
        script, connection = self._script, self.connection
        for number in range(script.pings):
            connection.send_raw(frames.ping(b"%08x" % (number & 0xFFFFFFFF)))
        if script.noise:
            connection.send_raw(frames.frame(_NOISE_KIND, 0xFF, stream, b"noise"))
            connection.send_raw(frames.frame(frames.PRIORITY, 0, stream, b"\0\0\0\0\x10"))
            connection.change_settings(((_NOISE_SETTING, 1),))
        if script.interim:
            connection.inform(stream, self._block(103, []))

    def _prove(self):
        # type: () -> None
        """Allow for all streams, now that a valid token has come."""
        self._is_proven = True
        if self._throttle is None or not self._throttle.is_on:
            self._limit_streams(self._settings[frames.MAX_CONCURRENT_STREAMS])

    def _limit_streams(self, most):
        # type: (int) -> None
        """Tell the client of a limit of streams; before a valid token has come, keep it."""
        self._settings[frames.MAX_CONCURRENT_STREAMS] = most
        if self._is_proven:
            self.connection.change_settings(((frames.MAX_CONCURRENT_STREAMS, most),))

    # The end.

    def _warn(self):
        # type: () -> None
        self.connection.goaway(frames.LARGEST_STREAM, frames.NO_ERROR)

    def _end(self):
        # type: () -> None
        if self._kind == GOAWAY:
            self._hang_up()
        elif self._kind == SILENT:
            self._last_words = self.connection.take_output()
            self._is_silent = True
        else:
            if self._kind == GARBAGE:
                self.connection.send_raw(self._script.garbage)
            self.ending = self._kind

    def _hang_up(self):
        # type: () -> None
        """Send GOAWAY, and end once everything has been answered; without effect at the end."""
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
        for answer in late:
            answer()


def _error_body(verdict):
    # type: (Verdict) -> bytes
    if verdict.reason is None:
        return b""
    if verdict.timestamp is None:
        return b'{"reason":"%s"}' % verdict.reason.encode("ascii")
    return b'{"reason":"%s","timestamp":%d}' % (
        verdict.reason.encode("ascii"), verdict.timestamp * 1000)
