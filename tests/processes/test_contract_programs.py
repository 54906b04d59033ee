"""The contract of back-ends in programs that have no test runner, or more than one event loop."""

from __future__ import absolute_import, division, print_function

import os

import pytest

from net_support import Script, run_script

pytestmark = pytest.mark.timeout(240)


def test_no_test_runner_is_needed():
    """The suite imports neither unittest nor pytest: rules are methods that anybody may call.

    What does not apply raises an exception of the suite's own.
    """
    output = run_script("""
import sys
from apnsclient.testing.contract import BackendContract, DoesNotApply
print(sorted({"unittest", "pytest", "_pytest"} & set(sys.modules)))

class Case(BackendContract):
    backend = "apnsclient.backends.dummy"
    options = {"push": []}
    has_network = False

Case().test_a_lock_is_reentrant()
try:
    Case().test_what_is_written_arrives()
except DoesNotApply as error:
    print(error)
""")
    imported, complaint = output.splitlines()
    assert imported == "[]"
    assert "has_network is False" in complaint


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_somebody_else_may_reap_the_children():
    """As the system does where SIGCHLD is ignored, and an event loop that looks after them."""
    output = run_script("""
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from apnsclient.testing.contract import BackendContract

class Case(BackendContract):
    backend = "apnsclient.backends.stdio"

Case().test_a_child_starts_with_an_empty_pool()
print("kept")
""")
    assert output.strip() == "kept"


PATCHED = """
from gevent import monkey
monkey.patch_all()

import gevent.os, logging, unittest
from apnsclient.testing.contract import BackendContract

logging.disable(logging.CRITICAL)

class Patched(BackendContract, unittest.TestCase):
    backend = "apnsclient.backends.gevent"

fork = gevent.os._raw_fork

def fork_and_dawdle():
    # The child could be over before gevent begins to watch for the ends of children.
    child = fork()
    if child != 0 and not dawdled:
        dawdled.append(child)
        sleep(0.3)
    return child

dawdled = []
sleep = monkey.get_original("time", "sleep")
gevent.os._raw_fork = fork_and_dawdle
unittest.main()
"""


def test_the_contract_is_kept_in_a_program_patched_by_gevent():
    """Peers and rules are greenlets there, as the back-end is."""
    pytest.importorskip("gevent")
    pytest.importorskip("hpack")
    pytest.importorskip("jwt")
    status, _, errors = Script(PATCHED).finish(100)

    assert status == 0, errors
    assert errors.rstrip().endswith("OK"), errors
