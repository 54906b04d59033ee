"""The fault ``transient``: another fault, but only at first."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.testing.chaos import ChaosProxy, ConfigurationError
from fault_support import DATA, SOON, Link, is_quiet, modes, read_exactly, read_rest


def passes(link):
    """Return True if a new connection passes in both directions (bool)."""
    client, backend = link.open()
    client.sendall(DATA)
    if read_rest_of(backend) != DATA:
        return False
    backend.sendall(DATA)
    return read_exactly(client, len(DATA)) == DATA


def read_rest_of(peer):
    """Return what comes, up to as much as was sent."""
    received = b""
    while len(received) < len(DATA):
        try:
            data = peer.recv(len(DATA))
        except EnvironmentError:
            break
        if not data:
            break
        received += data
    return received


@modes
def test_the_first_connections_are_faulty_and_the_others_pass(mode):
    """The default fault is a reset; it is in the record under its own words."""
    with Link("transient", mode, connections=2) as link:
        for _ in range(2):
            client, backend = link.open()
            assert read_rest(client) == read_rest(backend) == (b"", "reset")
            link.await_faults("reset after 0 bytes to_backend")

        assert passes(link) and passes(link)
        assert [each.handler for each in link.proxy.connections] == ["transient"] * 4
        assert [each.fault_count for each in link.proxy.connections] == [1, 1, 0, 0]


def test_connections_are_faulty_for_some_time():
    """By a clock of which an hour never passes, and 0 seconds always have."""
    with Link("transient", connections=0, seconds=3600) as link:
        client, backend = link.open()
        assert read_rest(client) == read_rest(backend) == (b"", "reset")
    with Link("transient", connections=0, seconds=0) as link:
        assert passes(link)


def test_of_open_connections_the_first_are_faulty():
    """They draw in order, so that a change while it runs can be replayed as well."""
    with Link("dummy") as link:
        ends = [link.open() for _ in range(8)]
        link.proxy.change("100:transient", {
            "transient": {"handler": "blackout", "connections": 3}}, existing=True)
        for client, _ in ends:
            client.sendall(b"x")
        assert link.proxy.wait_for(lambda: all(
            one.fault_count or one.bytes_to_backend for one in link.proxy.connections), SOON)

        assert [one.fault_count for one in link.proxy.connections] == [1] * 3 + [0] * 5


@modes
@pytest.mark.parametrize("name, fault", [
    ("hang", "to_client hangs after 3 bytes"),
    ("silence", "to_client silent after 0 s"),
])
def test_the_fault_is_another_handlers_with_its_options(mode, name, fault):
    """Whatever methods it has are called: for data, timers and pauses."""
    settings = {"hang": {"after": 3, "direction": "to_client"},
                "silence": {"idle": 0, "direction": "to_client"}}
    with Link("transient", mode, settings=settings, handler=name) as link:
        client, backend = link.open()
        if name == "hang":
            backend.sendall(DATA)
            assert read_exactly(client, 3) == DATA[:3]
        link.await_faults(fault)
        client.sendall(DATA)
        assert read_exactly(backend, len(DATA)) == DATA
        assert is_quiet(client)

        assert passes(link)


def test_a_refusal_can_be_transient():
    """It strikes before there is a connection to the backend."""
    with Link("transient", handler="refuse") as link:
        assert read_rest(link.connect()) == (b"", "reset")
        assert not link.has_backend()
        assert passes(link)


@pytest.mark.parametrize("name, message", [
    ("nonsense", "there is no handler 'nonsense'"),
    ("transient", "expected the name of another handler"),
    ("again", "expected the name of another handler"),
    ("", "there is no handler ''"),
])
def test_a_handler_that_cannot_be_wrapped_is_refused(name, message):
    """That is said when the option is set, and not by the first connection."""
    aliases = {"again": "apnsclient.testing.chaos.handlers.transient.Transient"}
    proxy = ChaosProxy(("127.0.0.1", 1), aliases=aliases)
    with pytest.raises(ConfigurationError) as caught:
        proxy.configure("transient", handler=name)

    assert message in str(caught.value)
    assert proxy.settings("transient")["handler"] == "reset"
