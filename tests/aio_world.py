"""A world around a pool, in an event loop that never waits: callers, a network, scripted servers.

Pool, hub, streams and callers are the real ones, in a real event loop of asyncio; what stands in is
encryption, which does nothing, the network behind a transport, and time, which goes on to the next
timer. The servers are those of :mod:`sender_peer`.
"""

import asyncio
import gc
import itertools
import types
from collections import defaultdict, deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

from OpenSSL import SSL

from apnsclient._timing import Timing
from apnsclient.aio._work import Post
from apnsclient.aio.client import Client
from apnsclient.aio.connection import Request
from apnsclient.aio.pool import Pool
from apnsclient.protocols.http2.frames import SETTINGS_ACK
from apnsclient.sending.calls import Call
from apnsclient.sending.work import Work
from observer_support import Notes
from sender_peer import Script, ScriptedServer, Tap
from sender_support import NO_TOKEN, Key

__all__ = ["Plan", "World"]

#: The time at the beginning: clocks do not start at 0.
START = 1024.0
#: Rounds of the loop after which nothing is to be expected any more.
_MOST_ROUNDS = 100000
#: Where sockets are connected to; a number, so that nobody is asked for it.
ADDRESS = "192.0.2.1", 443
#: Seconds of a round trip; a power of two, so that sums are exact.
TRIP = 0.0625
#: Seconds after which nothing is remembered of a caller who had any patience.
_LONG = 300.0

_ALERT = b"\x15 certificate required"


class Stuck(AssertionError):
    """Somebody waits, and nothing will ever happen."""


