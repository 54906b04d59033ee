"""The server's end of a TLS connection, moved by hand, and the socket that waits for clients.

A rule says what the peer does next, step by step: send these bytes, end the stream, take nothing
more. Between the steps a peer does nothing at all, not even in a thread of its own. Only the
handshake happens aside, because the back-end waits for it.

TLS is spoken in memory over a plain socket. So a record can be cut at any byte, and where sockets
are made cooperative by a green library, the peer is cooperative as well.
"""

from __future__ import absolute_import, division, print_function

import errno
import socket
import struct
import threading

import six
from OpenSSL import SSL
from six.moves import queue

from ..._compat import MYPY, PY2
from .. import server_tls
from ..certs import Authority

if MYPY:
    from typing import Any, List, Optional, Sequence, Tuple

    from ..certs import Credential

__all__ = ["HOST", "Peer", "Server", "new_context"]

#: Name that all peers are reached by. Some TLS libraries verify names, and no IP addresses.
HOST = "localhost"

#: Most bytes of a TLS record.
_RECORD = 16384
_RECEIVE_SIZE = 65536

#: Errors that say that the client has hung up without further ado.
_HANG_UPS = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.EBADF)


def new_context(credential, clients, is_required=True, alpn=(), tls_1_3=True):
    # type: (Credential, Authority, bool, Sequence[str], bool) -> Tuple[SSL.Context, List[List[bytes]]]
    """Return a server's context, and a list that notes what each client offers with ALPN.

    :param credential: certificate and key of the server.
    :param clients: authority that clients' certificates must come from.
    :param is_required: whether a client without a certificate is refused.
    :param alpn: protocols that the server speaks (sequence of str); an empty one chooses none.
    :param tls_1_3: False allows TLS 1.2 only.
    """
    context = server_tls.new_context(credential.pem, b"apnsclient-contract", tls_1_3=tls_1_3)
    server_tls.ask_for_certificates(context, clients.ca_string, is_required)
    offers = []  # type: List[List[bytes]]

    def choose(connection, offered):
        # type: (Any, List[bytes]) -> Any
        offers.append(list(offered))
        for name in offered:
            if six.ensure_str(name) in alpn:
                return name
        return SSL.NO_OVERLAPPING_PROTOCOLS

    context.set_alpn_select_callback(choose)
    return context, offers


class Peer(object):
    """The server's end of one connection. Used by one thread at a time.

    :param accepted: socket that a client has connected to.
    :param context: SSL.Context to speak TLS with; None speaks none.
    :param patience: longest time in seconds (float) that one step may take.
    """

    def __init__(self, accepted, context, patience):
        # type: (Any, Optional[SSL.Context], float) -> None
        accepted.settimeout(patience)
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.error:
            pass  # The client has reset the connection, and macOS minds.
        self._socket = accepted
        self._plain = b""
        #: How the client's stream has ended: "close-notify", "end", "reset" or
        #: "no TLS"; None if it has not.
        self.ending = None  # type: Optional[str]
        if context is not None:
            self._tls = SSL.Connection(context, None)
            self._tls.set_accept_state()

    def shake_hands(self):
        # type: () -> None
        """Complete the handshake; raise what OpenSSL and the socket raise."""
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except SSL.WantReadError:
                self._flush()
                if not self._fill():
                    raise socket.error(errno.ECONNRESET, "the client has left the handshake")
            except SSL.Error:
                self._flush()  # The alert that says why.
                raise

    @property
    def certificate(self):
        # type: () -> Any
        """Certificate that the client presented, as an object of ``cryptography``, or None."""
        certificate = self._tls.get_peer_certificate()
        return None if certificate is None else certificate.to_cryptography()

    # What the peer says.

    def seal(self, data):
        # type: (bytes) -> bytes
        """Return what has to be sent for the client to get ``data``; see :meth:`send_raw`."""
        self._tls.sendall(data)
        return self._output()

    def seal_end(self):
        # type: () -> bytes
        """Return what has to be sent for the client to get a close-notify."""
        self._tls.shutdown()
        return self._output()

    def send(self, data):
        # type: (bytes) -> None
        """Send ``data`` to the client."""
        for begin in range(0, len(data), _RECORD):
            self.send_raw(self.seal(data[begin:begin + _RECORD]))

    def send_raw(self, sealed):
        # type: (bytes) -> None
        """Send bytes as they are."""
        self._socket.sendall(sealed)

    def end(self):
        # type: () -> None
        """End the stream with a close-notify; what the client says can still be received."""
        self._tls.shutdown()
        self._flush()
        self._socket.shutdown(socket.SHUT_WR)

    def end_rudely(self):
        # type: () -> None
        """End the stream without a close-notify."""
        self._socket.shutdown(socket.SHUT_WR)

    def hang_up(self):
        # type: () -> None
        """End both directions; whatever the client still says is met with a reset.

        May be called while another thread uses the peer, which is woken. So the descriptor is not
        closed yet: it might be somebody else's by the time that the other thread comes to use it.
        """
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except (socket.error, ValueError):
            pass

    def close(self):
        # type: () -> None
        """Close the socket, which nobody uses any more."""
        self._socket.close()

    def reset(self):
        # type: () -> None
        """Close the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    # What the client says.

    def receive(self, size):
        # type: (int) -> bytes
        """Return so many bytes of the client's, or fewer if its stream ends before."""
        while len(self._plain) < size and self.ending is None:
            self._plain += self._receive()
        data, self._plain = self._plain[:size], self._plain[size:]
        return data

    def receive_all(self):
        # type: () -> bytes
        """Return what the client sends until the end of its stream; see :attr:`ending`."""
        pieces, self._plain = [self._plain], b""
        while self.ending is None:
            pieces.append(self._receive())
        return b"".join(pieces)

    def receive_raw(self, size):
        # type: (int) -> bytes
        """Return up to ``size`` bytes as they are; ``b""`` at the end, also after a reset."""
        try:
            data = self._socket.recv(size)  # type: bytes
            return data
        except socket.timeout:
            raise
        except socket.error as error:
            if error.errno not in _HANG_UPS:
                raise
            self.ending = "reset"
            return b""

    def _receive(self):
        # type: () -> bytes
        """Return some plain bytes; none if the stream has ended."""
        while True:
            try:
                data = self._tls.recv(_RECEIVE_SIZE)  # type: bytes
                return data
            except SSL.ZeroReturnError:
                self.ending = "close-notify"
                return b""
            except SSL.WantReadError:
                self._flush()
                if not self._fill():
                    return b""
            except SSL.Error:
                self.ending = "no TLS"
                return b""

    def _fill(self):
        # type: () -> bool
        data = self.receive_raw(_RECEIVE_SIZE)
        if data:
            self._tls.bio_write(data)
        else:
            self.ending = self.ending or "end"
        return bool(data)

    def _flush(self):
        # type: () -> None
        sealed = self._output()
        if sealed:
            self._socket.sendall(sealed)

    def _output(self):
        # type: () -> bytes
        pieces = []  # type: List[bytes]
        try:
            while True:
                pieces.append(self._tls.bio_read(_RECEIVE_SIZE))
        except SSL.WantReadError:
            return b"".join(pieces)


