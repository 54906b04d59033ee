"""Connections in memory, with a time of their own: a timeout of an hour is over at once, and exact.

A :class:`Backend` joins a session to a :class:`Host`, which has a :class:`Clock`. All runs in one
thread. Time passes only where the client waits, in ``read()``, ``write()``, for several connections
or for an event, or where a test says so; then it moves on to the next timer, or to the end of the
timeout. So a test can say to the second when something is to end, and none depends on the machine.

Only threads, sockets and TLS are left out. For each kind of limit there is a test elsewhere that
waits on the real clock.
"""

from __future__ import absolute_import, division, print_function

import heapq
import inspect
import itertools
import threading
import traceback
from functools import partial

from apnsclient import APNs, Session
from apnsclient.backends import BaseBackend, BaseConnection, BaseConnectionAttempt, dummy
from apnsclient.errors import CertificateRefused, ConnectionLost, ConnectTimeout, Timeout
from apnsclient.feedback_store import MemoryStore
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.frames import FrameReader
from apnsclient.testing.simulator.connection_facts import TLSFacts
from apnsclient.testing.simulator.loop import Timer
from apnsclient.testing.simulator.tls_connection import RECORD_SIZE, ConnectionHandler

#: Seconds for which a connection that is closed waits for the end of the stream.
CLOSE_TIMEOUT = 1.0
#: Bytes that the system of a peer takes of which the peer reads nothing, and those that our own
#: system has room for beside.
RECEIVE_BUFFER = SEND_BUFFER = 1 << 17
#: No test waits nearly as often.
MOST_WAITS = 100000


class Endless(BaseException):
    """The client waits for what never comes. It must not mistake this for a failed connection."""


class PeerFailed(BaseException):
    """The function of a peer raised; its traceback is the text."""


class Clock(object):
    """A time that moves when it is told to; calling it returns the time in seconds (float).

    It stands in for the event loop of the simulator, too: :meth:`call_later` and :meth:`ask`.

    :ivar now: the time.
    """

    def __init__(self):
        self.now = 1000.0
        self._waits = 0
        self._timers = []
        self._numbers = itertools.count()

    def __call__(self):
        return self.now

    def call_later(self, delay, function):
        """Have a function called once ``delay`` seconds have passed; return its ``Timer``."""
        timer = Timer(self.now + delay, function)
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        return timer

    def ask(self, function):
        """Call a function, and return its result: there is only one thread."""
        return function()

    def advance(self, seconds):
        """Let time pass, with all that happens meanwhile."""
        self.wait(lambda: False, seconds)

    def wait(self, is_ready, timeout):
        """Let time pass until a function returns true, ``timeout`` seconds at most.

        :return: whether it did.
        :raises Endless: if there is no timeout, and nothing more will ever happen; or if it has
            been waited so often that whoever does it will not come to an end.
        """
        self._waits += 1
        if self._waits > MOST_WAITS:
            raise Endless("it was waited %d times" % MOST_WAITS)
        end = None if timeout is None else self.now + timeout
        while not is_ready():
            if self._timers and (end is None or self._timers[0][0] <= end):
                when, _, timer = heapq.heappop(self._timers)
                if timer.function is not None:
                    self.now = max(self.now, when)
                    timer.function()
            elif end is None:
                raise Endless("nothing will ever happen any more")
            else:
                self.now = max(self.now, end)
                return bool(is_ready())
        return True


class Event(object):
    """What a caller waits for in simulated time."""

    def __init__(self, clock):
        self._clock = clock
        self._is_set = False

    def set(self):
        self._is_set = True

    def wait(self, timeout):
        return self._clock.wait(lambda: self._is_set, timeout)


class Waker(object):
    """Ends a wait for connections, also one that has not begun.

    :ivar is_woken: whether it was woken and no wait has ended by it.
    """

    def __init__(self):
        self.is_woken = False

    def wake(self):
        self.is_woken = True

    def close(self):
        pass


