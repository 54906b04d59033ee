"""The green back-end keeps the contract of back-ends."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

import gevent

from apnsclient.testing.contract import BackendContract
from gevent_support import GEVENT
from net_support import Script

pytestmark = pytest.mark.timeout(240)

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


class TestGreenlets(BackendContract):
    """Without monkey-patching, where greenlets share the back-end."""

    backend = GEVENT

    def spawn(self, function):
        return gevent.spawn(function)


class TestThreads(BackendContract):
    """Threads share it, each with an event loop of its own."""

    backend = GEVENT


def test_the_contract_is_kept_in_a_patched_program():
    """Peers and rules are greenlets there, as the back-end is."""
    status, _, errors = Script(PATCHED).finish(100)

    assert status == 0, errors
    assert errors.rstrip().endswith("OK"), errors
