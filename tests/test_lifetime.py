"""The end of sessions and connections: collected in silence."""

from __future__ import absolute_import, division, print_function

import gc
import platform
import sys
import threading
import weakref

import pytest
from OpenSSL import SSL

from apnsclient import APNs, Message, Session
from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.tls import ChaosTLS
from apnsclient.testing.simulator import Script as Behaviour
from apnsclient.testing.simulator import Simulator
from net_support import (
    SILENCE,
    SOON,
    Backend,
    await_accepted,
    await_closed,
    client_of,
    make_tokens,
)

pytestmark = pytest.mark.timeout(240)

counts_references = pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="collection has its own time here")


@pytest.fixture
def no_collector():
    """Without the cyclic collector: what goes now goes because nothing refers to it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def make_client(simulator, **options):
    """Return a client whose session nobody else refers to, and its back-end."""
    options.setdefault("read_tail_timeout", SILENCE)
    backend = Backend(ca_string=simulator.ca_string)
    return client_of(Session(pool=backend, **options), simulator), backend


@counts_references
def test_a_session_that_is_dropped_closes_its_pool(simulator, no_collector):
    """With the last reference go the connections, closed in an orderly manner."""
    client, backend = make_client(simulator)
    assert client.send(Message(make_tokens(3), alert="hello")).retry() is None
    connection = backend.made[0]
    assert not connection.closed()
    del client
    assert connection.closed()
    await_closed(simulator)
    await_accepted(simulator, 3)


@counts_references
def test_a_handle_keeps_its_session_alive(simulator, no_collector):
    """A client may outlive every other reference to its session."""
    client, backend = make_client(simulator)
    for _ in range(2):
        client.send(Message(make_tokens(1), alert="hello"))
    assert len(backend.made) == 1


@counts_references
@pytest.mark.parametrize("status", [None, 8, 10])
def test_messages_and_connections_go_with_their_last_reference(simulator, no_collector, status):
    """Nothing waits for the cyclic collector: neither message nor result nor connection."""
    if status is not None:
        simulator.script(Behaviour(status_at={2: status}))
    client, backend = make_client(simulator)
    message = Message(make_tokens(3), alert="hello")
    result = client.send(message)
    connection = backend.made.pop()
    gone = [weakref.ref(one) for one in (message, result, connection, client, backend)]
    del message, result, connection, client, backend
    assert [one() for one in gone] == [None] * 5


@counts_references
def test_a_failed_connect_leaves_nothing_behind(simulator, no_collector):
    """An exception holds what it needs; when it is gone, everything is."""
    simulator.script(Behaviour(refuse=True))
    client, backend = make_client(simulator)
    message = Message(make_tokens(3), alert="hello")
    gone = [weakref.ref(one) for one in (message, client, backend)]
    try:
        client.send(message)
    except IOError:
        pass
    else:
        pytest.fail("it connected")
    if sys.version_info[0] == 2:
        sys.exc_clear()
    del message, client, backend
    assert [one() for one in gone] == [None] * 3


def count_tls():
    """Return how many TLS connections there are, of whichever side."""
    return sum(1 for one in gc.get_objects() if type(one) is SSL.Connection)


@counts_references
@pytest.mark.parametrize("is_terminated", [False, True], ids=["passed-on", "terminated"])
@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_closed_connections_leave_openssl_nothing(protocol, is_terminated, no_collector):
    """Nor do those of simulator and proxy: each has a hundred kilobytes there, uncounted by Python.

    The collector goes by the number of objects, so thousands of connections could wait for it.
    """
    before, options = count_tls(), {}
    with Simulator() as simulator:
        if is_terminated:
            options = {"tls": ChaosTLS.from_authority(simulator.authority),
                       "protocol": "http2" if protocol == "http2" else "apns"}
        address = (simulator.provider_address if protocol == "http2"
                   else simulator.gateway_address)
        with ChaosProxy(address, **options) as proxy:
            session = Session(protocol=protocol, ca_string=simulator.ca_string,
                              read_tail_timeout=SILENCE)
            client = APNs(session.get_connection(
                proxy.address, cert_string=simulator.cert_string))
            for _ in range(3):
                assert client.send(Message(make_tokens(3), alert="hello")).retry() is None
                session.shutdown()
            await_accepted(simulator, 9)
    # Their threads have ended, and with them what was on its way.
    assert count_tls() <= before


@counts_references
def test_abandoned_generators_leave_nothing_behind(simulator, no_collector):
    """A stream, and a feedback generator, that are dropped give everything back."""
    client, backend = make_client(simulator, read_tail_timeout=0)
    stream = client.send_many(Message([token], alert="hello") for token in make_tokens(5))
    next(stream)
    simulator.devices.uninstall(make_tokens(1)[0])
    session = Session(ca_string=simulator.ca_string)
    rows = APNs(session.new_connection(
        simulator.feedback_address, cert_string=simulator.cert_string)).feedback()
    next(rows)
    gone = [weakref.ref(one) for one in (client, backend.made.pop(), backend, session)]
    del client, stream, backend, session, rows
    assert [one() for one in gone] == [None] * 4
    await_closed(simulator)


def test_a_thread_that_ends_leaves_its_connection_to_others(simulator, new_session):
    """Connections belong to the session, not to the thread that opened them."""
    client = client_of(new_session(read_tail_timeout=SILENCE), simulator)
    for _ in range(3):
        thread = threading.Thread(
            target=client.send, args=(Message(make_tokens(1), alert="hello"),))
        thread.start()
        thread.join(SOON)
    await_accepted(simulator, 3)
    assert simulator.connections == 1
