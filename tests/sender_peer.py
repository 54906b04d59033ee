"""A server for tests of the sender, in memory: its script, and what was said on a connection.

A request is known by the last part of its path: the device token, or the name of another request.
The server notes what it processes. A :class:`Tap` reads what both sides say, as a third one would,
and tells from there what can be known of each request.
"""

from __future__ import absolute_import, division, print_function

import json
from collections import namedtuple

from apnsclient.outcomes import parse_response
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.headers import decode_block
from apnsclient.protocols.http2.server import ServerConnection
from apnsclient.protocols.http2.server_headers import RequestDecoder, response_block
from apnsclient.protocols.http2.server_streams import Shape
from apnsclient.reasons import RESPONSES, reason_of_response
from apnsclient.testing.simulator.provider_limits import Throttle

__all__ = ["ACCEPT", "ACCEPT_SLOWLY", "CUT_OFF", "GONE_SINCE", "IGNORE", "REFUSE", "RESET",
           "Script", "ScriptedServer", "Tap", "check_flights", "reject"]

#: What a server does with a request: ``(kind, status, reason)``.
ACCEPT = "accept", 200, None
#: The response comes in many frames.
ACCEPT_SLOWLY = "slowly", 200, None
#: The request is accepted, and the stream is reset before the end of the response.
CUT_OFF = "cut off", 200, None
#: The request is not processed, and the client is told.
REFUSE = "refuse", None, None
#: The request is processed, and there is no response.
RESET, IGNORE = ("reset", None, None), ("ignore", None, None)

#: When devices were lost, in seconds since 1970.
GONE_SINCE = 1500000000

_MOST = frames.MAX_CONCURRENT_STREAMS


def reject(status, reason=None):
    """Return the verdict of a response that does not accept a request."""
    return "reject", status, reason


class Script(namedtuple("Script", "opening settings first then acts step cuts throttle")):
    """What a server does over one connection.

    :param opening: "ok"; "refused": there is none to be had; "alert": the server ends it as soon as
        anything was written, and says that it does not accept us.
    :param settings: ``(identifier, value)`` pairs.
    :param first: ``(verdict, seconds)`` for the first requests, in the order in which they come.
    :param then: the same for all others, or a function of their names that returns it.
    :param acts: ``(count, name, argument)``: what it does when that many requests have come, see
        :meth:`ScriptedServer.act`.
    :param step: after how many received bytes they are given back, see ``ServerConnection``.
    :param cuts: sizes of the pieces that a client gets to read, all over again.
    :param throttle: whether it is Apple's of 2016 to 2020, see :class:`.Throttle`.
    """

    __slots__ = ()

    def __new__(cls, opening="ok", settings=(), first=(), then=(ACCEPT, 0.0), acts=(), step=None,
                cuts=(), throttle=False):
        return super(Script, cls).__new__(
            cls, opening, settings, first, then, acts, step, cuts, throttle)


