"""The exceptions of the package: one type for each thing that a caller can act on.

``IOError``, ``ValueError`` and ``socket.timeout`` are among the bases, so that code written for
apns-client 0.2, which catches those, keeps working. A back-end may raise any exception of its
library, but it raises :class:`Timeout` (or ``socket.timeout``) if and only if time has run out: for
the binary protocol, silence until the end of the tail timeout means success.
"""

from __future__ import absolute_import, division, print_function

import socket

from ._compat import MYPY, PY2

if MYPY:
    from typing import Optional

__all__ = [
    "APNsError",
    "CertificateError",
    "CertificateRefused",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "PeerVerificationError",
    "ProtocolError",
    "REMEDIES",
    "RequestRejected",
    "Timeout",
    "is_timeout",
]


#: What to do about an error, by name, in terms of the library.
REMEDIES = {
    "another back-end": "set the session's pool to a back-end with ALPN, such as the default one: "
                        "over that a session speaks HTTP/2 to Apple",
    "another gateway": "set the session's protocol to \"http2\", or address to the (host, port) of "
                       "a gateway that still speaks the binary protocol",
    "binary": "if it is a gateway of the binary protocol, set the session's protocol to \"binary\"",
    "certificate or provider token": "give the certificate that belongs to it; a .p8 file is for "
                                     "provider tokens: give it as key_file or key_string, with "
                                     "key_id and team_id",
    "dates": "check this machine's clock; if it is right, the server needs a new certificate",
    "host": "address the server by a name that its certificate is for, or have it present one for "
            "this name; verify=False switches the check off (tests only)",
    "http2": "if it speaks HTTP/2, set the session's protocol to \"http2\"",
    "key": "give it as key_string or key_file, or together with the certificate",
    "key in the same text": "it has to be in the same text as the certificate",
    "other server certificate": "the server needs another certificate; verify=False switches the "
                                "check off (tests only)",
    "proxy": "check the option proxy",
    "proxy's password": "set proxy to \"http://user:password@host:port\"",
    "proxy's special characters": "in the option proxy, special characters of user and password "
                                  "have to be percent-encoded",
    "stronger certificate": "get a new one that is signed with SHA-256 and has a current key: RSA "
                            "with 2048 bits, or elliptic curve P-256",
    "trust": "if this is the right server, set ca_file or ca_string to the certificate of its "
             "authority; verify=False switches the check off (tests only)",
}


class APNsError(Exception):
    """Base class of the exceptions of this package.

    Its text says what happened and what to do about it, in terms of this library. A program whose
    users do not know the library can show ``problem``, and a text of its own for ``remedy``.

    :ivar problem: what happened (str).
    :ivar remedy: what to do about it (str): a key of :data:`REMEDIES`; or None.
    """

    def __init__(self, problem="", remedy=None):
        # type: (str, Optional[str]) -> None
        super(APNsError, self).__init__(problem)
        self.problem = problem
        self.remedy = None  # type: Optional[str]
        if remedy is not None:
            self.advise(remedy)

    def advise(self, remedy, cause=None):
        # type: (str, Optional[str]) -> None
        """Add what to do about it.

        :param remedy: key of :data:`REMEDIES`.
        :param cause: a sentence about the cause, which is added to the problem (str).
        """
        if cause is not None:
            self.problem = "%s. %s" % (self.problem, cause)
        self.remedy = remedy
        self.args = ("%s; %s" % (self.problem, REMEDIES[remedy]),)


class CertificateError(APNsError, ValueError):
    """The provider's certificate, key or passphrase cannot be used; the message says which."""


class Timeout(APNsError, socket.timeout):
    """A read or a write did not finish within its timeout."""


class ConnectionLost(APNsError, IOError):
    """A connection that had been open failed, or was used after it had been closed."""


class ConnectError(APNsError, IOError):
    """No connection could be opened: the name lookup, TCP or TLS failed."""


class ConnectTimeout(ConnectError, Timeout):
    """No connection could be opened within ``connect_timeout``."""


class PeerVerificationError(ConnectError):
    """The server's certificate chain or host name does not verify."""


class CertificateRefused(ConnectError):
    """The server refused our certificate with a TLS alert.

    With TLS 1.3 a client receives the alert only when it first reads, so a back-end may raise this
    while reading as well as while connecting. Nothing that was written has been processed. If the
    server had accepted the certificate, and closes the connection with such an alert later, the
    outcome of what was written is unknown, as with any lost connection: ``send()`` does not raise
    this then.
    """


class ProtocolError(APNsError):
    """The peer violated the protocol.

    :ivar identifier: identifier of the notification concerned (int), or None if there is none.
    """

    def __init__(self, message, identifier=None):
        # type: (str, Optional[int]) -> None
        super(ProtocolError, self).__init__(message)
        self.identifier = identifier


class RequestRejected(APNsError):
    """Apple rejected a broadcast, or a request about channels.

    :ivar status: HTTP status (int), or None.
    :ivar reason: Apple's name of the reason, such as ``"BadChannelId"`` (str), or None.
    """

    def __init__(self, message, status=None, reason=None):
        # type: (str, Optional[int], Optional[str]) -> None
        super(RequestRejected, self).__init__(message)
        self.status = status
        self.reason = reason


def is_timeout(error):
    # type: (BaseException) -> bool
    """Return True if an exception of a back-end means that time has run out, and nothing else.

    From Python 3.10 on ``socket.timeout`` is ``TimeoutError``, which is also raised when the system
    gives up a dead connection (``ETIMEDOUT``). Only the latter has an error number. The module
    ``ssl`` of Python 2.7 raises an ``SSLError``, which only its text identifies.
    """
    if PY2 and type(error).__name__ == "SSLError" and "timed out" in str(error):
        return True
    return (isinstance(error, socket.timeout) and error.errno is None
            and not isinstance(error, ConnectError))
