"""What only the tests of the asynchronous client have; what others use is in aio_support."""

import pytest


@pytest.fixture
def apple(simulator):
    """The simulator, on real sockets: a loop has no other time than its own."""
    return simulator