class ScriptedServer(object):
    """The server's side of one connection.

    :param script: :class:`Script`.
    :param network: has ``after(seconds, function)``, which calls a function later.
    :param processed: what was processed: list of verdicts for each name (defaultdict).
    :param tell: called when there is something to be sent.
    :param faults: gets the names of what is to happen to the client's next write (list).

    :ivar has_hung_up: whether it neither reads nor writes any more.
    """

    def __init__(self, script, network, processed, tell, faults):
        self._script, self._network = script, network
        self._processed, self._tell, self._faults = processed, tell, faults
        self.connection = ServerConnection(script.settings, script.step)
        self._most = dict(script.settings).get(_MOST, frames.LARGEST_STREAM)
        self._throttle = Throttle(self.connection) if script.throttle else None
        self._acts, self._first = list(script.acts), list(script.first)
        self._arrived, self._names = 0, {}
        # The last stream of which anything was processed.
        self._highest = 0
        self._is_silent = self._is_deaf = self.has_hung_up = False

    @property
    def _is_gone(self):
        return self._is_deaf or self.has_hung_up

    def receive(self, data):
        """Take what a client has written."""
        if self._is_gone:
            return
        requests = self.connection.receive(data)
        if self._throttle is not None:
            self._throttle.arrived([one.stream for one in requests])
        for request in requests:
            if self._throttle is None or self._throttle.takes(request.stream):
                self._take(request.stream, _name_of(request.fields))
        self._act()
        if not self._is_deaf:
            self._tell()

    def _take(self, stream, name):
        if not self.connection.is_open(stream):
            return
        self._arrived += 1
        self._names[stream] = name
        if self._first:
            verdict, delay = self._first.pop(0)
        else:
            then = self._script.then
            verdict, delay = then(name) if callable(then) else then
        if self._is_silent or verdict == IGNORE:
            self._highest = max(self._highest, stream)
            self._process(self._names.pop(stream), IGNORE)
        elif delay:
            self._network.after(delay, lambda: self._respond_late(stream, verdict))
        else:
            self._respond(stream, verdict)
        self._act()

    def _respond_late(self, stream, verdict):
        if not self._is_gone:
            self._respond(stream, verdict)
            self._tell()

    def _respond(self, stream, verdict):
        """Do what is to be done with a request that nothing else has become of."""
        kind, status, reason = verdict
        connection, name = self.connection, self._names.pop(stream, None)
        if name is None:
            return
        if not connection.is_open(stream):
            # The client has given it up, which does not mean that it gets nothing.
            self._process(name, IGNORE)
            return
        if kind == "refuse":
            connection.refuse(stream)
            return
        self._highest = max(self._highest, stream)
        self._process(name, verdict)
        block = response_block(status) if status else b""
        if kind == "accept":
            connection.response(stream, block)
        elif kind == "slowly":
            connection.inform(stream, response_block(103))
            connection.response(stream, block, b"{}", Shape(1, split=1, trailers=[(b"x", b"y")]))
        elif kind == "reject":
            connection.response(stream, block, _body_of(status, reason))
        elif kind == "cut off":
            connection.send_raw(frames.header_frames(stream, block, False))
            connection.reset(stream, frames.INTERNAL_ERROR)
        elif kind == "reset":
            connection.reset(stream, frames.INTERNAL_ERROR)
        if self._throttle is not None and status:
            self._throttle_after(status)

    def _throttle_after(self, status):
        """Refuse what is in flight where a response is followed by that."""
        opened = [one for one in self._names if self.connection.is_open(one)]
        self._throttle.responded(status, self._most)
        for stream in opened:
            if not self.connection.is_open(stream):
                del self._names[stream]

    def _process(self, name, verdict):
        self._processed[name].append(verdict)

    def _act(self):
        while self._acts and self._acts[0][0] <= self._arrived:
            _, name, argument = self._acts.pop(0)
            self.act(name, argument)

    def act(self, name, argument=None):
        """Do something that no request is the reason for.

        :param name: "goaway": end the connection; the argument is the stream's number of the first
            request that is not processed, counted back from the last one. "die": the same with a
            reason, which is the argument. "limit": allow so many streams; "later limit": see to it
            when the client knows. "window": size of the windows of streams. "hang up": end the
            connection without a word. "silence": respond to no request any more. "deaf": read and
            write nothing any more. "reset": end the stream of each request that is open. "fault":
            what happens to the client's next write.
        """
        getattr(self, "_" + name.replace(" ", "_"))(argument)

    def _goaway(self, back, code=frames.NO_ERROR, debug=b""):
        connection = self.connection
        last = max(connection.last_stream - 2 * back, self._highest)
        for stream in [one for one in self._names if one > last]:
            del self._names[stream]
        connection.goaway(last, code, debug)

    def _die(self, reason):
        self._goaway(0, debug=json.dumps({"reason": reason}).encode("ascii"))

    def _limit(self, most):
        self.connection.limit_streams(most)
        self._most = most
        if not most:
            self._network.after(1.0, lambda: self._raise_limit(100))

    def _raise_limit(self, most):
        if not self._is_gone and not self._most:
            self._limit(most)
            self._tell()

    def _later_limit(self, most):
        self._most = most
        self.connection.change_settings([(_MOST, most)])

    def _window(self, size):
        self.connection.change_settings([(frames.INITIAL_WINDOW_SIZE, size)])
        if not size:
            self._network.after(1.0, self._open_window)

    def _open_window(self):
        if not self._is_gone:
            self._window(frames.DEFAULT_WINDOW)
            self._tell()

    def _silence(self, _):
        self._is_silent = True
        self._process_all()

    def _deaf(self, _):
        self._tell()
        self._is_deaf = self._is_silent = True
        self._process_all()

    def _hang_up(self, _):
        self._tell()
        self.has_hung_up = True
        self._process_all()
        self._tell()

    def _reset(self, _):
        for stream in sorted(self._names):
            self._respond(stream, RESET)

    def _fault(self, name):
        self._faults.append(name)

    def _process_all(self):
        """Process what is open, and say nothing of it: so nobody may send it once more."""
        for stream, name in self._names.items():
            self._highest = max(self._highest, stream)
            self._process(name, IGNORE)
        self._names.clear()

    @property
    def has_last_word(self):
        """Whether the last thing that it has to say is that it ends the connection."""
        return self.has_hung_up or self.connection.error is not None


