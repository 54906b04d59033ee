"""TLS over a transport of the event loop.

The bytes go through the memory engine of the default back-end, so that certificates and keys come
from strings, and verification, proxies and the texts of errors are the same as in the synchronous
client. Nothing is awaited once a stream is open: what arrives is handed on at once, and what is
written goes to the transport, which says when it has enough.
"""

import asyncio
import errno
import logging
import os
import re
import socket
import weakref
from typing import (
    Any,
    AsyncGenerator,
    Awaitable,
    Callable,
    List,
    Optional,
    Protocol,
    Tuple,
)

from OpenSSL import SSL

from .._compat import text_of
from ..backends import _sockets
from ..backends._names import display
from ..backends._proxy import Proxy, Tunnel
from ..backends._tls import Handshake, TransportFailure, Trust, failure_of
from ..backends._tls_certificate import TlsCertificate
from ..errors import ConnectError, ConnectTimeout
from ._connect import connect, look_up

__all__ = ["Endpoint", "Listener", "NoCredential", "TlsStream", "guard_with_loop", "within"]

Address = Tuple[str, int]


class Credential(Protocol):
    """What stands for us: a certificate, a provider token, or nobody."""

    @property
    def source_name(self) -> str:
        """Name of the application for a feedback store."""
        raise NotImplementedError


_ALPN = ("h2",)
#: Most plain bytes that are encrypted together, and that are taken together.
_CHUNK = 65536
#: Bytes that may wait in the transport before nothing more is started.
_MOST_UNSENT = 65536
#: Seconds that an orderly close may take; what is not delivered then is given up.
_LONGEST_CLOSE = 1.0
#: What asyncio says of each address.
_FAILED = "Connect call failed"

_log = logging.getLogger("apnsclient.aio.connection")


class NoCredential:
    """What stands in for a credential where TLS presents none and requests bring their own."""

    source_name = "nobody"

    @staticmethod
    def get_context() -> None:
        """Return None: a handshake does not use it."""


class Endpoint:
    """A server, how to get there, and what we present to it.

    :param address: ``(host, port)``.
    :param credential: a certificate of the default back-end, or a
        :class:`~apnsclient.ProviderToken`.
    :param trust: which servers are trusted.
    :param proxy: the HTTP proxy to connect through, or None.

    :ivar address: see above.
    :ivar credential: see above.
    """

    def __init__(self, address: Address, credential: Credential, trust: Trust,
                 proxy: Optional[Proxy] = None) -> None:
        self.address = address
        self.credential = credential
        self.proxy = proxy
        self._trust = trust
        if isinstance(credential, TlsCertificate):
            self.identity: Any = credential.identity
            self._context = credential.get_context(trust, _ALPN)
        else:
            self.identity = None
            self._context = trust.new_context(None, _ALPN)
        #: TLS session of the last connection, to be resumed by the next one, or None.
        self.session: Any = None

    def __str__(self) -> str:
        where = display(self.address)
        return where if self.proxy is None else "%s through the proxy %s" % (where, self.proxy)

    @property
    def next_hop(self) -> Address:
        """Where TCP leads to: the proxy, or the server."""
        return self.address if self.proxy is None else self.proxy.address

    def new_handshake(self, pipe: "_Pipe") -> Any:
        """Return what has to be driven until TLS is established."""
        if self.proxy is None:
            return self._new_handshake(pipe)
        return Tunnel(pipe, self.proxy, self.address, self.proxy.request(self.address),
                      self._new_handshake)

    def _new_handshake(self, pipe: Any) -> Handshake:
        return Handshake(self._context, self._trust, self.address, pipe, self.session,
                         self.identity, str(self))


class Listener:
    """What whoever uses a stream is told; all methods return at once and raise nothing."""

    def received(self, data: bytes) -> None:
        """Take what the server has sent: at least one byte."""
        raise NotImplementedError

    def lost(self, error: Exception) -> None:
        """Take note that the stream has ended; called once, and last."""
        raise NotImplementedError

    def resumed(self) -> None:
        """Take note that more may be written again."""
        raise NotImplementedError


