"""The connections of stdio and gevent: TLS in memory over a non-blocking socket.

An operation is tried first and waited for only if it has to be. Timeouts are absolute for their
call, so a peer that moves one byte at a time cannot stretch them.
"""

from __future__ import absolute_import, division, print_function

import socket

import six
from OpenSSL import SSL

from .._compat import MYPY
from .._interrupts import is_interrupt
from ..errors import APNsError, ConnectError, ConnectionLost, Timeout
from . import BaseConnection, _closing, _sockets, _tls
from ._engine import CHUNK
from ._names import display

if MYPY:
    from typing import Any, Callable, Iterable, List, Optional, Tuple

    from ..certificate import BaseCertificate
    from ._sockets import Interest
    from ._waiting import Waiting

    Address = Tuple[str, int]

__all__ = ["Connection"]

#: Most bytes that TLS puts into one record; no read returns more.
_RECORD = 16384

#: Most bytes that a write reads ahead, where TLS has it read first.
_STASH = 1 << 20

#: How often one attempt to read receives, at most: a peer may send records without data for ever,
#: and the reader has a deadline.
_MOST_RECEIVES = 16


class Connection(BaseConnection):
    """An established TLS connection; made by the back-end's ``get_new_connection()``.

    :param address: ``(host, port)`` that it leads to.
    :param certificate: certificate, or what stands in its place, that it was opened with.
    :param connected: non-blocking socket; the connection owns it.
    :param handshake: completed Handshake over that socket.
    :param keep_session: called with the TLS session when there is one worth keeping.
    :param waiting: how to wait for the socket.
    """

    #: Longest time in seconds that :meth:`close` takes to see everything delivered.
    close_timeout = 1.0

    def __init__(self, address, certificate, connected, handshake, keep_session, waiting):
        # type: (Address, BaseCertificate, Any, _tls.Handshake, Callable[[Any], None], Waiting) -> None  # noqa: E501
        self._waiting = waiting  # The base class asks for the time.
        super(Connection, self).__init__(address, certificate)
        self._where = display(address)
        self._provider = handshake.identity
        self._socket = connected
        self._engine = handshake.engine
        self._keep_session = keep_session
        self._has_kept = False
        #: Whether the handshake resumed an earlier TLS session (bool).
        self.session_reused = handshake.is_resumed
        self.alpn_protocol = handshake.alpn_protocol
        self._stash = b""
        self._unsent = b""
        self._must_read = False  # Before writing: TLS had something to send.
        self._is_fed = True  # OpenSSL may hold input that came with the handshake.
        self._has_written = False
        self._has_ended = False
        self._is_closed = False
        self._is_problem_known = False  # An operation has raised it.
        self._read_problem = None  # type: Optional[Tuple[type, str]]
        self._write_problem = None  # type: Optional[str]

    def clock(self):
        # type: () -> float
        """Return the time by which the back-end waits; see the base class."""
        return self._waiting.clock()

    def reset(self):
        # type: () -> None
        """Forget what was received and not read, also what is still in OpenSSL."""
        self._stash = b""
        if self._is_fed:
            is_known = self._is_problem_known
            try:
                while self._receive(_RECORD, 0):
                    pass
            except Exception:
                if is_interrupt():
                    raise
                self._is_problem_known = is_known  # The next read raises it.

    @property
    def tls_version(self):
        # type: () -> str
        """Name of the version of TLS, such as ``"TLSv1.3"`` (str)."""
        return six.ensure_str(self._engine.tls.get_protocol_version_name())

    def server_chain(self, is_verified=True):
        # type: (bool) -> List[Any]
        """Return the server's certificates as objects of ``cryptography``: its own first.

        :param is_verified: True for the chain that was verified, with a trusted one at its end;
            False for what the server has presented (bool).
        """
        tls = self._engine.tls
        found = (tls.get_verified_chain() if is_verified else tls.get_peer_cert_chain()) or []
        return [one.to_cryptography() for one in found]

    def unacknowledged(self):
        # type: () -> int
        """Return what the system knows; see the base class."""
        return _sockets.unacknowledged(self._socket)

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Read what has arrived; see the base class.

        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        :raises ~apnsclient.errors.CertificateRefused: if the server has refused our certificate.
        """
        if self._stash:
            data, self._stash = self._stash[:size], self._stash[size:]
            return data
        return self._receive(size)

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Read, waiting for at least one byte; see the base class.

        :raises ~apnsclient.errors.Timeout: if nothing came in time.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        :raises ~apnsclient.errors.CertificateRefused: if the server has refused our certificate.
        """
        data = self.peek(size)
        if data is None:
            deadline = self._waiting.deadline(timeout)
            while data is None:
                if not self._waiting.wait_for(self._directions(), deadline):
                    raise Timeout("nothing came from %s within %s s" % (self._where, timeout))
                data = self._receive(size)
        return data or None

    def interests(self):
        # type: () -> List[Interest]
        """Return what has to be waited for until :meth:`peek` may have something.

        :return: pairs as ``Waiting.wait()`` takes them; none if it may have something now.
        """
        if (self._stash or self._is_fed or self._has_ended or self._is_closed
                or self._read_problem is not None or self._is_out_of_reach):
            return []
        return self._directions()

    def _directions(self):
        # type: () -> List[Interest]
        """Return what a read has to wait for."""
        if self._unsent and self._write_problem is None:
            return [(self._socket, False), (self._socket, True)]
        return [(self._socket, False)]

    def _receive(self, size, most=None):
        # type: (int, Optional[int]) -> Optional[bytes]
        """Do what :meth:`peek` does, without the stash.

        :param most: how often to receive from the socket, at most (int).
        """
        if self._read_problem is not None:
            self._is_problem_known = True
            kind, text = self._read_problem
            raise kind(text)
        if self._is_closed or self._is_out_of_reach:
            raise ConnectionLost(self._unusable())
        if self._has_ended:
            return b""
        try:
            return self._open(size, _MOST_RECEIVES if most is None else most)
        except SSL.ZeroReturnError:
            self._end_stream()
            return b""
        except BaseException as error:
            self._fail_read(error)
            raise

    def _open(self, size, most):
        # type: (int, int) -> Optional[bytes]
        """Receive and decrypt; raise what OpenSSL and the socket raise."""
        size = min(size, CHUNK)
        data = None  # type: Optional[bytes]
        for left in range(most, -1, -1):
            if self._is_fed:
                data = None
                try:
                    data = self._engine.open(size)
                    self._is_fed = not self._engine.is_drained
                except SSL.WantReadError:
                    self._is_fed = False
                self._send_unsent()
                if data is not None:
                    self._keep_session_once()
                    return data
            elif self._unsent:
                self._send_unsent()  # What did not fit the last time.
            data = _sockets.try_receive(self._socket) if left else None
            if data is None:
                break
            if not data:
                self._end_stream()
                return b""
            self._engine.feed(data)
            self._is_fed = True
        return None

    def _fail_read(self, error):
        # type: (BaseException) -> None
        """Stop reads after ``error``; raise the exception of ours that stands for it, if any."""
        if isinstance(error, (SSL.Error, socket.error)) and not is_interrupt():
            failure = self._failure_of(error)
            self._stop_reads(failure)
            six.raise_from(failure, None)
        # What was received last may be lost, and nobody could decrypt what follows.
        self._stop_reads(ConnectionLost("an earlier read from %s did not finish" % self._where))

    def _failure_of(self, error):
        # type: (Exception) -> Exception
        return _tls.failure_of(error, self._where, self._provider, self._engine.tls)

    def _stop_reads(self, failure):
        # type: (Exception) -> None
        """Have each further read raise the same, and each write fail."""
        self._read_problem = type(failure), str(failure)
        self._is_problem_known = True
        self._stop_writes(str(failure))

    def _send_unsent(self):
        # type: () -> None
        """Send records of TLS's own, such as the response to a new key, as far as possible."""
        self._unsent += self._engine.output()
        if not self._unsent or self._write_problem is not None:
            return
        self._must_read = True
        try:
            self._unsent = self._unsent[_sockets.try_send(self._socket, self._unsent):]
        except socket.error as error:
            # No reason to lose what is being read.
            self._stop_writes(str(self._failure_of(error)))

    def _end_stream(self):
        # type: () -> None
        self._has_ended = True
        self._stop_writes("%s has ended the connection" % self._where)

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Write all of it, or raise; see the base class.

        :raises ~apnsclient.errors.Timeout: if the peer did not take all in time.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        """
        # Each chunk of a batch comes through here, so nothing is asked before it is tried.
        if self._is_out_of_reach:
            raise ConnectionLost(self._unusable())
        self._has_written = True
        deadline = None
        try:
            if len(data) > CHUNK:
                self._write_long(data, self._waiting.deadline(timeout))
                return
            try:
                sealed = self._seal(data)
            except SSL.WantReadError:
                deadline = self._waiting.deadline(timeout)
                sealed = self._seal_later(data, deadline)
            sent = _sockets.try_send(self._socket, sealed)
            if sent != len(sealed):
                self._send(sealed[sent:], deadline or self._waiting.deadline(timeout))
        except BaseException as error:
            self._fail_write(error)
            raise

    def _write_long(self, data, deadline):
        # type: (bytes, _sockets.Deadline) -> None
        """Write more than OpenSSL is given at once."""
        view = memoryview(data)
        for begin in range(0, len(data), CHUNK):
            chunk = view[begin:begin + CHUNK]
            try:
                sealed = self._seal(chunk)
            except SSL.WantReadError:
                sealed = self._seal_later(chunk, deadline)
            self._send(sealed, deadline)

    def _seal_later(self, data, deadline):
        # type: (Any, _sockets.Deadline) -> Any
        """Encrypt when OpenSSL has to read first, because the peer renegotiates."""
        while True:
            received = self._receive(_RECORD)
            if received:
                self._stash += received
            try:
                return self._seal(data)
            except SSL.WantReadError:
                if deadline.is_over() or not received and not self._waiting.wait_for(
                        self._directions(), deadline):
                    raise self._too_late(deadline)

    def _send(self, sealed, deadline):
        # type: (Any, _sockets.Deadline) -> None
        """Send all of what is encrypted already."""
        while True:
            sealed = sealed[_sockets.try_send(self._socket, sealed):]
            if not sealed:
                return
            if not self._waiting.wait_for([(self._socket, True)], deadline):
                raise self._too_late(deadline)

    def _too_late(self, deadline):
        # type: (_sockets.Deadline) -> Timeout
        return Timeout("%s did not take what was written within %s s"
                       % (self._where, deadline.timeout))

    def _fail_write(self, error):
        # type: (BaseException) -> None
        """Stop writes after ``error``; raise the exception of ours that stands for it, if any."""
        if (isinstance(error, (SSL.Error, socket.error)) and not isinstance(error, APNsError)
                and not is_interrupt()):
            failure = self._failure_of(error)
            self._stop_writes(str(failure))
            six.raise_from(failure, None)
        self._stop_writes("an earlier write to %s did not finish" % self._where)

    def _stop_writes(self, problem):
        # type: (str) -> None
        """Have each further write raise; what has arrived can still be read."""
        if self._write_problem is None:
            self._write_problem = problem

    def _seal(self, data):
        # type: (Any) -> Any
        """Encrypt, if the connection can still be written to."""
        if self._write_problem is not None:
            raise ConnectionLost(self._unusable())
        if self._must_read:
            return self._seal_after_reading(data)
        return self._engine.seal(data)

    def _seal_after_reading(self, data):
        # type: (Any) -> Any
        """Encrypt behind what TLS itself had to send, when all that has come is read.

        It may be a new handshake, which fails in OpenSSL if unread data of the peer is in its way.
        """
        for _ in range(_STASH // _RECORD):
            received = self._receive(_RECORD) if len(self._stash) < _STASH else None
            if self._has_ended:
                raise ConnectionLost(self._unusable())
            if received is None:
                break
            self._stash += received
        sealed = self._engine.seal(data)
        sealed, self._unsent = self._unsent + bytes(bytearray(sealed)), b""
        self._must_read = False
        return sealed

    @property
    def _is_out_of_reach(self):
        # type: () -> bool
        """True if nothing can be read or written: it is the parent's, or the interpreter exits."""
        return self.is_inherited or self._engine.is_freed

    def _unusable(self):
        # type: () -> str
        """Return why the connection cannot be used."""
        if self.is_inherited:
            return ("the connection to %s belongs to the parent process; open another one after "
                    "fork()" % self._where)
        if self._engine.is_freed:
            return "the interpreter exits, and has freed the connection to %s" % self._where
        return self._write_problem or "the connection to %s is closed" % self._where

    def closed(self):
        # type: () -> bool
        """Return True if the connection is of no more use; see the base class.

        If the server never accepted us, it is False until a read has raised that: the next
        :meth:`peek` does.
        """
        is_known = self._is_problem_known
        try:
            if self._is_closed or self._is_out_of_reach:
                return True
            if not self._stash:
                self._stash = self._receive(_RECORD) or b""
                self._keep_session_once()
            return not self._stash and self._write_problem is not None
        except ConnectError:
            self._is_problem_known = is_known
            return is_known
        except Exception:
            if is_interrupt():
                raise
            return True

    def _keep_session_once(self):
        # type: () -> None
        """Keep the session while the connection lives on, for those opened beside it.

        Not right after the handshake: with TLS 1.3 the server's tickets come later, but before
        data.
        """
        if not self._has_kept:
            self._has_kept = True
            self._keep_session(self._engine.tls.get_session())

    def close(self):
        # type: () -> None
        """Close the connection; see the base class.

        An intact connection over which something was written is closed gracefully, within
        :attr:`close_timeout`. One over which nothing was written, and which was not read to its
        end, is reset: anything else would tell a server that sends unasked, as the feedback service
        does, that all of it has been taken.
        """
        self.close_together([self], self._waiting)

    def abort(self):
        # type: () -> None
        """Close the connection at once; see the base class.

        The peer gets a close-notify if that can be sent without waiting.
        """
        farewell = None if self._is_closed else self._graceful_close()
        if farewell is not None:
            farewell.step()
        self._stop_writes("the connection to %s was given up" % self._where)
        self.close()

    @staticmethod
    def close_together(connections, waiting):
        # type: (Iterable[Connection], Waiting) -> None
        """Do what :meth:`close` does to several connections, in the time that one takes."""
        closing = [one for one in connections if one._begin_close()]
        try:
            graceful = [one._graceful_close() for one in closing]
            _closing.close_gracefully([each for each in graceful if each is not None], waiting)
            for one, each in zip(closing, graceful):
                if each is not None:
                    one.received_on_close = each.received
        except Exception:
            if is_interrupt():
                raise
            # Nothing can be done, and at the interpreter's exit nothing can be logged.
        finally:
            for one in closing:
                one._finish()

    def _begin_close(self):
        # type: () -> bool
        """Note that the connection is being closed; return True if it was not yet."""
        is_first = not self._is_closed
        self._is_closed = True
        return is_first

    def _graceful_close(self):
        # type: () -> Optional[_closing.GracefulClose]
        """Return what has to be done before the socket is closed, None if that is nothing."""
        if self._write_problem is not None or not self._has_written or self.is_inherited:
            return None
        return _closing.GracefulClose(self._socket, self._engine, self._unsent,
                                      self._waiting.deadline(self.close_timeout))

    def _finish(self):
        # type: () -> None
        """Keep the session and close the socket."""
        try:
            if not self.is_inherited:
                if not self._has_written and not self._has_ended:
                    _sockets.abandon(self._socket)
                self._keep_last_session()
        except Exception:
            if is_interrupt():
                raise
            # As above.
        finally:
            self._stop_writes("the connection to %s is closed" % self._where)
            self._socket.close()

    def _keep_last_session(self):
        # type: () -> None
        if self._engine.is_freed:
            return
        # OpenSSL takes a session for spoiled when its connection ends without a close-notify.
        self._engine.tls.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        if self._read_problem is None:
            self._keep_session(self._engine.tls.get_session())
