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


#: Rules in which others use the back-end too, which are greenlets or threads. All other rules run
#: in one thread, and need no second run.
WITH_OTHERS = ["test_" + rule for rule in (
    "a_lock_is_reentrant", "a_lock_keeps_others_out", "each_lock_is_another_one",
    "an_event_ends_a_wait", "a_connection_is_used_by_one_at_a_time",
    "many_may_connect_and_talk_at_once", "a_connection_may_be_used_by_another_thread",
    "one_that_shares_the_back_end_may_wake", "another_one_may_wait_next",
    "another_one_may_go_on_with_an_attempt")]


class TestGreenlets(GreenContract):
    """Without monkey-patching, where greenlets share the back-end."""

    __test__ = True
    has_spawned = False

    def spawn(self, function):
        self.has_spawned = True
        return gevent.spawn(function)

    @pytest.fixture(autouse=True)
    def complete(self, request):
        """Fails a rule that belongs into the list and is not there, or the other way round."""
        yield
        assert self.has_spawned == (request.node.name in WITH_OTHERS)


class Threads(GreenContract):
    """Threads share it, each with an event loop of its own."""


@pytest.mark.parametrize("rule", WITH_OTHERS)
def test_threads_keep_it_as_well(rule):
    """One by one and side by side."""
    getattr(Threads(), rule)()


@pytest.mark.parametrize("suite", [TestGreenlets, Threads])
def test_rules_leave_no_event_loop_behind(descriptors, suite):
    """Those of the rules' threads are destroyed, and so are those of the threads in them."""
    for _ in range(3):
        suite().test_read_returns_what_is_there()
        suite().test_many_may_connect_and_talk_at_once()
