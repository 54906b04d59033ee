"""The handlers that come along with the proxy's core: dummy, which does nothing, and delay."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient._compat import monotonic
from chaos_support import LONG, await_end, connected, echoing, exchange
from stdio_support import SOON, TICK


@pytest.mark.parametrize("direction, count", [("to_backend", 2), ("to_client", 2), ("both", 4)])
def test_data_are_late_and_complete(direction, count):
    """Each piece by the time that was set, and the end of the stream likewise."""
    settings = {"delay": {"sleep": 0.2, "direction": direction}}
    with echoing("100:delay", settings) as proxy:
        begin = monotonic()
        assert exchange(proxy, b"late") == b"late"
        # Data and end may come together, or one after the other.
        assert monotonic() - begin >= 0.2 * count / 2 - TICK
        faults = await_end(proxy).faults
    assert count // 2 <= len(faults) <= count
    assert all(text.endswith("delayed by 0.2 s") for text in faults)
    if direction != "both":
        assert all(text.startswith(direction) for text in faults)


def test_a_delay_in_one_direction_does_not_hold_up_the_other():
    """And a connection that is late does not hold up the next one."""
    settings = {"delay": {"sleep": LONG, "direction": "to_backend"}}
    with echoing("100:delay", settings) as proxy, connected(proxy) as client:
        client.sendall(b"x")
        assert proxy.wait_for(lambda: proxy.fault_count, SOON)
        proxy.behavior = "100:dummy"
        assert exchange(proxy, b"y") == b"y"
        assert proxy.connections[0].bytes_to_backend == 0