class Channel(object):
    """The peer's end of a connection, with the interface of the simulator's ``TLSConnection``.

    :param handler: is told what happens (``ConnectionHandler`` of the simulator).
    :param certificate: the client's, as ``cryptography`` has it, or None.
    :param linger: seconds for which a channel that is finished takes what comes.
    :param receive_buffer: bytes that are taken while the channel is paused.

    :ivar output: what was sent and the client has not read yet (bytearray).
    :ivar is_ended: whether the client gets nothing more to read.
    :ivar is_gone: whether the client can write nothing more.
    :ivar failure: what the client's reads raise, once all that was sent has been read; or None.
    :ivar has_client: whether the client has not closed its end.
    """

    is_established, is_resumed = True, False
    peer, ending = ("192.0.2.1", 443), "by the client"

    def __init__(self, clock, handler, certificate=None, protocol=b"", linger=5.0,
                 receive_buffer=RECEIVE_BUFFER):
        self.handler = handler
        self.protocol = protocol
        self.output = bytearray()
        self.is_ended = self.is_gone = False
        self.failure = None
        self.has_client = True
        self._clock = clock
        self._certificate = certificate
        self._linger = linger
        self._receive_buffer = receive_buffer
        self._backlog = b""
        self._is_paused = False
        self._timer = None

    # What the peer does.

    def peer_certificate(self):
        return self._certificate

    def tls_facts(self):
        return TLSFacts("TLSv1.3", "none", self.protocol.decode("ascii"), self.is_resumed)

    def send(self, data):
        if not self.is_ended:
            self.output += data

    def send_all(self, pieces):
        for piece in pieces:
            self.send(piece)
        self.handler.drained(self)

    def pause(self):
        self._is_paused = True

    def resume(self):
        """Read on."""
        self._is_paused = False
        data, self._backlog = self._backlog, b""
        if data and not self.is_ended:
            self.handler.received(self, data)

    def finish(self):
        if self.is_ended:
            return
        self.is_ended = True
        if self.has_client:
            self._timer = self._clock.call_later(self._linger, self.close)
        else:
            self._close(True)

    def reset(self):
        self.fail(ConnectionLost("the connection was reset"))

    def fail(self, failure):
        """End the connection with what the client's back-end makes an exception of."""
        self.failure = failure
        self.close()

    def close(self):
        self._close(False)

    def _close(self, is_orderly):
        if self.is_gone:
            return
        self.is_ended = self.is_gone = True
        if self._timer is not None:
            self._timer.cancel()
        self.handler.closed(self, is_orderly)

    # What the client does.

    @property
    def room(self):
        """How many bytes can be written without waiting."""
        if self.is_ended or not self._is_paused:
            return RECORD_SIZE
        return max(self._receive_buffer + SEND_BUFFER - len(self._backlog), 0)

    @property
    def unacknowledged(self):
        """How many bytes have not reached the peer's system."""
        return max(len(self._backlog) - self._receive_buffer, 0)

    def take(self, data):
        """Take a piece of what the client writes."""
        if self._is_paused:
            self._backlog += data
        elif not self.is_ended:
            self.handler.received(self, data)

    def end(self):
        """Note that the client writes nothing more."""
        self.has_client = False
        if self.is_ended:
            self._close(not self._is_paused)
        elif not self._is_paused:
            self.handler.ended(self)


