"""A program that ends with a connection of the default back-end around."""

from __future__ import absolute_import, division, print_function

import pytest

from stdio_support import AUTHORITY, CLIENT, GONE, Server, discard, over_tls

EXIT = """
from apnsclient.backends.stdio import Backend
{before}
backend = Backend(ca_string={ca!r})
connection = backend.get_new_connection(
    ("127.0.0.1", {port}), backend.get_certificate(dict(cert_string={pem!r})), 20)
connection.write(b"x" * 1000, 10)
{after}
"""

OWNER = """
class Owner(object):
    def __del__(self):
        self.connection.close()
owner = Owner()
"""

USER = """
from apnsclient.errors import ConnectionLost
class User(object):
    def __del__(self):
        for use in lambda: self.connection.write(b"x", 1), lambda: self.connection.peek(1):
            try:
                use()
            except ConnectionLost:
                pass
        self.connection.close()
"""

# At exit all modules may be one piece of garbage, and pyOpenSSL's list of connections with them.
COLLECT = """
import gc
from OpenSSL import SSL
user = User()
user.cycle, user.connection = user, connection
SSL.Connection._reverse_mapping.clear()
del backend, connection, user
gc.collect()
"""


@pytest.mark.parametrize("before, after", [
    ("", ""),
    ("", "connection.cycle = connection"),
    ("", "connection.close()"),
    ("import atexit", "atexit.register(connection.close)"),
    (OWNER, "owner.connection = connection"),
    (OWNER, "owner.connection = connection; owner.cycle = owner"),
    (USER, COLLECT),
], ids=["dropped", "cycle", "closed", "atexit", "finaliser", "finaliser in cycle", "freed before"])
def test_interpreter_exits_without_noise(scripts, before, after):
    """Nothing appears on standard error when the interpreter ends with a connection around."""
    with Server(over_tls(discard), ignore=GONE) as server:
        scripts.run_well(EXIT.format(port=server.address[1], pem=CLIENT.pem,
                                     ca=AUTHORITY.ca_string, before=before, after=after))
