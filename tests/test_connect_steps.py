"""The steps before TLS, taken one by one, in the network of ``test_connect_race``."""

from __future__ import absolute_import, division, print_function

import socket

import pytest

from apnsclient.backends._steps import Steps
from apnsclient.errors import ConnectError, ConnectTimeout
from stdio_support import GONE, SHORT, Server, new_backend, wait_for_end
from test_connect_race import GOOD, REFUSES, SILENT, STALLS, Network
from test_proxy import OK, Proxy, url


def candidates(*names):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, (name, 1)) for name in names]


def test_each_address_is_connected_to_by_itself(monkeypatch):
    """All at once, whichever of them fails; and none stays open, nor begins with TLS."""
    network = Network(monkeypatch, good=GOOD, slow=(3.0, None), refuses=REFUSES, silent=SILENT,
                      stalls=STALLS)
    steps = Steps(("gateway.test", 1), "gateway.test:1", None, network)
    problems = steps.connect(candidates("good", "refuses", "silent", "slow", "stalls"), 5)
    assert [type(one) for one in problems] == [
        type(None), ConnectError, ConnectTimeout, type(None), type(None)]
    assert str(problems[1]) == "cannot connect to refuses:1: Connection refused"
    assert str(problems[2]) == "silent:1 is not connected after 5 s: no response"
    assert [moment for moment, _ in network.started] == [0.0] * 5
    assert network.clock.now - network.begin == 5
    assert network.open == []


def test_an_interrupt_closes_them_all(monkeypatch):
    """As Ctrl-C does in the middle of the wait."""
    def interrupt(interests, deadline):
        raise KeyboardInterrupt

    network = Network(monkeypatch, silent=SILENT, other=SILENT)
    monkeypatch.setattr(network, "wait_for", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Steps(("gateway.test", 1), "x", None, network).connect(candidates("silent", "other"), 5)
    assert network.open == []


def test_a_tunnel_is_opened_and_closed(descriptors):
    """What comes behind the proxy's response is not for us; without a proxy there is none."""
    for response in (OK, OK + b"and more"):
        with Server(Proxy(response, "nowhere"), ignore=GONE) as server:
            steps = new_backend(proxy=url(server)).steps(("gateway.test", 2195))
            assert steps.target == server.address
            steps.open_tunnel(steps.look_up(5), 40)
    with Server(wait_for_end, ignore=GONE) as server:
        steps = new_backend(proxy=url(server)).steps(("gateway.test", 2195))
        with pytest.raises(ConnectTimeout):
            steps.open_tunnel(steps.look_up(5), SHORT)
    steps = new_backend().steps(("127.0.0.1", 2195))
    with pytest.raises(ValueError, match="no proxy"):
        steps.open_tunnel(steps.look_up(5), 5)