class Server(object):
    """A listening socket; its thread accepts connections and makes their handshakes, one by one.

    :param context: SSL.Context of the server; None makes no handshakes.
    :param patience: longest time in seconds (float) that anything may take.
    :param receive_buffer: size in bytes of the kernel's buffer for what clients send.
    :param offers: the list that came with the context, see :func:`new_context`.

    :ivar offers: what each client has offered with ALPN (list of lists of bytes).
    """

    def __init__(self, context, patience, receive_buffer=None, offers=()):
        # type: (Optional[SSL.Context], float, Optional[int], Sequence[List[bytes]]) -> None
        self.offers = offers
        self._context = context
        self._patience = patience
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(50)
        #: ``(host, port)`` to connect to.
        self.address = HOST, self._listener.getsockname()[1]
        self._arrived = queue.Queue()  # type: Any
        self._peers = []  # type: List[Peer]
        self._may_respond = threading.Event()
        self._may_respond.set()
        self._is_over = False
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.daemon = True
        self._thread.start()

    def hold_back(self):
        # type: () -> None
        """Say nothing to clients, until :meth:`respond` is called or the server is closed."""
        self._may_respond.clear()

    def respond(self):
        # type: () -> None
        """Make the handshakes that were held back."""
        self._may_respond.set()

    @property
    def has_accepted(self):
        # type: () -> bool
        """True once a client has connected, whether or not there was a handshake."""
        return bool(self._peers)

    def peer(self):
        # type: () -> Peer
        """Return the peer of the next connection, as soon as it is ready.

        :raises AssertionError: if no client comes, or the handshake failed.
        """
        peer, problem = self.outcome()
        if problem is not None:
            raise AssertionError("the handshake failed on the server's side: %r" % (problem,))
        return peer

    def outcome(self):
        # type: () -> Tuple[Peer, Optional[Exception]]
        """Return the next peer, and what the handshake failed with on this side, None for nothing.

        :raises AssertionError: if no client comes.
        """
        try:
            arrived = self._arrived.get(True, self._patience)  # type: Tuple[Peer, Any]
            return arrived
        except queue.Empty:
            raise AssertionError("no connection has come to the server within %g s"
                                 % self._patience)

    def _serve(self):
        # type: () -> None
        while True:
            try:
                accepted = self._listener.accept()[0]
            except socket.error:
                if not self._is_abandoned:
                    raise
                # In the child, the threading module does not know this thread: it must not end.
                threading.Event().wait()
            if self._is_over:
                accepted.close()
                return
            peer = Peer(accepted, self._context, self._patience)
            self._peers.append(peer)
            if self._is_over:
                peer.hang_up()
            problem = None  # type: Optional[Exception]
            try:
                self._may_respond.wait()
                if self._context is not None:
                    peer.shake_hands()
            except Exception as error:
                problem = error
                if not PY2:
                    error.__traceback__ = None  # It would keep this frame alive.
            self._arrived.put((peer, problem))

    def hang_up(self):
        # type: () -> None
        """Hang up on all clients, also on those that come later."""
        self._is_over = True
        self.respond()
        for peer in list(self._peers):
            peer.hang_up()

    def abandon(self):
        # type: () -> None
        """Leave the clients to the parent, in a forked child.

        Threads do not get there, but what a green library makes of them does: it would take clients
        away from the parent.
        """
        self._is_over = self._is_abandoned = True
        self._listener.close()

    def close(self):
        # type: () -> None
        """Hang up on all clients, and listen no more."""
        self.hang_up()
        last = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            last.connect(("127.0.0.1", self.address[1]))
        except socket.error:
            pass
        self._thread.join(self._patience)
        last.close()
        self._listener.close()
        for peer in self._peers:
            peer.close()
