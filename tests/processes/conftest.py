"""What the tests that start processes share."""

from __future__ import absolute_import, division, print_function

import pytest


@pytest.fixture(scope="session")
def scripts():
    """Runs programs in forks of one interpreter: a ``ScriptServer``."""
    from script_server import ScriptServer

    server = ScriptServer()
    yield server
    server.stop()
