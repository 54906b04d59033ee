"""A client for the tests of the simulator: bytes over blocking TLS, and frames put together here.

It shares no code with the client that the package ships: what is wrong in both must not cancel out.
"""

from __future__ import absolute_import, division, print_function

import errno
import socket
import struct
from binascii import unhexlify

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

TOKEN = b"\x01" * 32
PAYLOAD = b'{"aps":{"alert":"Hi"}}'


def simple(token=TOKEN, payload=PAYLOAD):
    """Return a frame of command 0."""
    return b"".join((b"\0", struct.pack(">H", len(token)), token,
                     struct.pack(">H", len(payload)), payload))


def enhanced(identifier, token=TOKEN, payload=PAYLOAD, expiry=77):
    """Return a frame of command 1."""
    return b"".join((b"\1", struct.pack(">II", identifier, expiry), simple(token, payload)[1:]))


def modern(identifier, token=TOKEN, payload=PAYLOAD, expiry=77, priority=10):
    """Return a frame of command 2; None leaves an item out."""
    items = b""
    if token is not None:
        items += struct.pack(">BH", 1, len(token)) + token
    if payload is not None:
        items += struct.pack(">BH", 2, len(payload)) + payload
    if identifier is not None:
        items += struct.pack(">BHI", 3, 4, identifier)
    if expiry is not None:
        items += struct.pack(">BHI", 4, 4, expiry)
    if priority is not None:
        items += struct.pack(">BHB", 5, 1, priority)
    return struct.pack(">BI", 2, len(items)) + items


def error_frame(status, identifier):
    """Return what the gateway sends."""
    return struct.pack(">BBI", 8, status, identifier)


def feedback_row(when, token):
    """Return a row of the feedback list; the token in hexadecimal."""
    raw = unhexlify(token)
    return struct.pack(">IH", when, len(raw)) + raw


class Client(object):
    """A blocking TLS connection.

    :param address: ``(host, port)``.
    :param pem: client certificate with its key; None presents none.
    :param earlier: client whose TLS session is to be resumed.
    """

    def __init__(self, address, pem, earlier=None):
        context = client_context(pem) if earlier is None else earlier.tls.get_context()
        self.socket = socket.create_connection(address)
        self.tls = SSL.Connection(context, self.socket)
        self.tls.set_connect_state()
        if earlier is not None:
            self.tls.set_session(earlier.tls.get_session())
        try:
            self.tls.do_handshake()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def send(self, *frames):
        """Send frames; what the other side does not take is an error."""
        self.tls.sendall(b"".join(frames))

    def read(self, size):
        """Read so many bytes, or fewer if the stream ends."""
        data = bytearray()
        while len(data) < size:
            try:
                data += self.tls.recv(size - len(data))
            except SSL.ZeroReturnError:
                break
        return bytes(data)

    def read_to_end(self):
        """Read until close-notify, end the stream on this side too, and return what was read."""
        data = self.read(1 << 30)
        self.tls.shutdown()
        self.socket.shutdown(socket.SHUT_WR)
        return data

    def has_been_reset(self):
        """Wait for the end of the stream; return True if it is a reset."""
        try:
            self.tls.recv(1)
        except SSL.SysCallError as error:
            return error.args[0] == errno.ECONNRESET
        except SSL.ZeroReturnError:
            pass
        return False

    def end_stream(self):
        """Send close-notify and the end of the stream; reading goes on."""
        self.tls.shutdown()
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Reset the connection."""
        reset(self.socket)

    def close(self):
        """Close the socket, without a word of TLS."""
        self.socket.close()


def reset(sock):
    """Reset a TCP connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def client_context(pem):
    """Return a TLS context with a certificate; who the server is does not matter here."""
    context = SSL.Context(SSL.SSLv23_METHOD)
    if pem is None:
        return context
    pem = pem.encode("ascii")
    try:
        context.use_certificate(x509.load_pem_x509_certificate(pem, default_backend()))
        context.use_privatekey(
            serialization.load_pem_private_key(pem, None, default_backend()))
    except TypeError:
        # Older versions of pyOpenSSL take their own types only.
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, pem))
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, pem))
    return context


def gateway_client(simulator, **options):
    """Connect to the gateway with the simulator's own client certificate."""
    return Client(simulator.gateway_address, simulator.cert_string, **options)


def feedback_client(simulator):
    """Connect to the feedback service."""
    return Client(simulator.feedback_address, simulator.cert_string)
