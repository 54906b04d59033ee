"""The pytest plugin: what its fixtures give to somebody else's tests.

Each test here is a suite of a few lines that another pytest runs. One child process runs them all,
one after the other: an import of pytest and of the client costs more than such a suite.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLUGIN = "apnsclient.testing.pytest_plugin"

#: Runs pytest for each line of its input, which has folder and arguments, and writes the status.
#: Nothing but pytest is imported when the first suite begins. What a suite prints is in a file.
CHILD = """
import json, os, sys
import pytest

told, null = os.fdopen(os.dup(1), "w"), os.open(os.devnull, os.O_WRONLY)
for line in iter(sys.stdin.readline, ""):
    folder, arguments = json.loads(line)
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(output, number)
    path = list(sys.path)
    status = pytest.main([str(argument) for argument in arguments])
    # The next suite has the same name.
    sys.path[:] = path
    sys.modules.pop("test_it", None)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (1, 2):
        os.dup2(null, number)
    os.close(output)
    told.write("%d\\n" % status)
    told.flush()
"""


@contextlib.contextmanager
def running(is_installed):
    """Start the child; yields a function that runs a suite in it."""
    environment = dict(os.environ)
    if not is_installed:
        environment["PYTHONPATH"] = ROOT
    child = subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)

    def run(folder, arguments):
        try:
            child.stdin.write(json.dumps([str(folder), arguments]).encode("ascii") + b"\n")
            child.stdin.flush()
            status = int(child.stdout.readline())
        except BaseException:
            # What hangs in one test must not be asked by the next one.
            child.kill()
            raise
        return status, folder.join("output.txt").read_binary().decode("utf-8", "replace")

    try:
        yield run
    finally:
        child.stdin.close()
        child.stdout.close()
        status = child.wait()
    assert status == 0


@pytest.fixture(scope="module")
def is_installed(pytestconfig):
    """Whether pytest finds the plugin by itself; to name it as well would be an error."""
    return pytestconfig.pluginmanager.has_plugin("apnsclient")


@pytest.fixture(scope="module")
def shared_child(is_installed):
    """The child that all tests of this module share."""
    with running(is_installed) as run:
        yield run


def run_suite(child, is_installed, folder, text, arguments=(), ini=u""):
    """Run pytest on the text of a test file; return exit status and output."""
    folder.join("pytest.ini").write_text(
        u"[pytest]\naddopts = -p no:cacheprovider --strict-markers\n"
        u"filterwarnings =\n    error\n    ignore:Python\n" + ini, "utf-8")
    folder.join("test_it.py").write_text(
        u"from apnsclient import Message\nTOKEN = 'aa' * 32\n" + text, "utf-8")
    plugin = [] if is_installed else ["-p", PLUGIN]
    return child(folder, plugin + list(arguments))


@pytest.fixture
def run(tmpdir, is_installed, shared_child):
    """A function that runs pytest on the text of a test file; returns exit status and output."""
    def run_text(text, arguments=(), ini=u""):
        return run_suite(shared_child, is_installed, tmpdir, text, arguments, ini)

    return run_text


def test_a_client_of_either_protocol_is_joined_to_the_simulator_through_a_proxy(run):
    """``apns_client`` pushes through the proxy of its service, which is harmless unless told."""
    status, output = run(u'''
import pytest

@pytest.mark.parametrize("protocol, service", [("binary", "gateway"), ("http2", "provider")])
def test_push(apns_client, apns_chaos, apns_simulator, protocol, service):
    client = apns_client(protocol, read_tail_timeout=0.1)
    assert not client.send(Message(TOKEN, alert="x")).needs_retry()
    assert apns_simulator.wait_for(lambda: apns_simulator.accepted_tokens() == [TOKEN], 20)
    proxy = apns_chaos(service)
    assert (proxy.connection_count, proxy.fault_count) == (1, 0)
    assert proxy.backend == getattr(apns_simulator, service + "_address")
''')

    assert status == 0 and "2 passed" in output, output


def test_each_service_has_a_proxy_of_its_own(run):
    """The factory returns the same proxy for the same service, and takes faults for it alone."""
    status, output = run(u'''
import pytest

def test_proxies(apns_chaos, apns_simulator, apns_session):
    services = ["gateway", "feedback", "provider", "channels"]
    assert len(set(apns_chaos(each).address for each in services)) == 4
    assert apns_chaos("feedback", "100:delay") is apns_chaos("feedback")
    assert [apns_chaos(each).behavior for each in services] == ["", "100:delay", "", ""]
    assert apns_chaos() is apns_chaos("gateway")
    with pytest.raises(ValueError, match="'mail'.*gateway"):
        apns_chaos("mail")

def test_the_next_one_has_proxies_of_its_own(apns_chaos):
    assert apns_chaos("feedback").behavior == ""
''')

    assert status == 0 and "2 passed" in output, output


def test_a_marker_says_what_simulator_and_proxies_are_made_with(run):
    """Arguments of the markers are those of the objects; the behavior may stand alone."""
    status, output = run(u'''
import pytest

@pytest.mark.apns_simulator(strict=True)
@pytest.mark.apns_chaos("100:delay", seed=7, settings={"delay": {"sleep": 0.01}})
def test_marked(apns_client, apns_chaos, apns_simulator):
    result = apns_client("http2").send(Message(TOKEN, alert="x"))
    assert result.failed[TOKEN].reason == "BadDeviceToken"
    proxy = apns_chaos("provider")
    assert proxy.seed == 7 and proxy.behavior == "100:delay"
    assert proxy.settings("delay")["sleep"] == 0.01
    assert proxy.connections[0].handler == "delay"
''')

    assert status == 0 and "1 passed" in output, output


@pytest.mark.parametrize("marker, complaint", [
    ("apns_chaos('5:reset', {'reset': {}})", "by name from the second on"),
    ("apns_simulator(True)", "the marker apns_simulator(True,) takes its arguments by name"),
])
def test_an_argument_of_a_marker_by_position_is_told(run, marker, complaint):
    """All but the behavior have names, since the objects take something else first."""
    status, output = run(u'''
import pytest

@pytest.mark.%s
def test_marked(apns_chaos):
    pass
''' % marker)

    assert status == 1 and complaint in output, output


@pytest.mark.parametrize("arguments, ini, behavior", [
    ([], u"apns_chaos = 10:delay\n", "10:delay"),
    (["--apns-chaos=20:delay"], u"apns_chaos = 10:delay\n", "20:delay"),
])
def test_the_command_line_goes_before_the_ini_file(run, arguments, ini, behavior):
    """Whoever has no marker gets the faults of the run."""
    status, output = run(u'''
def test_unmarked(apns_chaos):
    assert apns_chaos("gateway").behavior == "%s"
''' % behavior, arguments, ini)

    assert status == 0 and "1 passed" in output, output


#: Draws handlers for twenty connections, says which, and fails.
DRAWING = u'''
import pytest
from apnsclient.testing.chaos.randomness import Dice

@pytest.mark.apns_chaos("50:delay", settings={"delay": {"sleep": 0.01}})
def test_failing(apns_client, apns_chaos):
    for number in range(4):
        client = apns_client("http2")
        client.send(Message(TOKEN, alert="x"))
    proxy = apns_chaos("provider")
    drawn = [one.handler for one in proxy.connections]
    print("drawn %s %s" % (drawn, Dice(proxy.seed, 1).bytes(8)))
    assert False

def test_passing(apns_chaos):
    apns_chaos()
'''


def test_a_failing_test_shows_the_seed_that_replays_it(run):
    """The same seed draws the same faults again; without one each run has another."""
    _, output = run(DRAWING, ["-k", "failing or passing"])
    found = re.search(r"replay with --apns-chaos-seed=(\d+)", output)

    assert found is not None and output.count("replay with") == 1, output
    assert "provider: behavior '50:delay', 4 connections" in output

    _, again = run(DRAWING, ["-k", "failing", "--apns-chaos-seed=" + found.group(1)])
    _, other = run(DRAWING, ["-k", "failing"], u"apns_chaos_seed = another\n")
    drawn, drawn_again, drawn_other = (
        re.search(r"^drawn .*$", text, re.M).group() for text in (output, again, other))

    assert drawn == drawn_again != drawn_other
    assert "replay with --apns-chaos-seed=another" in other


def test_everything_is_torn_down(run):
    """No thread, no descriptor and no listening port is left when the test is over."""
    status, output = run(u'''
import os
import socket
import threading
import pytest

before = []
ports = []

def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

def push(apns_client, apns_chaos):
    for protocol in ("binary", "http2"):
        apns_client(protocol, read_tail_timeout=0).send(Message(TOKEN, alert="x"))
    ports.append([apns_chaos(each).address for each in ("gateway", "provider")])

def test_warm_up(apns_client, apns_chaos):
    push(apns_client, apns_chaos)

def test_before():
    before[:] = [threading.active_count(), descriptors()]

def test_use(apns_client, apns_chaos):
    push(apns_client, apns_chaos)

def test_after():
    assert [threading.active_count(), descriptors()] == before
    assert "apnsclient" not in " ".join(each.name for each in threading.enumerate())
    for address in ports[-1]:
        with pytest.raises(socket.error):
            socket.create_connection(address, 20).close()
''')

    assert status == 0 and "4 passed" in output, output


def test_nothing_is_kept_of_a_test_that_is_over(run):
    """Neither proxies nor simulators, with all that they have recorded, pile up in a long run."""
    status, output = run(u'''
import gc
import weakref

used = []

def test_use(apns_chaos, apns_simulator):
    used.extend(weakref.ref(each) for each in (apns_chaos, apns_chaos(), apns_simulator))

def test_after():
    gc.collect()
    assert [each() for each in used] == [None] * 3
''')

    assert status == 0 and "2 passed" in output, output


def test_it_costs_nothing_where_it_is_not_used(tmpdir, is_installed):
    """Whoever does not ask for a fixture has nothing of the client, nor of TLS, imported."""
    with running(is_installed) as child:
        status, output = run_suite(child, is_installed, tmpdir, u'''
import sys

def test_imports():
    assert "apnsclient.testing.pytest_plugin" in sys.modules
    heavy = [name for name in sys.modules if name.split(".")[0] in ("OpenSSL", "cryptography")]
    assert heavy == []
    assert "apnsclient.testing.simulator" not in sys.modules
    assert "apnsclient.testing.chaos" not in sys.modules''')

    assert status == 0 and "1 passed" in output, output
