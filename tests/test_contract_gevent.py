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

class TestGreenlets(BackendContract):
    """Without monkey-patching, where greenlets share the back-end."""

    backend = GEVENT

    def spawn(self, function):
        return gevent.spawn(function)


class TestThreads(BackendContract):
    """Threads share it, each with an event loop of its own."""

    backend = GEVENT