class Loop(asyncio.BaseEventLoop):
    """An event loop whose time goes on as soon as there is nothing to do.

    :param world: has the coroutine function ``reach``, which returns when there is a connection,
        and ``open_line``, which returns its transport.

    :ivar now: the time in seconds.
    :ivar crashes: what its exception handler was told.
    """

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.now = START
        self.crashes: List[Dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.crashes.append(context))
        self._world = world
        self._selector = self
        self._rounds = 0

    def time(self) -> float:
        return self.now

    def select(self, timeout: Optional[float]) -> List[Any]:
        """Let time pass; a loop asks its selector for that."""
        self._rounds += 1
        if timeout is None:
            raise Stuck("nothing will ever happen")
        if self._rounds > _MOST_ROUNDS:
            raise Stuck("it goes round and round")
        self.now += timeout
        return []

    async def sock_connect(self, sock: Any, address: Any) -> None:
        assert address == ADDRESS
        await self._world.reach(sock)

    async def create_connection(self, protocol_factory: Any, *_: Any, **options: Any) -> Any:
        line = self._world.open_line(options["sock"], protocol_factory())
        line.greet()
        return line, None

    def timers(self) -> List[asyncio.TimerHandle]:
        """Return what is still to be called at some time."""
        return [timer for timer in self._scheduled if not timer.cancelled()]

    def _process_events(self, event_list: List[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """There is no other thread."""


class Plain:
    """A handshake, an engine and TLS of pyOpenSSL in one, which encrypt nothing."""

    progress = "accepted, but did not complete the TLS handshake"

    is_resumed = False

    def __init__(self, pipe: Any, script: Script, line: "Line") -> None:
        self.handshake = self.engine = self.tls = self
        self.alpn_protocol = None if script.opening == "not http2" else "h2"
        self._pipe, self._line = pipe, line
        self._is_open = script.opening != "mute"
        self._data, self._failure = b"", False

    def step(self) -> Optional[str]:
        if self._pipe.has_ended:
            raise OSError("the peer ended the connection")
        return None if self._is_open else "read"

    def feed(self, data: bytes) -> None:
        if data is _ALERT:
            self._failure = True
        else:
            self._data += data

    def open(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        if data:
            return data
        if self._failure:
            raise SSL.Error([("SSL routines", "", "tlsv13 alert certificate required")])
        raise SSL.WantReadError

    def seal(self, data: bytes) -> bytes:
        return data

    def output(self) -> bytes:
        return b""

    def get_protocol_version_name(self) -> str:
        return "TLSv1.3"

    def get_session(self) -> None:
        return None

    def shutdown(self) -> None:
        self._line.take_leave()

    def set_shutdown(self, state: int) -> None:
        """It has no session that could be resumed."""


class Nobody:
    """Stands for a certificate."""

    source_name = "nobody"


class Destination:
    """An :class:`~apnsclient.aio._stream.Endpoint` whose connections are lines."""

    address, next_hop = ("api.push.apple.com", 443), ADDRESS
    identity = proxy = session = None

    def __init__(self, credential: Any, world: "World") -> None:
        self.credential = credential
        self._world = world

    def __str__(self) -> str:
        return "the server"

    def new_handshake(self, pipe: Any) -> Plain:
        # It is the newest one that begins.
        line = self._world.lines[-1]
        return Plain(pipe, line.script, line)


class Line(asyncio.Transport):
    """The transport of a connection, the network behind it, and the server at its end.

    :param world: has loop, flights, processed, ``after``, and the options of the network.
    :param script: :class:`~sender_peer.Script`. Openings beside its own: "mute": there is no TLS
        handshake; "not http2"; "dies": it ends at once; "no settings".
    :param sock: the socket that it would have.
    :param protocol: what has the transport.

    :ivar tap: what was said, as the client has written and read it.
    :ivar is_open: whether the client neither gave it up nor knows of its end.
    :ivar closed_at: when the loop was done with it, or None.
    """

    def __init__(self, world: "World", script: Script, sock: Any, protocol: Any) -> None:
        super().__init__()
        self._socket = sock
        self.script, self.tap = script, Tap(world.flights)
        self.is_open, self.closed_at = True, None
        self._world, self._loop, self._protocol = world, world.loop, protocol
        self._is_closing = self._is_eof_sent = self._is_paused = False
        self._buffer = bytearray()
        self._room = world.pipe
        self._sent: Deque[bytes] = deque()
        self._coming: Deque[Optional[bytes]] = deque()
        self._has_said_all, self._arrivals = False, 0
        self._faults: List[str] = []
        self._server = ScriptedServer(
            script, world, world.processed, self._tell, self._faults)

    # For the client.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: Optional[int] = None, low: Optional[int] = None,
                                ) -> None:
        """It has its own."""

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._is_eof_sent = True
        self._end_if_sent()

    def write(self, data: Any) -> None:
        if self.is_open:
            # What a transport takes may be sent.
            self.tap.write(bytes(data), self._loop.time())
        if self._is_closing:
            return
        fault = self._faults.pop(0) if self._faults else None
        self._buffer += data[:len(data) // 2] if fault else data
        self._flush()
        if fault:
            self._break(BrokenPipeError("broken pipe"))
        elif len(self._buffer) > self._world.high and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        self.take_leave()
        if not self._is_closing:
            self._is_closing = True
            if not self._buffer:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.take_leave()
        self._break(None)

    def take_leave(self) -> None:
        """Take note that the client is done with it."""
        if self.is_open:
            self.is_open = False
            self.tap.end()

    def _break(self, error: Optional[Exception]) -> None:
        self._buffer.clear()
        if not self._is_closing or error is None:
            self._is_closing = True
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: Optional[Exception]) -> None:
        if self.closed_at is None:
            self.closed_at = self._loop.time()
            self._socket.close()
            self.take_leave()
            self._protocol.connection_lost(error)

    # The way to the server.

    def _flush(self) -> None:
        size = min(len(self._buffer), self._room)
        if size:
            self._sent.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._room -= size
            self._world.after(TRIP / 2, self._arrive)
        self._end_if_sent()

    def _end_if_sent(self) -> None:
        if self._buffer:
            return
        if self._is_eof_sent and not self._has_said_all:
            # The server ends it, too.
            self._is_eof_sent = False
            self._world.after(TRIP / 2, self._hang_up)
        if self._is_closing:
            self._loop.call_soon(self._lose, None)

    def _arrive(self) -> None:
        data = self._sent.popleft()
        self._world.after(TRIP / 2, lambda: self._acknowledge(len(data)))
        self._arrivals += 1
        if self.script.opening in ("no settings", "mute") or self._has_said_all:
            return
        if self.script.opening == "alert" and self._arrivals > 1:
            self._has_said_all = True
            self._say([_ALERT])
        else:
            self._server.receive(data)

    def _acknowledge(self, size: int) -> None:
        self._room += size
        if self.closed_at is not None:
            return
        self._flush()
        if self._is_paused and not self._buffer and not self._is_closing:
            self._is_paused = False
            self._protocol.resume_writing()

    # The way to the client.

    def greet(self) -> None:
        """Have the client know of it."""
        self._protocol.connection_made(self)
        if self.script.opening == "dies":
            self._hang_up()

    def _hang_up(self) -> None:
        if not self._has_said_all:
            self._has_said_all = True
            self._say([None])

    def _tell(self) -> None:
        if self._has_said_all:
            return
        data = self._server.connection.take_output()
        if self.script.opening == "alert":
            # It has taken note of nothing, and acknowledges nothing.
            data = data.replace(SETTINGS_ACK, b"")
        self._has_said_all = self._server.has_last_word
        self._say(list(_cut(data, self.script.cuts)) + [None] * self._has_said_all)

    def _say(self, pieces: List[Optional[bytes]]) -> None:
        self._coming.extend(pieces)
        for _ in pieces:
            self._world.after(TRIP / 2, self._reach)

    def _reach(self) -> None:
        data = self._coming.popleft()
        if self._is_closing:
            return
        if data is _ALERT:
            self.tap.end(is_refused=True)
            self._protocol.data_received(data)
        elif data is not None:
            if self.is_open:
                self._world.read(self.tap, data)
            self._protocol.data_received(data)
        elif self._world.has_resets:
            self._break(ConnectionResetError("connection reset by peer"))
        else:
            self.take_leave()
            self._protocol.eof_received()
            self.close()


def _cut(data: bytes, sizes: Any) -> Any:
    """Yield the pieces of data of these sizes, all over again."""
    lengths, position = itertools.cycle(sizes or [len(data) or 1]), 0
    while position < len(data):
        size = next(lengths)
        yield data[position:position + size]
        position += size


class Plan(NamedTuple):
    """What a caller does.

    :param kind: "single": a task for each notification; "request": the same for requests that are
        not to devices; "many": ``send_many()``.
    :param count: how many.
    :param size: bytes of the payload of each, about.
    :param after: seconds until the caller comes.
    :param timeout: seconds for each, or None.
    :param stays: seconds until it is cancelled, or None.
    :param is_spoilt: whether its first token is none.
    :param ordered: see :meth:`.Client.send_many`; so ``window``.
    :param is_async: whether its iterable is asynchronous, and takes its time.
    :param stops: after how many outcomes it closes the generator, or None.
    :param pause: seconds that it takes for each outcome.
    """

    kind: str
    count: int = 1
    size: int = 0
    after: float = 0.0
    timeout: Optional[float] = None
    stays: Optional[float] = None
    is_spoilt: bool = False
    ordered: bool = False
    window: Optional[int] = None
    is_async: bool = False
    stops: Optional[int] = None
    pause: float = 0.0


class Caller:
    """Somebody who sends something.

    :ivar names: what its requests are known by: device tokens, or ends of paths.
    :ivar outcomes: by name: :class:`~apnsclient.aio.outcome.Outcome`; for a request the response or
        the exception.
    :ivar left: names of those that it has given up.
    :ivar taken: names that ``send_many()`` has taken from its iterable.
    :ivar is_refused: whether ``send_many()`` took nothing, because the pool is closed.
    :ivar began: when it came.
    :ivar ended: when each ended, by name.
    """

    def __init__(self, world: "World", number: int, plan: Plan) -> None:
        self.plan = plan
        self.names = ["%032x%032x" % (number, index) for index in range(plan.count)]
        if plan.is_spoilt and self.names:
            self.names[0] = NO_TOKEN + self.names[0][len(NO_TOKEN):]
        self.outcomes: Dict[str, Any] = {}
        self.left: List[str] = []
        self.taken: List[str] = []
        self.began = 0.0
        self.is_refused = False
        self.ended: Dict[str, float] = {}
        self._world = world
        self._notification = {"aps": {"alert": "x" * plan.size}, "number": number}

    async def run(self) -> None:
        """Come, and stay until all has ended."""
        plan, loop = self.plan, self._world.loop
        await asyncio.sleep(plan.after)
        self.began = loop.time()
        if plan.kind == "many":
            tasks = [loop.create_task(self._send_many())]
        else:
            tasks = [loop.create_task(self._send(name)) for name in self.names]
        if plan.stays is not None:
            self._world.after(plan.stays, lambda: [task.cancel() for task in tasks])
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _note(self, name: str, outcome: Any) -> None:
        assert name not in self.outcomes, "two outcomes"
        self.outcomes[name] = outcome
        self.ended[name] = self._world.loop.time()
        self._world.note_end(name)

    def _leave(self, names: List[str]) -> None:
        self.left += names
        for name in names:
            self._world.note_end(name)

    async def _send(self, name: str) -> None:
        """Send one notification, or another request."""
        plan, world = self.plan, self._world
        try:
            if plan.kind == "request":
                self._note(name, await self._post(name))
            else:
                self._note(name, await world.client.send(name, self._notification,
                                                         timeout=plan.timeout))
        except asyncio.CancelledError:
            self._leave([name])
            raise

    async def _post(self, name: str) -> Any:
        """Return the response to a request, or the exception."""
        plan = self.plan
        deadline = None if plan.timeout is None else self._world.loop.time() + plan.timeout
        try:
            return await self._world.pool.post(
                Request("/4/" + name, {}, b"x" * plan.size, deadline))
        except Exception as error:
            return error

    async def _send_many(self) -> None:
        """Send notifications, and take their outcomes."""
        plan = self.plan
        source: Any = self._take_slowly() if plan.is_async else self._take()
        try:
            outcomes = self._world.client.send_many(
                source, ordered=plan.ordered, window=plan.window, timeout=plan.timeout)
        except Exception as error:
            assert self._world.pool.closing, error
            self.is_refused = True
            if plan.is_async:
                await source.aclose()
            return
        try:
            await self._take_outcomes(outcomes)
        finally:
            await outcomes.aclose()
            self._leave([name for name in self.taken if name not in self.outcomes])

    async def _take_outcomes(self, outcomes: Any) -> None:
        plan = self.plan
        async for outcome in outcomes:
            if plan.ordered:
                assert outcome.token == self.names[len(self.outcomes)]
            self._note(outcome.token, outcome)
            if plan.pause:
                await asyncio.sleep(plan.pause)
            if len(self.outcomes) == plan.stops:
                return

    def _take(self) -> Any:
        for name in self.names:
            self.taken.append(name)
            yield name, self._notification

    async def _take_slowly(self) -> Any:
        for index, name in enumerate(self.names):
            if index % 5 == 4:
                await asyncio.sleep(TRIP)
            self.taken.append(name)
            yield name, self._notification
        if self.plan.stays is not None:
            # Nothing comes, and nobody says so.
            await self._world.loop.create_future()


class World:
    """All there is.

    :param scripts: :class:`~sender_peer.Script` of one connection after the other; those behind
        them are accepted, and so is all that is sent over them.
    :param plans: what callers do.
    :param size: connections of the pool.
    :param queue_size: most requests that wait in its queue.
    :param read_timeout: seconds for a response, or None.
    :param ping_after: idle seconds.
    :param is_token: whether there is a provider token.
    :param pipe: bytes that are on their way to a server at a time.
    :param high: bytes that wait in a transport until it has enough.
    :param has_resets: whether connections end with a reset.
    :param closes: when the pool is closed and how long that may take, in seconds; None for when all
        callers have left.
    :param sizes: ``(seconds, size)``: when the pool has another size.

    :ivar flights: every request that was begun, in order (list of :class:`~sender_peer.Flight`).
    :ivar processed: what servers have processed: list of verdicts by name.
    :ivar begun: how many flights there were of each name when it had ended.
    :ivar gone: what was told of dead tokens.
    :ivar leftovers: what was kept of requests when all had ended.
    :ivar notes: what an observer was told (:class:`~observer_support.Notes`).
    :ivar rooms: how many a campaign might add to the queue at the beginning, and at the end.
    """

    def __init__(self, scripts: List[Script], plans: List[Plan], size: int = 2,
                 queue_size: int = 1000, read_timeout: Optional[float] = None,
                 ping_after: Optional[float] = None, is_token: bool = False, pipe: int = 1 << 20,
                 high: int = 1 << 16, has_resets: bool = False, closes: Any = None,
                 sizes: Any = ()) -> None:
        self.loop = Loop(self)
        self.flights: List[Any] = []
        self.processed: Dict[str, List[Any]] = defaultdict(list)
        self.lines: List[Line] = []
        self.gone: List[Any] = []
        self.begun: Dict[str, int] = {}
        self.pipe, self.high, self.has_resets = pipe, high, has_resets
        self.callers = [Caller(self, number, plan) for number, plan in enumerate(plans)]
        self.ended_at: Dict[int, float] = {}
        self._scripts = deque(scripts)
        self._reached: Dict[Any, Script] = {}
        self._closes, self._sizes = closes, sizes
        self.closes_early = closes is not None
        self.notes = Notes()
        self._options = dict(size=size, queue_size=queue_size, ping_after=ping_after,
                             timing=Timing(1.0, 1, None, 65536, read_timeout, 1.0),
                             observer=self.notes)
        self._credential = Key() if is_token else Nobody()
        self.leftovers: List[Any] = []
        self.rooms: List[int] = []

    def after(self, seconds: float, function: Callable[[], Any]) -> None:
        """Have a function called later."""
        self.loop.call_later(seconds, function)

    async def reach(self, sock: Any) -> None:
        """Connect a socket, which only stands for the connection."""
        script = self._scripts.popleft() if self._scripts else Script()
        if script.opening == "unreachable":
            await self.loop.create_future()
        await asyncio.sleep(TRIP)
        if script.opening == "refused":
            raise ConnectionRefusedError(111, "refused")
        self._reached[sock] = script

    def open_line(self, sock: Any, protocol: Any) -> Line:
        """Return what carries the bytes of a socket that is connected."""
        self.lines.append(Line(self, self._reached.pop(sock), sock, protocol))
        return self.lines[-1]

    def read(self, tap: Tap, data: bytes) -> None:
        """Note what a client reads, and which requests end by that."""
        before = set(tap.in_flight)
        tap.read(data)
        for flight in before - tap.in_flight:
            self.ended_at[id(flight)] = self.loop.time()

    def note_end(self, name: str) -> None:
        """Note that nobody waits for a request any more: nothing more may be sent of it."""
        self.begun[name] = sum(flight.name == name for flight in self.flights)
        for line in self.lines:
            if line.is_open:
                line.tap.withdraw(name)

    def run(self) -> "World":
        """Go on until no caller is left, and nothing moves any more."""
        loop = self.loop
        try:
            loop.run_until_complete(self._run())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(asyncio.sleep(_LONG))
        finally:
            loop.close()
        return self

    def _note_room(self) -> None:
        queue = self.pool.hub.queue
        flow = queue.new_flow()
        self.rooms.append(queue.spare(flow))
        queue.remove_flow(flow)

    async def _run(self) -> None:
        self.pool = Pool(Destination(self._credential, self), **self._options)  # type: ignore
        self.client = Client(self.pool, "com.example.app", None)
        self.pool.hub.on_gone = self.gone.extend
        await self.pool.start()
        self._note_room()
        tasks = [self.loop.create_task(caller.run()) for caller in self.callers]
        for seconds, size in self._sizes:
            self.after(seconds, lambda size=size: self.pool.resize(size))
        if self._closes is not None:
            seconds, timeout = self._closes
            await asyncio.wait([self.loop.create_task(asyncio.sleep(seconds))])
            await self.client.close(timeout)
        await asyncio.gather(*tasks)
        self.last_at = self.loop.time()
        if self._closes is None:
            # Whatever was remembered of a deadline is of the past.
            await asyncio.sleep(_LONG)
            self.leftovers += remains(self.pool.hub)
            self._note_room()
        await self.client.close(1.0)
        self.leftovers += remains(self.pool.hub)


_SKIPPED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType,
            asyncio.AbstractEventLoop, asyncio.Task, str, bytes, int, float)


def remains(root: Any) -> List[Any]:
    """Return requests, and what is about requests, that an object still has."""
    seen, found, waiting = set(), [], [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SKIPPED):
            continue
        seen.add(id(one))
        if isinstance(one, (Post, Work, Call)):
            found.append(one)
        elif not isinstance(one, World):
            waiting += gc.get_referents(one)
    return found
