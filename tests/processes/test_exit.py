"""The end of a program: orderly towards the gateway, and in silence, whatever is left."""

from __future__ import absolute_import, division, print_function

import sys

import pytest
from OpenSSL import SSL

from apnsclient.testing.simulator import Script, Simulator
from net_support import (
    AUTHORITY,
    CLIENT,
    Server,
    await_accepted,
    await_closed,
    make_tokens,
    over_tls,
    run_script,
)

pytestmark = pytest.mark.timeout(240)


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


def test_exit_says_goodbye_for_a_session_that_nobody_can_collect(scripts, tmpdir):
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
        scripts.run_well(PROLOGUE + """
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
def test_exit_is_silent_whatever_is_left(scripts, simulator, files, ending):
    """Cycles, other sessions and an explicit exit make no difference."""
    scripts.run_well(PROLOGUE + "send()\n" + ending + "\n", *files)
    await_closed(simulator)


def test_exit_with_an_unfinished_stream_and_an_unread_feedback_is_silent(scripts, simulator, files):
    """Generators that are still alive at exit end like everything else."""
    simulator.devices.uninstall("01" * 32)
    scripts.run_well(PROLOGUE + """
stream = client.send_many(Message("%064x" % number, alert="hello") for number in range(3))
next(stream)
rows = APNs(session.new_connection((host, FEEDBACK), cert_file=cert_file)).feedback()
next(rows)
""".replace("FEEDBACK", str(simulator.feedback_address[1])), *files)
    await_closed(simulator)


def test_exit_from_an_exception_shows_that_exception_alone(scripts, simulator, files):
    """What a program dies of is all that is on standard error."""
    status, _, errors = scripts.run(PROLOGUE + "send()\nraise KeyError('mine')\n", *files)
    assert status == 1
    assert errors.startswith("Traceback (most recent call last):")
    assert errors.rstrip().endswith("KeyError: 'mine'")
    assert errors.count("Traceback") == 1
    assert "apnsclient" not in errors
    await_closed(simulator)


def test_exit_does_not_wait_long_for_a_peer_that_stalls(scripts, tmpdir):
    """A gateway that neither reads nor closes costs a bounded time, and no noise."""
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Script(stall_after=1))
        scripts.run_well(PROLOGUE + "send()\n", *arguments_for(gateway, tmpdir))


def test_exit_while_threads_are_sending_is_silent(scripts, simulator, files):
    """Daemon threads in the middle of a message do not make the exit noisy, nor hang it.

    Python 2.7 itself is noisy there: it takes the modules apart under the feet of daemon threads.
    """
    status, output, noise = scripts.run(PROLOGUE + """
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
    assert (status, output) == (0, "")
    if sys.version_info[0] > 2:
        assert noise == ""
    await_closed(simulator)


def test_exit_waits_for_threads_that_are_no_daemons(scripts, simulator, files):
    """What an ordinary thread still sends arrives."""
    scripts.run_well(PROLOGUE + """
threads = [threading.Thread(target=send, args=("%064x" % number,)) for number in range(1, 9)]
for thread in threads:
    thread.start()
""", *files)
    await_accepted(simulator, 8)
    assert sorted(simulator.accepted_tokens()) == make_tokens(8)
    await_closed(simulator)


def test_exit_of_a_forked_child_is_silent(scripts, simulator, files):
    """Parent and child both exit like programs, each with connections of its own."""
    scripts.run_well(PROLOGUE + """
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
