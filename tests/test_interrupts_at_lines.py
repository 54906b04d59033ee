"""An interrupt at any line of the client, apart from the lines that every interpreter is asked for.

Those are in ``interpreters/test_interrupts.py`` and ``interpreters/test_http2_interrupts.py``.
"""

from __future__ import absolute_import, division, print_function

import signal

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from interrupt_support import (
    Limit,
    check_interrupts,
    check_limits,
    client_over,
    handler_of,
    handling,
)

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no such signal"),
]


@pytest.mark.parametrize("first", [2, 3, 4])
@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_a_limit_at_any_line_ends_the_call(simulator, new_session, protocol, first):
    """Whatever the client is about, it goes on to the caller, and the next send is right."""
    handler = handler_of(Limit)
    with handling() as handle:
        handle(handler)
        client = client_over(protocol, simulator, new_session, read_tail_timeout=0)
        check_limits(client, handler, first)


@pytest.mark.parametrize("first", [2, 3])
def test_an_interrupt_leaves_nothing_behind_that_harms_others(http2_sessions, simulator, first):
    """Whatever line it comes at: the next send does not meet half a frame, nor wait for a turn."""
    session = http2_sessions(pool_size=1, ca_string=simulator.ca_string)
    check_interrupts(session.get_connection(simulator.provider_address,
                                            cert_string=simulator.cert_string), first)
