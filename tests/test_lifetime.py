"""The end of sessions and connections: collected, at the interpreter's exit, in silence."""

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
    AUTHORITY,
    CLIENT,
    SILENCE,
    SOON,
    Backend,
    Script,
    Server,
    await_accepted,
    await_closed,
    client_of,
    make_tokens,
    over_tls,
    run_script,
)

pytestmark = pytest.mark.timeout(240)

counts_references = pytest.mark.skipif(
    platform.python_implementation() != "CPython", reason="collection has its own time here")


@pytest.fixture
def files(simulator, tmpdir):
    """Arguments for a program: host, port, and the files of authority and client certificate."""
    return arguments_for(simulator, tmpdir)


def arguments_for(gateway, tmpdir):
    """Return the same for any simulator."""
    tmpdir.join("ca.pem").write(gateway.ca_string)
    tmpdir.join("cert.pem").write(gateway.cert_string)
    return [gateway.gateway_address[0], str(gateway.gateway_address[1]),
            str(tmpdir.join("ca.pem")), str(tmpdir.join("cert.pem"))]


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


PROLOGUE = """
import sys, threading
from apnsclient import APNs, Message, Session
host, port, ca_file, cert_file = sys.argv[1:]
session = Session(ca_file=ca_file, read_tail_timeout=0.2)
client = APNs(session.get_connection((host, int(port)), cert_file=cert_file))
def send(token="01" * 32):
    result = client.send(Message(token, alert="hello"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None), result
"""


def test_exit_with_an_open_session_is_orderly_and_silent(simulator, files):
    """A program need not shut its sessions down: no noise, and the gateway sees a proper end."""
    run_script(PROLOGUE + "send()\n", *files)
    await_accepted(simulator, 1)
    await_closed(simulator)


def test_exit_says_goodbye_for_a_session_that_nobody_can_collect(tmpdir):
    """A session that a daemon thread holds is closed with a close-notify, not cut off."""
    ends = []

    def listen(tls):
        try:
            while True:
                tls.recv(65536)
        except SSL.ZeroReturnError:
            ends.append("close-notify")
        except SSL.Error:
            ends.append("cut off")

    tmpdir.join("ca.pem").write(AUTHORITY.ca_string)
    tmpdir.join("cert.pem").write(CLIENT.pem)
    with Server(over_tls(listen)) as server:
        run_script(PROLOGUE + """
def hold(session):
    # Sleeps in C: Python 2.7 wakes up to look at an Event, at the exit too, and complains.
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
thread = threading.Thread(target=hold, args=(session,))
thread.daemon = True
send()
thread.start()
""", server.address[0], str(server.address[1]), str(tmpdir.join("ca.pem")),
                   str(tmpdir.join("cert.pem")))
    assert ends == ["close-notify"]


@pytest.mark.parametrize("ending", [
    "client.cycle = client; del client, session",
    "client.cycle = client; session.cycle = client",
    "other = Session(ca_file=ca_file); del session, client",
    "import gc; gc.disable(); session.me = session; del session, client, send",
    "sys.modules['__main__'].keep = [session, client, send()]",
    "sys.exit(0)",
])
def test_exit_is_silent_whatever_is_left(simulator, files, ending):
    """Cycles, other sessions and an explicit exit make no difference."""
    run_script(PROLOGUE + "send()\n" + ending + "\n", *files)
    await_closed(simulator)


def test_exit_with_an_unfinished_stream_and_an_unread_feedback_is_silent(simulator, files):
    """Generators that are still alive at exit end like everything else."""
    simulator.devices.uninstall("01" * 32)
    run_script(PROLOGUE + """
stream = client.send_many(Message("%064x" % number, alert="hello") for number in range(3))
next(stream)
rows = APNs(session.new_connection((host, FEEDBACK), cert_file=cert_file)).feedback()
next(rows)
""".replace("FEEDBACK", str(simulator.feedback_address[1])), *files)
    await_closed(simulator)


def test_exit_from_an_exception_shows_that_exception_alone(simulator, files):
    """What a program dies of is all that is on standard error."""
    status, _, errors = Script(PROLOGUE + "send()\nraise KeyError('mine')\n", *files).finish()
    assert status == 1
    assert errors.startswith("Traceback (most recent call last):")
    assert errors.rstrip().endswith("KeyError: 'mine'")
    assert errors.count("Traceback") == 1
    assert "apnsclient" not in errors
    await_closed(simulator)


def test_exit_does_not_wait_long_for_a_peer_that_stalls(tmpdir):
    """A gateway that neither reads nor closes costs a bounded time, and no noise."""
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Behaviour(stall_after=1))
        script = Script(PROLOGUE + "send()\n", *arguments_for(gateway, tmpdir))
        assert script.finish(limit=SOON) == (0, "", "")


def test_exit_while_threads_are_sending_is_silent(simulator, files):
    """Daemon threads in the middle of a message do not make the exit noisy, nor hang it.

    Python 2.7 itself is noisy there: it takes the modules apart under the feet of daemon threads.
    """
    script = Script(PROLOGUE + """
started = threading.Semaphore(0)
def forever():
    while True:
        send()
        started.release()
for number in range(4):
    thread = threading.Thread(target=forever)
    thread.daemon = True
    thread.start()
for number in range(8):
    started.acquire()
""", *files)
    status, output, noise = script.finish()
    assert (status, output) == (0, "")
    if sys.version_info[0] > 2:
        assert noise == ""
    await_closed(simulator)


def test_exit_waits_for_threads_that_are_no_daemons(simulator, files):
    """What an ordinary thread still sends arrives."""
    run_script(PROLOGUE + """
threads = [threading.Thread(target=send, args=("%064x" % number,)) for number in range(1, 9)]
for thread in threads:
    thread.start()
""", *files)
    await_accepted(simulator, 8)
    assert sorted(simulator.accepted_tokens()) == make_tokens(8)
    await_closed(simulator)


def test_exit_of_a_forked_child_is_silent(simulator, files):
    """Parent and child both exit like programs, each with connections of its own."""
    run_script(PROLOGUE + """
import os
send()
child = os.fork()
if child == 0:
    send("02" * 32)
else:
    assert os.waitpid(child, 0)[1] == 0
    send("03" * 32)
""", *files)
    numbers = {one.token: one.connection for one in simulator.accepted}
    assert numbers == {"01" * 32: 1, "02" * 32: 2, "03" * 32: 1}
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
