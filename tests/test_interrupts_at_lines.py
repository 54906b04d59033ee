"""An interrupt at any line of the client, apart from the lines that every interpreter is asked for.

Those are in ``interpreters/test_interrupts.py`` and ``interpreters/test_http2_interrupts.py``.
"""

from __future__ import absolute_import, division, print_function

import signal

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.message import encode_payloads
from effort import IS_BRIEF
from interrupt_support import (
    Interrupt,
    Limit,
    check_interrupts,
    check_limits,
    client_over,
    handler_of,
    handling,
    interrupt_at,
    message,
)
from leases import lease, release

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no such signal"),
]


@pytest.mark.parametrize("first", [2] if IS_BRIEF else [2, 3, 4])
@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_a_limit_at_any_line_ends_the_call(simulator, new_session, protocol, first):
    """Whatever the client is about, it goes on to the caller, and the next send is right."""
    handler = handler_of(Limit)
    with handling() as handle:
        handle(handler)
        client = client_over(protocol, simulator, new_session, read_tail_timeout=0)
        check_limits(client, handler, first)


def test_a_limit_ends_the_encoding_of_many_payloads():
    """It is none of the errors for which payloads are encoded one by one instead."""
    handler, messages = handler_of(Limit), [message(index) for index in range(2)]
    with handling() as handle:
        handle(handler)
        for number in range(1, 500):
            if not interrupt_at(
                    number, lambda frame: handler(signal.SIGUSR2, frame),
                    lambda code: code.co_filename.endswith(("message.py", "_json.py")),
                    lambda: encode_payloads(messages)):
                break
    assert number > 30


def test_an_interrupt_leaves_nothing_behind_that_harms_others(apple):
    """Whatever line it comes at: the next send does not meet half a frame, nor wait for a slot."""
    session = apple.session(protocol="http2", pool_size=1)
    check_interrupts(session.get_connection(apple.provider_address, cert_string=apple.cert_string),
                     apple, 1, step=5 if IS_BRIEF else 1)


@pytest.mark.parametrize("step", ["write", "peek"])
def test_a_step_that_was_interrupted_is_the_last_on_its_connection(apple, step):
    """Half a frame may be written, or read and lost: what follows would be taken for its end."""
    def noting(name, method):
        def call(*arguments):
            result = method(*arguments)
            calls.append(name)  # Only now: one may be made of another.
            if name == step:
                raise Interrupt
            return result

        return call

    calls = []
    connection = apple.session(protocol="http2", pool_size=1).get_connection(
        apple.provider_address, cert_string=apple.cert_string)
    held = lease(connection)
    used = held.link.connection
    for name in ("write", "peek"):
        setattr(used, name, noting(name, getattr(used, name)))
    release(connection, held)
    with pytest.raises(Interrupt):
        connection.request(b"POST", b"/3/device/00", [], b"{}")
    # After half a frame, what was to come before may still be read.
    assert step == "write" or calls[-1] == step
    assert calls.count(step) == 1
    assert used.closed()
