"""What the tests share: a running simulator, sessions that trust it, a forked child."""

from __future__ import absolute_import, division, print_function

import contextlib
import os
import signal
import socket
import sys
import traceback
import warnings

import hypothesis
import pytest

from effort import examples
from modern import IS_MODERN

if IS_MODERN:
    pytest_plugins = ["aio_support"]
else:
    collect_ignore = ["aio", "contrib", "web"]
    collect_ignore_glob = ["*/test_aio_*.py", "*/test_celery_*.py", "*/test_contrib_*.py",
                           "*/test_web_*.py"]

# Examples are found by chance on a developer's machine and are the same ones each time in CI.
# How long one takes says something about the machine and nothing about the code.
hypothesis.settings.register_profile(
    "developer", examples(100), deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("developer"), derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")

# A shell that starts the tests in the background makes them, and every program that they start,
# deaf to the interrupts that some of them send.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory):
    """The folder in which programs keep files for the user: not that of whoever runs the tests."""
    before, folder = os.environ.get("XDG_DATA_HOME"), tmp_path_factory.mktemp("data")
    os.environ["XDG_DATA_HOME"] = str(folder)
    yield folder
    os.environ.pop("XDG_DATA_HOME")
    if before is not None:
        os.environ["XDG_DATA_HOME"] = before


@pytest.fixture
def simulator():
    """A simulator of Apple's gateway and feedback service, which runs as long as the test."""
    from apnsclient.testing.simulator import Simulator

    with Simulator() as running:
        yield running


@pytest.fixture
def new_session(simulator):
    """A function that makes sessions which trust the simulator; they are shut down after the test.

    It takes the options of ``Session``. By default the wait for an error frame is far longer than
    any machine needs to bring one about: a test whose gateway reports something gets it at once,
    whatever the load. A test whose gateway stays silent gives a short ``read_tail_timeout``.
    """
    from apnsclient.feedback_store import MemoryStore
    from apnsclient.transport import Session

    sessions = []

    def make(**options):
        options.setdefault("ca_string", simulator.ca_string)
        options.setdefault("read_tail_timeout", 20)
        # What a process shares would come out in another test.
        options.setdefault("feedback_store", MemoryStore())
        sessions.append(Session(**options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.shutdown()


@pytest.fixture
def apple():
    """The same simulator in memory, in a time that passes at once; its sessions lead to it.

    For all that runs in one thread and is not about TLS or sockets.
    """
    from simulated_apple import Apple

    with Apple() as running:
        yield running


@pytest.fixture
def http2_sessions():
    """A function that makes sessions for HTTP/2, which are shut down after the test.

    It takes the options of ``Session``. They trust the servers of ``frame_peers``; for the
    simulator the test gives its ``ca_string``.
    """
    from frame_peers import new_session as make_session

    sessions = []

    def make(**options):
        sessions.append(make_session(**options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.shutdown()


@pytest.fixture
def session(simulator, http2_sessions):
    """A session for HTTP/2 that trusts the simulator; some files have another one of their own."""
    return http2_sessions(ca_string=simulator.ca_string)


@pytest.fixture
def client(session, simulator):
    """An ``APNs`` over it to the simulator's provider API, with a certificate."""
    from frame_peers import client_for

    return client_for(session, simulator)


@pytest.fixture
def ipv6():
    """Skips the test where nobody can listen at the loopback address of IPv6."""
    try:
        with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except socket.error:
        pytest.skip("this system has no loopback address of IPv6")


@pytest.fixture
def descriptors():
    """Fails the test if it leaves more descriptors open than there were."""
    from stdio_support import count_descriptors

    before = count_descriptors()
    yield
    assert count_descriptors() <= before


@pytest.fixture
def addresses(monkeypatch):
    """Stands in for the resolver; its method ``add`` takes the addresses of every host."""
    from stdio_support import Addresses

    return Addresses(monkeypatch)


@pytest.fixture(params=["select", "poll"])
def waiting(request, monkeypatch):
    """Run the test with select() and again with poll(), as for descriptors above select's limit."""
    from apnsclient.backends import _sockets

    if request.param == "poll":
        monkeypatch.setattr(_sockets, "SELECT_LIMIT", 0)
    return request.param


@pytest.fixture
def in_forked_child():
    """A function that calls a function in a forked child; an exception there fails the test.

    The child ends without unwinding the test and without exit handlers. It is killed by an alarm
    when it hangs, and hands in what coverage measured. The test is skipped where nobody can fork.
    """
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    return _run_in_forked_child


def _run_in_forked_child(function):
    with warnings.catch_warnings():
        # Python 3.12 and later warn of forking with threads, which is what such a test is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(100)
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            _save_coverage()
            sys.stderr.flush()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the forked child failed, see the captured standard error"


def _save_coverage():
    coverage = sys.modules.get("coverage")
    measuring = coverage.Coverage.current() if coverage else None
    if measuring is not None:
        measuring.stop()
        measuring.save()