class _Pipe:
    """A transport as a non-blocking socket, which is how a handshake sees its connection.

    :param transport: where bytes go that are sent.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._received = b""
        self.has_ended = False

    def feed(self, data: bytes) -> None:
        """Take bytes that have arrived."""
        self._received += data

    @property
    def has_data(self) -> bool:
        """True if there is anything to receive, be it the end."""
        return bool(self._received) or self.has_ended

    def take(self) -> bytes:
        """Return what has arrived and was not received."""
        data, self._received = self._received, b""
        return data

    def send(self, data: bytes, flags: int = 0) -> int:
        """Write to the transport, which takes any number of bytes."""
        if self._transport.is_closing():
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._transport.write(bytes(data))
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return what has arrived, b"" at the end.

        :raises BlockingIOError: if nothing is there.
        """
        if self._received:
            data, self._received = self._received[:size], self._received[size:]
            return data
        if self.has_ended:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class TlsStream(asyncio.Protocol):
    """One TLS connection to a server.

    :param endpoint: where it leads to.
    :param listener: is told what comes, once :meth:`start` was called. If nobody has it any more
        the connection is given up: the loop, which has the transport, does not keep it alive.

    :ivar is_writable: whether more may be started (bool): the transport has not too much already.
    """

    def __init__(self, endpoint: Endpoint, listener: Listener) -> None:
        self.is_writable = True
        self._endpoint = endpoint
        self._listener = weakref.ref(listener)
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._pipe: Any = None
        self._handshake: Any = None
        self._engine: Any = None
        # While it is opened: the outcome. Later: whether data is handed on, or kept.
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._is_started = False
        self._early: List[bytes] = []
        self._problem: Optional[Exception] = None
        self._has_ended = self._is_closing = False
        self._closed: asyncio.Future[None] = self._loop.create_future()

    # Opening.

    @classmethod
    async def open(cls, endpoint: Endpoint, listener: Listener,
                   timeout: Optional[float]) -> "TlsStream":
        """Connect, and return a stream whose server is verified and speaks HTTP/2.

        To be awaited by a task of its own, which is cancelled for nobody else.

        :param timeout: seconds for all of it (float), or None.
        :raises ~apnsclient.errors.ConnectTimeout: if that was not enough.
        :raises ~apnsclient.errors.PeerVerificationError: if the server does not verify.
        :raises ~apnsclient.errors.CertificateRefused: if it refuses our certificate.
        :raises ~apnsclient.errors.ConnectError: if there is no connection for another reason.
        """
        stream = cls(endpoint, listener)
        try:
            await within(timeout, stream._open(), lambda: ConnectTimeout(
                "%s is not connected after %s s: %s" % (endpoint, timeout, stream._progress)))
        except BaseException:
            stream.abort()
            raise
        return stream

    @property
    def _progress(self) -> str:
        """How far it has come, for messages."""
        if self._transport is None:
            return "no response to the lookup of its name, or to the connect"
        return str(self._handshake.progress)

    async def _open(self) -> None:
        host, port = self._endpoint.next_hop
        try:
            if isinstance(self._loop, asyncio.BaseEventLoop):
                connected = await connect(await look_up(host, port))
                await self._loop.create_connection(lambda: self, sock=connected)
            else:
                # uvloop leaves the object of a socket that it is given behind, if the connection
                # ends at once, and that closes the descriptor again, whoever has it by then. It
                # tries one address after the other by itself.
                await self._loop.create_connection(lambda: self, host, port)
        except socket.gaierror as error:
            raise ConnectError("cannot look up the host of %s: %s" % (
                self._endpoint, _sockets.describe(error))) from None
        except (OSError, UnicodeError, OverflowError) as error:
            if isinstance(error, ConnectError):
                raise
            raise ConnectError("cannot connect to %s: %s" % (
                self._endpoint, _describe(error))) from None
        await self._opened
        if self._handshake.handshake.alpn_protocol != "h2":
            raise ConnectError("%s does not speak HTTP/2: it did not agree to the protocol \"h2\" "
                               "with ALPN" % self._endpoint)

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake; called by the loop."""
        self._transport = transport
        listener = self._listener()
        if listener is None or self._is_closing:
            # Whoever wanted it has left in the very moment of the connect.
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_MOST_UNSENT)
        weakref.finalize(listener, _give_up, transport, self._loop).atexit = False
        connected = transport.get_extra_info("socket")
        if connected is not None:
            _sockets.set_options(connected)
        self._pipe = _Pipe(transport)
        try:
            self._handshake = self._endpoint.new_handshake(self._pipe)
        except Exception as error:  # pylint: disable=broad-except
            self._end(error)
            return
        self._shake_hands()

    def _shake_hands(self) -> None:
        """Go on with the handshake as far as possible."""
        try:
            while self._handshake.step() is not None:
                if not self._pipe.has_data:
                    return
        except (TransportFailure, OSError) as error:
            self._end_handshake(error)
            return
        except Exception as error:  # pylint: disable=broad-except
            self._endpoint.session = None
            self._end(error)
            return
        self._engine = self._handshake.handshake.engine
        if not self._opened.done():
            self._opened.set_result(None)
        self._feed(self._pipe.take())

    def _end_handshake(self, error: Exception) -> None:
        """End what was not open yet, because the transport has failed."""
        if not isinstance(error, ConnectError):
            self._endpoint.session = None  # It may have been the reason.
            error = ConnectError("cannot connect to %s: %s" % (
                self._endpoint, _sockets.describe(error)))
        self._end(error)

    def start(self) -> None:
        """Tell the listener what has come, and from here on what comes."""
        self._is_started = True
        early, self._early = self._early, []
        if early:
            self._hand_on(b"".join(early))
        if self._problem is not None:
            self._tell(self._problem)

    @property
    def is_resumed(self) -> bool:
        """True if the handshake, which is complete, has resumed an earlier TLS session."""
        return bool(self._handshake.handshake.is_resumed)

    def keep_session(self) -> None:
        """Have the next connection resume the TLS session, which costs a third.

        With TLS 1.3 the server sends it behind the handshake, before anything else.
        """
        self._endpoint.session = self._engine.tls.get_session() or self._endpoint.session

    # What comes.

    def data_received(self, data: bytes) -> None:
        """Take bytes from the transport; called by the loop."""
        if self._engine is None:
            self._pipe.feed(data)
            if not self._opened.done():
                self._shake_hands()
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Decrypt what has come, and hand it on."""
        engine, error = self._engine, None
        plain: List[bytes] = []
        try:
            if data:
                engine.feed(data)
            while True:
                plain.append(engine.open(_CHUNK))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            error = self._end_of_stream()
        except (SSL.Error, OSError) as failure:
            error = failure_of(failure, str(self._endpoint), self._endpoint.identity, engine.tls)
        if plain and not self._has_ended:
            self._hand_on(plain[0] if len(plain) == 1 else b"".join(plain))
        if not (self._is_closing or self._transport.is_closing()):
            unsent = engine.output()
            if unsent:
                # TLS itself has something to say: a new key, an alert.
                self._transport.write(unsent)
        if error is not None:
            self._end(error)

    def _hand_on(self, data: bytes) -> None:
        if not self._is_started:
            self._early.append(data)
            return
        listener = self._listener()
        if listener is not None and not self._is_closing:
            listener.received(data)

    def eof_received(self) -> bool:
        """Take note that the peer sends nothing more; called by the loop."""
        if self._engine is None:
            self._pipe.has_ended = True
            if not self._opened.done():
                self._shake_hands()
        else:
            self._end(self._end_of_stream())
        return False

    def _end_of_stream(self) -> Exception:
        return EOFError("the server ended the connection")

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Take note that the transport has ended; called by the loop."""
        if exc is None:
            self._end(self._end_of_stream())
        elif not self._opened.done():
            self._end_handshake(exc)
        else:
            self._end(failure_of(exc, str(self._endpoint), self._endpoint.identity, None))
        if not self._closed.done():
            self._closed.set_result(None)

    def _end(self, error: Exception) -> None:
        """Close the transport, and tell whoever has to know why."""
        if self._has_ended:
            return
        self._has_ended = True
        self._problem = error
        self.is_writable = False
        if not self._opened.done():
            if isinstance(error, EOFError):
                error = ConnectError("cannot connect to %s: %s" % (self._endpoint, error))
            self._opened.set_exception(error)
        if self._transport is not None and not self._is_closing:
            self._transport.close()
        if self._is_started:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        listener = self._listener()
        if listener is not None and not self._is_closing:
            listener.lost(error)

    # What is written.

    def pause_writing(self) -> None:
        """Take note that the transport has enough; called by the loop."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Take note that the transport takes more; called by the loop."""
        if not self._has_ended and not self._is_closing:
            self.is_writable = True
            listener = self._listener()
            if listener is not None and self._is_started:
                listener.resumed()

    def write(self, data: bytes) -> None:
        """Write, or do nothing if the stream has ended; the listener is told that.

        :param data: any number of bytes. They are kept until the peer takes them.
        """
        if self._has_ended or self._is_closing:
            return
        seal, write = self._engine.seal, self._transport.write
        try:
            if len(data) <= _CHUNK:
                write(bytes(seal(data)))
                return
            for start in range(0, len(data), _CHUNK):
                write(bytes(seal(data[start:start + _CHUNK])))
        except (SSL.Error, OSError) as error:
            # Not at once: whoever writes is in the middle of something.
            self._loop.call_soon(self._end, failure_of(
                error, str(self._endpoint), self._endpoint.identity, self._engine.tls))

    # The end.

    def close(self) -> "asyncio.Future[None]":
        """Close it in an orderly way; the listener is told nothing more.

        What was written is delivered, and the peer's end is waited for, within a second.

        :return: done when the transport is closed.
        """
        if self._is_closing:
            return self._closed
        self._is_closing = True
        self.is_writable = False
        if self._transport is None:
            if not self._closed.done():
                self._closed.set_result(None)
            return self._closed
        if self._has_ended or self._engine is None:
            if self._engine is not None:
                # OpenSSL takes any other end for a reason not to resume the session, as TLS 1.0 did
                # (RFC 5246, 7.2.1).
                self._engine.tls.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
            self._transport.abort()
            return self._closed
        try:
            self._engine.tls.shutdown()
            unsent = self._engine.output()
            if unsent and not self._transport.is_closing():
                self._transport.write(unsent)
            if self._transport.can_write_eof():
                self._transport.write_eof()
        except (SSL.Error, OSError, RuntimeError) as error:
            _log.debug("closing the connection to %s: %s", self._endpoint, text_of(error))
            self._transport.abort()
            return self._closed
        handle = self._loop.call_later(_LONGEST_CLOSE, self._transport.abort)
        self._closed.add_done_callback(lambda _: handle.cancel())
        return self._closed

    def abort(self) -> None:
        """Close it at once; the listener is told nothing more."""
        self._is_closing = True
        self.is_writable = False
        if not self._opened.cancel() and not self._opened.cancelled():
            self._opened.exception()  # Whoever had to know has been told.
        if self._transport is not None:
            self._transport.abort()
        elif not self._closed.done():
            self._closed.set_result(None)