def _name_of(fields):
    return str(dict(fields)[b":path"].rpartition(b"/")[2].decode("ascii"))


def _body_of(status, reason):
    if reason is None:
        return b""
    body = {"reason": reason}
    if status == 410:
        body["timestamp"] = GONE_SINCE * 1000
    return json.dumps(body).encode("ascii")


class Flight(object):
    """A request on one stream.

    :ivar name: what it is known by.
    :ivar is_push: whether it is for a device.
    :ivar begun_at: when it was begun.
    :ivar is_whole: whether it was written to its end.
    :ivar is_cut: whether nothing could be said of it any more when it was given up.
    :ivar resets: how many times its stream was reset by the client.
    :ivar is_alone: whether no other one was in flight when it was begun, or has been begun since.
    :ivar status: that of the response, if one has come, and ``body`` what followed.
    :ivar fate: what else became of it: "refused": proven not to have been processed; "reset";
        "cancelled"; "lost": the connection is over; None.
    """

    def __init__(self, name, is_push, begun_at):
        self.name, self.is_push, self.begun_at = name, is_push, begun_at
        self.is_whole = self.is_complete = self.is_cut = self.is_alone = False
        self.status, self.body, self.fate, self.resets = None, b"", None, 0

    @property
    def is_over(self):
        return self.is_complete or self.fate is not None

    @property
    def has_response(self):
        # The response to any other request than a push is of no use without its end.
        return self.status is not None and (
            self.is_push or self.is_complete or self.fate in ("refused", "reset"))

    @property
    def reason(self):
        """What a response says that does not accept the request."""
        return reason_of_response(self.status, parse_response(self.body)[0], not self.is_complete)

    @property
    def is_proven(self):
        """Whether nobody has processed the request, as far as the client can know."""
        return not self.has_response and (self.fate == "refused" or not self.is_whole
                                          and self.fate in ("lost", "cancelled"))