class Connection(BaseConnection):
    """The client's end."""

    def __init__(self, address, certificate, clock, channel):
        self._clock = clock
        super(Connection, self).__init__(address, certificate)
        self.alpn_protocol = channel.protocol.decode("ascii") or None
        self._channel = channel
        self._is_closed = self._has_written = False

    def clock(self):
        return self._clock()

    def reset(self):
        del self._channel.output[:]

    def is_ready(self):
        """Return True if peek() has something: data, the end of the stream, or a failure."""
        return bool(self._is_closed or self._channel.output or self._channel.is_ended)

    def peek(self, size):
        channel = self._channel
        if channel.output:
            data = bytes(channel.output[:size])
            del channel.output[:size]
            return data
        if channel.failure is not None:
            raise channel.failure
        return b"" if channel.is_ended else None

    def read(self, size, timeout):
        assert size > 0 and (timeout is None or timeout > 0)
        channel = self._channel
        if not self._clock.wait(lambda: channel.output or channel.is_ended, timeout):
            raise Timeout("nothing came within %s s" % timeout)
        return self.peek(size) or None

    def write(self, data, timeout):
        assert data and (timeout is None or timeout > 0)
        self._has_written = True
        channel = self._channel
        end = None if timeout is None else self._clock() + timeout
        while data:
            left = None if end is None else end - self._clock()
            if not self._clock.wait(lambda: channel.room or channel.is_gone, left):
                raise Timeout("the peer did not take all within %s s" % timeout)
            if self._is_closed or channel.is_gone:
                raise ConnectionLost("the connection is gone")
            size = min(channel.room, RECORD_SIZE)
            channel.take(data[:size])
            data = data[size:]

    def unacknowledged(self):
        return self._channel.unacknowledged

    def close(self):
        if self._is_closed:
            return
        self._is_closed = True
        channel = self._channel
        channel.end()
        if self._has_written:
            self._clock.wait(lambda: channel.is_ended, CLOSE_TIMEOUT)
            self.received_on_close = bytes(channel.output)
        channel.close()

    def abort(self):
        self._is_closed = True
        self._channel.end()
        self._channel.close()

    def closed(self):
        return self._is_closed or (self._channel.is_ended and not self._channel.output)


class Certificate(dummy.Certificate):
    """Any text; a host may read what is in it."""

    def load_context(self, **options):
        """Return the text twice: it is context and what identifies the certificate."""
        _, raw = super(Certificate, self).load_context(**options)
        return raw, raw


class Attempt(BaseConnectionAttempt):
    """A connection that is open after some seconds.

    :ivar is_closed: whether it was given up.
    :ivar is_open: whether it has returned its connection.
    """

    def __init__(self, backend, timeout, arguments):
        super(Attempt, self).__init__()
        self._backend = backend
        self._arguments = arguments
        self._is_late = timeout is not None and timeout < backend.connecting_time
        delay = timeout if self._is_late else backend.connecting_time
        self._due = backend.clock() + delay
        backend.wake_after(delay)
        self.is_closed = self.is_open = False

    def is_ready(self):
        """Return True if advance() has something to do."""
        return self._backend.clock() >= self._due

    def advance(self):
        assert not (self.is_closed or self.is_open)
        if not self.is_ready():
            return None
        if self._is_late:
            raise ConnectTimeout("it is not connected in time")
        connection = self._backend.get_new_connection(*self._arguments)
        self.is_open = True
        return connection

    def close(self):
        self.is_closed = True


class Backend(BaseBackend):
    """Opens connections to a host.

    :param host: :class:`Host`.

    :ivar made: the connections, in order.
    :ivar attempts: those to open a further one (list of :class:`Attempt`).
    """

    #: What the connections are: a subclass of ``Connection``.
    connection_class = Connection
    #: Seconds until a connection is open.
    connecting_time = 0.0
    can_detect_close = True
    can_share = True
    has_alpn = True

    def __init__(self, host, **options):
        super(Backend, self).__init__(**options)
        self._host = host
        self.made = []
        self.attempts = []

    def clock(self):
        return self._host.clock()

    def wake_after(self, delay):
        """Have something happen after some seconds, so that a wait does not go on for ever."""
        self._host.clock.call_later(delay, lambda: None)

    def get_certificate(self, cert_params):
        return Certificate(**cert_params)

    def create_lock(self):
        return threading.RLock()

    def create_event(self):
        return Event(self._host.clock)

    def create_waker(self):
        return Waker()

    def wait(self, connections, timeout, waker):
        assert timeout is None or timeout >= 0
        self._host.clock.wait(
            lambda: waker.is_woken or any(one.is_ready() for one in connections), timeout)
        waker.is_woken = False
        return [one for one in connections if one.is_ready()]

    def start_connecting(self, address, certificate, timeout=None, alpn=()):
        self.attempts.append(Attempt(self, timeout, (address, certificate, timeout, alpn)))
        return self.attempts[-1]

    def get_new_connection(self, address, certificate, timeout=None, alpn=()):
        channel = self._host.open_channel(
            address, certificate, timeout, alpn[0].encode("ascii") if alpn else b"")
        self.made.append(
            self.connection_class(address, certificate, self._host.clock, channel))
        return self.made[-1]


