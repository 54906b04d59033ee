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
import os
# As gevent documents it: its own waitpid() now and then never hears that a child has ended.
os.environ["GEVENT_NOWAITPID"] = "1"

from gevent import monkey
monkey.patch_all()

import logging, unittest
from apnsclient.testing.contract import BackendContract

logging.disable(logging.CRITICAL)

class Patched(BackendContract, unittest.TestCase):
    backend = "apnsclient.backends.gevent"

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