async def within(timeout: Optional[float], step: Awaitable[None],
                  new_error: Callable[[], Exception]) -> None:
    """Await a step; raise another error if it takes longer than so many seconds.

    If whoever awaits this is cancelled, that is what is raised, also if the time is over.
    """
    task = asyncio.ensure_future(step)
    task.add_done_callback(_note_ended)
    try:
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                raise new_error()
    except asyncio.CancelledError:
        task.cancel()
        raise
    task.result()


def _describe(error: Exception) -> str:
    """Return why a TCP connection failed: asyncio names the address in place of the reason."""
    text = str(_sockets.describe(error))
    number = getattr(error, "errno", None)
    if number is not None and _FAILED in text:
        return os.strerror(number)
    # So it is written where several addresses were tried.
    return re.sub(r"\[Errno (\d+)\] " + _FAILED,
                  lambda found: os.strerror(int(found.group(1))), text)


def _note_ended(step: "asyncio.Future[None]") -> None:
    """Take note of a step that nobody waits for any more."""
    if not step.cancelled():
        step.exception()


def _give_up(transport: Any, loop: Any) -> None:
    """Close a transport that nobody uses any more, also where its loop is closed already.

    The garbage collector may call this in any thread.
    """
    try:
        if loop.is_closed():
            transport.abort()
        else:
            loop.call_soon_threadsafe(transport.abort)
    except RuntimeError:
        # Nothing runs there any more that would close the socket; asyncio has no other name for it.
        finish = getattr(transport, "_call_connection_lost", None)
        if finish is not None:
            finish(None)


async def guard_with_loop(abort: Callable[[], None]) -> AsyncGenerator[None, None]:
    """Close connections when the event loop ends under them.

    Before it is closed the loop ends all asynchronous generators that were begun, and so this one.

    :param abort: closes them at once.
    """
    try:
        yield
    finally:
        abort()