class Host(object):
    """What sessions connect to, with the time that both sides have. Its sessions end with it.

    :ivar clock: the :class:`Clock`.
    """

    def __init__(self):
        self.clock = Clock()
        self._sessions = []

    def open_channel(self, address, certificate, timeout, protocol):
        """Return the :class:`Channel` of a new connection, whose handler knows of it.

        :param timeout: most seconds that it may take, None for no limit.
        :param protocol: what was offered with ALPN (bytes), nothing if nothing was.
        """
        raise NotImplementedError

    def session(self, **options):
        """Return a ``Session`` whose connections lead here; it takes its options, and a pool's."""
        pool = {name: options.pop(name) for name in ("pool_size", "use_cache_for_reconnects")
                if name in options}
        options.setdefault("feedback_store", MemoryStore())
        made = Session(Backend(self, **pool), **options)
        self._sessions.append(made)
        return made

    def drop(self, session):
        """Leave a session to the garbage collector."""
        self._sessions.remove(session)

    def shutdown(self):
        """Shut the sessions down and forget them: Python 2.7 collects no cycle that has one."""
        while self._sessions:
            self._sessions.pop().shutdown()


class Peer(ConnectionHandler):
    """A peer that a generator function plays, step by step.

    The function gets the peer, says something, and yields what it waits for: a function that
    returns None as long as it has not come, and then what ``yield`` is to return. The peer's
    methods return such functions. It may also yield another generator, which is run to its end.
    The connection ends with the generator, and the generator where the client has left and what it
    waits for has not come.

    :ivar data: what has come and was not taken yet (bytearray).
    :ivar has_left: whether the client has.
    """

    def __init__(self, play, clock):
        self.data = bytearray()
        self.has_left = False
        self._play = play
        self._clock = clock
        self._channel = None
        self._steps = []
        self._awaited = None

    # For the generator.

    def say(self, *pieces):
        """Send bytes."""
        self._channel.send(b"".join(pieces))

    def reset(self):
        """Reset the connection."""
        self._channel.reset()

    def alert(self):
        """End the connection with a fatal alert, which a back-end takes for a refusal."""
        self._channel.fail(CertificateRefused("the TLS alert \"access denied\""))

    def stop_reading(self):
        """Read nothing more."""
        self._channel.pause()

    def read_on(self):
        """Read again, and what has come in the meantime."""
        self._channel.resume()

    def end(self):
        """Wait until the client leaves."""
        return lambda: self.has_left or None

    def pause(self, seconds):
        """Wait for some time."""
        timer = self._clock.call_later(seconds, self._go_on)
        return lambda: self._clock() >= timer.when or None

    def read(self, size=1):
        """Wait for so many bytes at least; return all that have come."""
        def take():
            if len(self.data) < size:
                return None
            data = bytes(self.data)
            del self.data[:]
            return data
        return take

    # For the channel.

    def opened(self, channel):
        self._channel = channel
        self._guard(self._begin)

    def received(self, channel, data):
        self._guard(self._receive, data)

    def ended(self, channel):
        self.has_left = True
        self._go_on()
        channel.finish()

    def _begin(self):
        steps = self._play(self)
        if not inspect.isgenerator(steps):
            self._channel.finish()
            return
        self._steps.append(steps)
        self._step(None)
        self._take_steps()

    def _receive(self, data):
        self.data += data
        self._take_steps()

    def _go_on(self):
        self._guard(self._take_steps)

    def _take_steps(self):
        while self._awaited is not None:
            value = self._awaited()
            if value is None:
                return
            self._step(value)

    def _step(self, value):
        self._awaited = None
        while self._awaited is None and self._steps:
            try:
                awaited = self._steps[-1].send(value)
            except StopIteration:
                self._steps.pop()
            else:
                if inspect.isgenerator(awaited):
                    self._steps.append(awaited)
                else:
                    self._awaited = awaited
            value = None
        if not self._steps:
            self._channel.finish()

    def _guard(self, function, *arguments):
        try:
            function(*arguments)
        except Exception:
            raise PeerFailed(traceback.format_exc())