class Tap(object):
    """What was said on a connection.

    :param flights: gets each request as it is begun (list of :class:`Flight`).

    :ivar reasons: for which the server has ended the connection (list of
        :class:`~apnsclient.reasons.Reason`).
    :ivar in_flight: the requests in flight (set of :class:`Flight`).
    :ivar refused: how many requests the server has refused while others were in flight.
    :ivar budget: how many it may have refused: those in flight before the client had read of the
        first one, and half of the notifications that were accepted since.
    """

    def __init__(self, flights):
        self.reasons = []
        self.refused = self._accepted = 0
        # How many were in flight before that read, and how many accepted.
        self._at_first = None
        self.in_flight, self._first = set(), None
        self._limit = frames.LARGEST_STREAM
        self._has_goaway = False
        self._flights = flights
        self._streams = {}
        self._decoder = RequestDecoder()
        self._written, self._read = frames.FrameReader(), frames.FrameReader()
        self._preface = len(frames.PREFACE)

    def write(self, data, now):
        """Take what a client has written."""
        skipped = min(self._preface, len(data))
        self._preface -= skipped
        for kind, flags, stream, payload in self._written.feed(data[skipped:]):
            if kind == frames.HEADERS:
                fields = dict(self._decoder.decode(payload))
                is_push = fields[b":path"].startswith(b"/3/device/")
                flight = self._streams[stream] = Flight(
                    _name_of(fields.items()), is_push, now)
                self._flights.append(flight)
                self._begin(flight)
            if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM:
                self._streams[stream].is_whole = True
            elif kind == frames.RST_STREAM:
                self._streams[stream].resets += 1
                self._give_up(self._streams[stream])

    def withdraw(self, name):
        """Note that a request is waited for no longer; return how many there were of that name."""
        found = [one for one in self._streams.values() if one.name == name and not one.is_over]
        for flight in found:
            self._give_up(flight)
        return len(found)

    def _give_up(self, flight):
        if not flight.is_over:
            flight.fate = "cancelled"
            self.in_flight.discard(flight)

    def _begin(self, flight):
        """Note that one more request is in flight."""
        flight.is_alone = not self.in_flight
        if flight.is_alone:
            self._first = flight
        else:
            self._first.is_alone = False
        self.in_flight.add(flight)
        assert len(self.in_flight) <= self._limit, "there are more streams than allowed"

    def read(self, data):
        """Take what a client has read."""
        before = len(self.in_flight), self._accepted
        for kind, flags, stream, payload in self._read.feed(data):
            if kind == frames.SETTINGS and not flags & frames.ACK:
                self._limit = dict(frames.read_settings(payload)).get(_MOST, self._limit)
            elif kind == frames.GOAWAY:
                self._has_goaway = True
                last, _, debug = frames.read_goaway(payload)
                reason = RESPONSES.get(parse_response(debug)[0])
                self.reasons += [reason] if reason is not None else []
                for number, flight in self._streams.items():
                    if number > last and not flight.is_over:
                        flight.fate = "refused"
                        self.in_flight.discard(flight)
            elif stream and stream in self._streams and not self._streams[stream].is_over:
                flight = self._streams[stream]
                self._read_of(flight, kind, flags, payload)
                if flight.is_over:
                    self._end_of(flight, before)

    def _end_of(self, flight, before):
        """Note what the server has done with a request."""
        self.in_flight.discard(flight)
        self._accepted += flight.is_push and flight.status == 200
        if flight.fate == "refused" and flight.status is None and not self._has_goaway:
            self._at_first = self._at_first or before
            self.refused += not flight.is_alone

    @staticmethod
    def _read_of(flight, kind, flags, payload):
        if kind == frames.RST_STREAM:
            is_refused = frames.read_number(payload) == frames.REFUSED_STREAM
            flight.fate = "refused" if is_refused else "reset"
            return
        if kind == frames.HEADERS and flight.status is None:
            # Blocks of many frames are those of trailers and of interim responses alone.
            status = _status_in(frames.strip(kind, flags, payload))
            flight.status = status if status and status >= 200 else None
        elif kind == frames.DATA:
            flight.body += frames.strip(kind, flags, payload)
        flight.is_complete = flight.status is not None and bool(flags & frames.END_STREAM)

    @property
    def budget(self):
        in_flight, accepted = self._at_first or (0, 0)
        return in_flight + (self._accepted - accepted) // 2

    @property
    def has_accepted(self):
        """Whether the server has accepted anything."""
        return any(flight.status == 200 for flight in self._streams.values())

    def cut(self):
        """Note that nothing more can be written."""
        for flight in self._streams.values():
            flight.is_cut = not flight.is_over
            if flight.is_cut and not flight.is_whole:
                flight.fate = "lost"

    def end(self, is_refused=False):
        """Note that the client has given the connection up.

        :param is_refused: whether the server never let it in.
        """
        for flight in self._streams.values():
            if not flight.is_over:
                flight.fate = "refused" if is_refused else "lost"


def _status_in(block):
    for name, value in decode_block(block):
        if name == b":status":
            return int(value)
    return None


def check_flights(mine):
    """See that a request was sent again only if nobody has processed it, as far as was said."""
    moved = 0
    for flight in mine[:-1]:
        if flight.has_response:
            assert flight.status != 200
            moved += flight.reason.is_unprocessed
            assert flight.reason.is_unprocessed or flight.reason.is_cured_by_connection
        else:
            assert flight.is_proven
    assert moved <= 1
