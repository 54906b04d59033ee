"""The pytest plugin: what its fixtures give to somebody else's tests.

Each test here is a suite of a few lines that another pytest runs, in a process of its own.
"""

from __future__ import absolute_import, division, print_function

import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLUGIN = "apnsclient.testing.pytest_plugin"


@pytest.fixture
def run(tmpdir, pytestconfig):
    """A function that runs pytest on the text of a test file; returns exit status and output."""
    # Where the package is installed, pytest finds the plugin by itself; twice would be an error.
    is_installed = pytestconfig.pluginmanager.has_plugin("apnsclient")

    def run_text(text, arguments=(), ini=u""):
        tmpdir.join("pytest.ini").write_text(
            u"[pytest]\naddopts = -p no:cacheprovider --strict-markers\n"
            u"filterwarnings =\n    error\n    ignore:Python\n" + ini, "utf-8")
        tmpdir.join("test_it.py").write_text(
            u"from apnsclient import Message\nTOKEN = 'aa' * 32\n" + text, "utf-8")
        command = [sys.executable, "-m", "pytest"] + ([] if is_installed else ["-p", PLUGIN])
        environment = dict(os.environ)
        if not is_installed:
            environment["PYTHONPATH"] = ROOT
        child = subprocess.Popen(command + list(arguments), cwd=str(tmpdir), env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = child.communicate()[0].decode("utf-8", "replace")
        return child.returncode, output

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
    ("apns_simulator(True)", "the marker apns_simulator(True,) has to have its arguments by name"),
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


def test_it_costs_nothing_where_it_is_not_used(run):
    """Whoever does not ask for a fixture has nothing of the client, nor of TLS, imported."""
    status, output = run(u'''
import sys

def test_imports():
    assert "apnsclient.testing.pytest_plugin" in sys.modules
    heavy = [name for name in sys.modules if name.split(".")[0] in ("OpenSSL", "cryptography")]
    assert heavy == []
    assert "apnsclient.testing.simulator" not in sys.modules
    assert "apnsclient.testing.chaos" not in sys.modules''')

    assert status == 0 and "1 passed" in output, output


@pytest.mark.skipif(sys.version_info < (3, 7), reason="a module cannot be asked for a name yet")
def test_the_plugin_imports_nothing_of_the_client(tmpdir):
    """What is imported before a measurement of coverage begins would not be measured."""
    program = ("import sys; import %s; print(sorted(name for name in sys.modules "
               "if name.startswith('apnsclient')))" % PLUGIN)
    output = subprocess.check_output([sys.executable, "-c", program],
                                     env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))

    assert output.decode().split() == [
        "['apnsclient',", "'apnsclient._compat',", "'apnsclient.testing',",
        "'apnsclient.testing.pytest_plugin']"]


def test_the_names_of_the_package_are_there_when_asked_for():
    """Whether they are imported at once or on demand, the package has them, and their rooms."""
    program = ("import apnsclient; assert callable(apnsclient.Session)\n"
               "import apnsclient as a; a.apns.APNs; a.transport.Session; a.provider_token\n"
               "from apnsclient import *; Message; Result; ProviderToken; APNs\n"
               "assert not hasattr(apnsclient, 'nothing')")
    subprocess.check_call([sys.executable, "-c", program],
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
