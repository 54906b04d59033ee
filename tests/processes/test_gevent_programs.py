"""Programs that use the green back-end: monkey-patched and not, their exit, and what they lack."""

from __future__ import absolute_import, division, print_function

import os

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

from gevent_support import await_green, noting_the_end
from net_support import SOON, make_tokens, run_script
from stdio_support import AUTHORITY, CLIENT, SSL

pytestmark = pytest.mark.timeout(240)

PATCH = "from gevent import monkey\nmonkey.patch_all()\n"
PATCHED = pytest.mark.parametrize("patch", ["", PATCH], ids=["unpatched", "patched"])
PROTOCOLS = pytest.mark.parametrize("protocol", ["http2", "binary"])

#: The beginning of every program.
BEGIN = """
import io, sys
import gevent
from apnsclient import APNs, Message, Session

host, port, protocol, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
with io.open(folder + "/ca.pem", encoding="ascii") as stream:
    ca = stream.read()

def new_session(**options):
    options.setdefault("pool", "apnsclient.backends.gevent")
    return Session(protocol=protocol, ca_string=ca, connect_timeout=60, **options)

def client_of(session):
    return APNs(session.get_connection((host, port), cert_file=folder + "/cert.pem"))

def send(client, number):
    result = client.send(Message(["%064x" % number], alert="x", apns_topic="com.example.app"))
    assert not (result.failed or result.errors or result.retry()), result
"""


@pytest.fixture
def arguments_for(tmpdir):
    """A function that returns the arguments of a program."""
    def make(protocol, address, ca_string, cert_string):
        tmpdir.join("ca.pem").write(ca_string)
        tmpdir.join("cert.pem").write(cert_string)
        return [address[0], str(address[1]), protocol, str(tmpdir)]

    return make


@pytest.fixture
def arguments(simulator, arguments_for):
    """The same for the simulator."""
    def make(protocol):
        address = (simulator.gateway_address if protocol == "binary"
                   else simulator.provider_address)
        return arguments_for(protocol, address, simulator.ca_string, simulator.cert_string)

    return make


@PROTOCOLS
def test_a_thousand_greenlets_of_a_patched_program(simulator, arguments, protocol):
    """Each token is accepted once, over few connections, and the program ends without a word."""
    run_script(PATCH + BEGIN + """
from gevent.lock import BoundedSemaphore
session = new_session(pool_size=4, read_tail_timeout=0.001)
client = client_of(session)
gate = BoundedSemaphore(4 if protocol == "binary" else 1000)

def one(number):
    with gate:
        send(client, number)

greenlets = [gevent.spawn(one, number) for number in range(1, 1001)]
gevent.joinall(greenlets, raise_error=True)
""", *arguments(protocol))
    assert simulator.wait_for(lambda: simulator.accepted_count >= 1000, SOON)
    assert sorted(simulator.accepted_tokens()) == make_tokens(1000)
    assert 1 <= simulator.connections + simulator.provider_connections <= 4


def test_threads_of_a_patched_program_are_greenlets(simulator, arguments):
    """They wait for slots and for locks as all others do."""
    run_script(PATCH + BEGIN + """
import threading
session = new_session(pool_size=2)
client = client_of(session)
threads = [threading.Thread(target=send, args=(client, number)) for number in range(1, 101)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
session.shutdown()
""", *arguments("http2"))
    assert sorted(simulator.accepted_tokens()) == make_tokens(100)
    assert simulator.provider_connections <= 2


def test_sockets_are_the_systems_own(simulator, arguments):
    """Also where gevent has put its own in their place: those belong to one thread."""
    output = run_script(PATCH + BEGIN + """
import _socket, datetime, socket
session = new_session()
send(client_of(session), 1)
connection, = session.pool.pop_outdated(datetime.timedelta(0))
assert isinstance(connection._socket, _socket.socket)
print(isinstance(connection._socket, socket.socket))
connection.close()
""", *arguments("http2"))
    assert output.strip() == "False"


@PATCHED
@pytest.mark.parametrize("end", [
    "",
    "held = [session]\ndel session, client\nheld.pop()\n",
    "gevent.spawn(gevent.sleep, 1000)\n",
], ids=["at exit", "collected", "with others left"])
def test_the_end_of_a_program_is_silent_and_proper(arguments_for, patch, end):
    """What is in the pool is closed with all the words that closing takes."""
    ends = []
    with noting_the_end(ends) as server:
        run_script(patch + BEGIN + """
session = new_session(read_tail_timeout=0)
client = client_of(session)
send(client, 1)
""" + end, *arguments_for("binary", server.address, AUTHORITY.ca_string, CLIENT.pem))
        await_green(lambda: ends)
    assert ends == [SSL.ZeroReturnError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_of_a_patched_program(simulator, arguments):
    """``os.fork()`` is gevent's there; both sides go on sending."""
    run_script(PATCH + BEGIN + """
import os
# Otherwise gevent begins to watch for the ends of children after it has forked the first.
gevent.get_hub().loop.install_sigchld()
session = new_session(pool_size=1)
client = client_of(session)
send(client, 1)
child = os.fork()
if child == 0:
    try:
        greenlets = [gevent.spawn(send, client, number) for number in (2, 3)]
        gevent.joinall(greenlets, raise_error=True)
        session.shutdown()
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
send(client, 4)
session.shutdown()
""", *arguments("http2"))
    numbers = {one.token: one.connection for one in simulator.accepted}
    assert [numbers[token] for token in make_tokens(4)] == [1, 2, 2, 1]


def test_a_program_without_gevent_is_told_what_to_install():
    """The message names the extra."""
    output = run_script("""
import sys
sys.modules["gevent"] = None
from apnsclient import Session
try:
    Session(pool="apnsclient.backends.gevent")
except ImportError as error:
    print(error)
""")
    assert "pip install gevent" in output


def test_nobody_else_imports_gevent():
    """Neither the package nor its default back-end does."""
    output = run_script("""
import sys
import apnsclient, apnsclient.backends.stdio, apnsclient.testing.simulator
print("gevent" in sys.modules)
""")
    assert output.strip() == "False"