class FramePeer(Peer):
    """The same for HTTP/2.

    :ivar seen: frames that have come: ``(type, flags, stream, payload)``.
    """

    def __init__(self, play, clock):
        super(FramePeer, self).__init__(play, clock)
        self.seen = []
        self._reader = FrameReader()
        self._is_greeted = False
        self._told = 0

    def greet(self, settings=()):
        """Send settings, and acknowledge the client's."""
        self.say(frames.settings_frame(settings) + frames.SETTINGS_ACK)

    def requests(self, count):
        """Wait until so many requests are complete in all; return their streams."""
        def find():
            streams = [stream for kind, flags, stream, _ in self.seen
                       if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM]
            return streams if len(streams) >= count else None
        return find

    def frame(self, frame):
        """Wait until a frame has come."""
        return lambda: frame in self.seen or None

    def frames(self):
        """Wait for frames; return those that have come since the last time."""
        def find():
            found = self.seen[self._told:]
            self._told = len(self.seen)
            return found or None
        return find

    def _receive(self, data):
        if not self._is_greeted:
            self.data += data
            if len(self.data) < len(frames.PREFACE):
                return
            assert self.data.startswith(frames.PREFACE)
            data = bytes(self.data[len(frames.PREFACE):])
            self._is_greeted = True
        self.seen += self._reader.feed(data)
        self._take_steps()


class Server(Host):
    """A host all of whose connections are played by a function; a context manager.

    :param play: the function of a peer; see :class:`Peer`.
    :param new_peer: class of the peers.
    :param protocol: what is chosen with ALPN (bytes), if it was offered.

    :ivar accepted: the peers, in order.
    """

    address = "peer.test", 443

    def __init__(self, play, new_peer=FramePeer, protocol=b"h2", **options):
        super(Server, self).__init__()
        self.accepted = []
        self._play = play
        self._new_peer = new_peer
        self._protocol = protocol
        self._options = options

    def session(self, **options):
        options.setdefault("protocol", "http2" if self._new_peer is FramePeer else "binary")
        return super(Server, self).session(**options)

    def client(self, **options):
        """Return an ``APNs`` over a session of its own, with the session's options."""
        return APNs(self.session(**options).get_connection(self.address, cert_string="any"))

    def open_channel(self, address, certificate, timeout, protocol):
        assert address == self.address
        peer = self._new_peer(self._play, self.clock)
        self.accepted.append(peer)
        channel = Channel(self.clock, peer, None, self._protocol if protocol else b"",
                          **self._options)
        peer.opened(channel)
        return channel

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if not any(exception):
            self.shutdown()


serve = Server
serve_bytes = partial(Server, new_peer=Peer)


def accept_all(peer):
    """Greet, and accept whatever comes until the client leaves."""
    peer.greet()
    yield accept(peer)


def accept(peer):
    """Accept whatever comes, and respond to PINGs, until the client leaves."""
    while True:
        found = yield peer.frames()
        for kind, flags, stream, payload in found:
            if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM:
                peer.say(frames.header_frames(stream, b"\x88", True))
            elif kind == frames.PING and not flags & frames.ACK:
                peer.say(frames.ping(payload, True))
