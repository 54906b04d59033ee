"""TLS in memory: encrypts and decrypts bytes, and does not use sockets.

OpenSSL does not get the socket, for two reasons. In OpenSSL 4.0, unlike 3.1, a failed write to its
socket puts the whole TLS connection into an error state, so that an error frame of the gateway,
which had arrived before, could not be read any more. And several TLS records can be sent with one
system call.

Moving bytes through memory takes an additional call for each write. :class:`DirectEngine` saves
more than that by bypassing pyOpenSSL's wrappers, which take half the time of a small write. It
relies on names that pyOpenSSL does not document, and that have not changed since 2014; if one of
them is missing, :class:`Engine` does the same with the documented ones.
"""

from __future__ import absolute_import, division, print_function

import weakref

from OpenSSL import SSL

from .._compat import MYPY

if MYPY:
    from typing import Any, List, Optional, Tuple

#: pyOpenSSL with the names that it does not document.
_openssl = SSL  # type: Any

__all__ = ["CHUNK", "DirectEngine", "Engine", "best_engine"]

#: Most plain bytes that :meth:`Engine.seal` takes at once: four full TLS records.
CHUNK = 65536
#: An upper bound of what encryption adds to one chunk: headers and tags of four records.
_OVERHEAD = 1024


def _forget(memory):
    # type: (Any) -> None
    """Do nothing; called with a weak reference."""


class Engine(object):
    """The client's end of a TLS connection, in memory.

    Methods raise the exceptions of pyOpenSSL: ``WantReadError`` if more data has to be fed first.

    :param context: SSL.Context for the connection.

    :ivar is_drained: True if :meth:`open` can return nothing before more is fed; False if it may
        have data.
    """

    is_drained = False

    def __init__(self, context):
        # type: (SSL.Context) -> None
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()
        # With a callback it is cleared before any finalizer runs; without one Python 3.15 waits.
        self._memory = weakref.ref(getattr(self.tls, "_ssl", self.tls), _forget)

    @property
    def is_freed(self):
        # type: () -> bool
        """True if OpenSSL's memory was freed, or is about to be: then it must not be used any more.

        That is so in finalizers that run while the interpreter exits. It collects all that is left
        as one piece of garbage, modules included, and frees that memory, which is a finalizer as
        well, in no particular order.
        """
        return self._memory() is None

    def feed(self, data):
        # type: (bytes) -> None
        """Take bytes from the peer."""
        self.tls.bio_write(data)

    def open(self, size):
        # type: (int) -> bytes
        """Return up to ``size`` plain bytes of what was fed."""
        data = self.tls.recv(size)  # type: bytes
        return data

    def output(self):
        # type: () -> bytes
        """Return the bytes to send to the peer, b"" if there are none."""
        return self._output(CHUNK)

    def _output(self, size):
        # type: (int) -> bytes
        """Return all bytes to send, reading them in pieces of ``size`` bytes."""
        pieces = [b""]  # type: List[bytes]
        try:
            while True:
                pieces.append(self.tls.bio_read(size))
                if len(pieces[-1]) < size:
                    break
        except SSL.WantReadError:
            pass
        return b"".join(pieces) if len(pieces) > 2 else pieces[-1]

    def seal(self, data):
        # type: (Any) -> Any
        """Encrypt ``data``; return the bytes to send to the peer.

        :param data: 1 to :data:`CHUNK` bytes.
        :return: bytes or a view of them, which is valid until the next call.
        """
        tls = self.tls
        sent = tls.send(data)
        if sent != len(data):
            rest = memoryview(data)
            while sent != len(data):
                sent += tls.send(rest[sent:])
        return self._output(sent + _OVERHEAD)


