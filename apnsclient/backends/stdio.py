"""The default back-end: sockets, ``select()`` and pyOpenSSL. It blocks the calling thread.

Nearly all of it is in ``_tls_backend`` and shared with the green back-end.
"""

from __future__ import absolute_import, division, print_function

import logging
import threading

from .._compat import MYPY
from ._connection import Connection
from ._tls_backend import TlsBackend
from ._tls_certificate import TlsCertificate
from ._waiting import ThreadWaiting

if MYPY:
    from typing import Any

__all__ = ["Backend", "Certificate", "Connection"]


class Certificate(TlsCertificate):
    """A provider's certificate, loaded with pyOpenSSL; never from the terminal.

    The PEM text may hold intermediate certificates, which are sent to the server, in any order, and
    the private key. Where a string and a file are given for the same thing, the file is used. An
    expired or not yet valid certificate loads, with a warning in the log.

    :raises ~apnsclient.errors.CertificateError: if certificate, key or passphrase cannot be used.
    """

    logger = logging.getLogger(__name__)


class Backend(TlsBackend):
    """Opens connections with sockets and pyOpenSSL.

    :param ca_file: name of a file with the certificates of the authorities to trust, in PEM format,
        instead of the system's store.
    :param ca_string: the same as text (str or bytes). With both, both count.
    :param verify: False switches off the verification of the server's certificate chain and host
        name (bool): for tests only.
    :param proxy: ``http://host:port`` or ``http://user:password@host:port`` of an HTTP proxy (str)
        that opens the way to all servers with ``CONNECT``. Special characters of user and password
        are percent-encoded there. TLS is spoken with the server, not with the proxy. What the proxy
        has taken counts as having reached the server's system.
    :param pool_size: see :class:`~apnsclient.backends.BaseBackend`.
    :param use_cache_for_reconnects: see :class:`~apnsclient.backends.BaseBackend`.
    :raises ~apnsclient.errors.CertificateError: if ``ca_file`` or ``ca_string`` cannot be used.
    :raises ValueError: if ``proxy`` cannot be used.
    """

    certificate_class = Certificate
    waiting = ThreadWaiting()

    def create_lock(self):
        # type: () -> Any
        """Return a new ``threading.RLock``."""
        return threading.RLock()
