"""The green back-end keeps the contract of back-ends."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

import gevent

from apnsclient.testing.contract import BackendContract
from gevent_support import GEVENT

pytestmark = pytest.mark.timeout(240)


class GreenContract(BackendContract):
    """Each rule runs in a thread, which has an event loop of its own."""

    __test__ = False
    backend = GEVENT

    def end_thread(self):
        # gevent keeps those of threads that have ended.
        gevent.get_hub().destroy(destroy_loop=True)


class TestGreenlets(GreenContract):
    """Without monkey-patching, where greenlets share the back-end."""

    __test__ = True

    def spawn(self, function):
        return gevent.spawn(function)


class TestThreads(GreenContract):
    """Threads share it, each with an event loop of its own."""

    __test__ = True


@pytest.mark.parametrize("suite", [TestGreenlets, TestThreads])
def test_rules_leave_no_event_loop_behind(descriptors, suite):
    """Those of the rules' threads are destroyed, and so are those of the threads in them."""
    for _ in range(3):
        suite().test_read_returns_what_is_there()
        suite().test_many_may_connect_and_talk_at_once()