class DirectEngine(Engine):
    """Faster; see the docstring of the module."""

    def __init__(self, context):
        # type: (SSL.Context) -> None
        super(DirectEngine, self).__init__(context)
        self._ssl = self.tls._ssl
        self._sealed = self.tls._from_ssl
        self._fed = self.tls._into_ssl
        self._feed = _openssl._lib.BIO_write
        self._write = _openssl._lib.SSL_write
        self._read_sealed = _openssl._lib.BIO_read
        self._read = _openssl._lib.SSL_read
        self._error_of = _openssl._lib.SSL_get_error
        self._want_read = _openssl._lib.SSL_ERROR_WANT_READ
        self._make_room(4096)
        self._plain_room = 0
        # Type and arguments: an exception would keep the frames of the reader alive.
        self._problem = None  # type: Optional[Tuple[type, Any]]

    def feed(self, data):
        # type: (bytes) -> None
        """Take bytes from the peer."""
        done = self._feed(self._fed, data, len(data))
        if done != len(data):
            self.tls.bio_write(data[max(done, 0):])  # It raises what is to be raised.

    def open(self, size):
        # type: (int) -> bytes
        """Return up to ``size`` plain bytes, from as many TLS records as are there."""
        if self._problem is not None:
            kind, arguments = self._problem
            raise kind(*arguments)
        self.is_drained = False
        if size > self._plain_room:
            self._plain_room = size
            self._plain = _openssl._ffi.new("char[]", size)
        done = 0
        while done < size:
            count = self._read(self._ssl, self._plain + done, size - done)
            if count <= 0:
                # The usual end is worth no exception, which pyOpenSSL would raise.
                if done and self._error_of(self._ssl, count) == self._want_read:
                    self.is_drained = True
                else:
                    self._stop_reading(count, done)
                break
            done += count
        data = _openssl._ffi.buffer(self._plain, done)[:]  # type: bytes
        return data

    def _stop_reading(self, result, done):
        # type: (int, int) -> None
        """Raise the exception for the result of a read; after ``done`` bytes at the next call."""
        try:
            self.tls._raise_ssl_error(self._ssl, result)
        except SSL.WantReadError:
            self.is_drained = True
            if not done:
                raise
        except SSL.Error as error:
            if not done:
                raise
            self._problem = type(error), error.args

    def output(self):
        # type: () -> bytes
        """Return the bytes to send to the peer; see the base class."""
        length = self._read_sealed(self._sealed, self._buffer, self._room)
        if length <= 0:
            return b""
        return self._view[:length].tobytes() + super(DirectEngine, self).output()

    def seal(self, data):
        # type: (Any) -> Any
        """Encrypt ``data``; see the base class."""
        size = len(data)
        if size + _OVERHEAD > self._room:
            self._make_room(size + _OVERHEAD)
        if data.__class__ is not bytes:
            self._write_rest(data, 0)
        else:
            done = self._write(self._ssl, data, size)
            if done != size:
                self._write_rest(data, done)
        length = self._read_sealed(self._sealed, self._buffer, self._room)
        if length == self._room:  # There were other bytes to send.
            return self._view.tobytes() + self.output()
        return self._view[:max(length, 0)]

    def _write_rest(self, data, done):
        # type: (Any, int) -> None
        """Encrypt the rest after one call of OpenSSL, which returned ``done``."""
        size = len(data)
        done = max(done, 0)
        whole = _openssl._ffi.from_buffer(data)
        while done < size:
            more = self._write(self._ssl, whole + done, size - done)
            # If OpenSSL fails, pyOpenSSL raises the exception. It fails for lack of input before
            # the first byte or not at all, so nothing is encrypted twice.
            done += more if more > 0 else self.tls.send(memoryview(data)[done:])

    def _make_room(self, size):
        # type: (int) -> None
        self._room = size
        self._buffer = _openssl._ffi.new("char[]", size)
        self._view = memoryview(_openssl._ffi.buffer(self._buffer))


def _best_engine(module):
    # type: (Any) -> type
    """Return the fastest engine for which pyOpenSSL's ``module`` has the names."""
    probe = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    has_names = all([
        hasattr(getattr(module, "_lib", None), "SSL_write"),
        hasattr(getattr(module, "_lib", None), "SSL_read"),
        hasattr(getattr(module, "_lib", None), "BIO_read"),
        hasattr(getattr(module, "_lib", None), "BIO_write"),
        hasattr(getattr(module, "_lib", None), "SSL_get_error"),
        hasattr(getattr(module, "_lib", None), "SSL_ERROR_WANT_READ"),
        hasattr(getattr(module, "_ffi", None), "from_buffer"),
        hasattr(probe, "_ssl"), hasattr(probe, "_from_ssl"), hasattr(probe, "_into_ssl"),
        hasattr(probe, "_raise_ssl_error")])
    return DirectEngine if has_names else Engine


#: The class of the engine of each connection; it is called with an SSL.Context.
best_engine = _best_engine(_openssl)
