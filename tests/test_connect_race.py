"""Hosts of many addresses: when each is tried, to the moment, in a network that is a table."""

from __future__ import absolute_import, division, print_function

import errno
import socket

import pytest

from apnsclient.backends import _connect, _sockets
from apnsclient.backends._tls import TransportFailure
from apnsclient.backends._waiting import Waiting
from apnsclient.errors import ConnectError, ConnectTimeout
from simulated_time import Clock

pytestmark = pytest.mark.timeout(240)

#: What an address does: accepts a connect after some seconds, and completes a handshake after some
#: more; an error in place of a number of seconds comes at once, and None never.
SILENT = None, None
STALLS = 0.0, None
GOOD = 0.0, 0.0
REFUSES = socket.error(errno.ECONNREFUSED, "Connection refused"), None
HANGS_UP = 0.0, TransportFailure("it hung up")


class Network(Waiting):
    """Addresses that do what a table says, and the time that passes while they are waited for.

    :ivar started: when which address was connected to, and how often.
    :ivar open: the sockets that are not closed.
    """

    def __init__(self, monkeypatch, **hosts):
        self.clock = Clock()
        self.begin = self.clock.now
        self.started = []
        self.open = []
        self._hosts = hosts
        monkeypatch.setattr(_sockets, "open_socket", lambda *_: Socket(self))
        monkeypatch.setattr(_sockets, "start_connect", lambda made, where: made.start(where[0]))
        monkeypatch.setattr(_sockets, "finish_connect", lambda made: made.finish())

    def wait(self, interests, timeout):
        """Let time pass until a socket is ready."""
        found = []

        def is_ready():
            found[:] = [made for made, _ in interests if made.ready_at <= self.clock.now]
            return bool(found)

        for made, _ in interests:
            if self.clock.now < made.ready_at < float("inf"):
                self.clock.call_later(made.ready_at - self.clock.now, lambda: None)
        self.clock.wait(is_ready, timeout)
        return found

    def host(self, name):
        """Return what the table says of an address."""
        self.started.append((self.clock.now - self.begin, name))
        return self._hosts[name]

    def connect(self, names, timeout=None):
        """Race for a host with these addresses; return the name of the winner."""
        candidates = [(socket.AF_INET, socket.SOCK_STREAM, 6, (name, 1)) for name in names]
        winner, _ = _connect.Race("gateway.test:1", candidates, Handshake,
                                  self.deadline(timeout), self).run()
        return winner.name


class Socket(object):
    """A socket of it.

    :ivar ready_at: when it can go on, by the clock.
    """

    def __init__(self, network):
        self._network = network
        self.name = ""
        network.open.append(self)

    def start(self, name):
        self.name = name
        self._accepts, self.completes = self._network.host(name)
        self.expect(self._accepts)

    def expect(self, seconds):
        """Be ready after some seconds."""
        delay = {type(None): float("inf"), float: seconds}.get(type(seconds), 0.0)
        self.ready_at = self._network.clock.now + delay

    def finish(self):
        if isinstance(self._accepts, Exception):
            raise self._accepts

    def close(self):
        self._network.open.remove(self)


class Handshake(object):
    """A handshake over it."""

    progress = "it did not complete the TLS handshake"

    def __init__(self, made):
        self._socket = made
        self._has_begun = False

    def step(self):
        if not self._has_begun:
            self._has_begun = True
            self._socket.expect(self._socket.completes)
            return "read"
        if isinstance(self._socket.completes, Exception):
            raise self._socket.completes
        return None


#: Addresses; timeout; the winner, or the exception; the seconds it takes; when which was begun.
RACES = [
    # The first one has its time, and keeps it once it has accepted.
    ([("a", GOOD), ("b", GOOD)], 8, "a", 0, "a 0"),
    ([("a", (0.125, 1.5)), ("b", GOOD)], 8, "a", 1.625, "a 0"),
    # One that keeps silent has company after a quarter of a second.
    ([("a", (0.5, 0.0)), ("b", (1.0, 0.0))], 8, "a", 0.5, "a 0, b 0.25"),
    ([("a", (1.0, 0.0)), ("b", (0.5, 0.0))], 8, "b", 0.75, "a 0, b 0.25"),
    ([("a", SILENT), ("b", SILENT), ("c", GOOD)], 8, "c", 0.5, "a 0, b 0.25, c 0.5"),
    # One that refuses makes room at once, also beside one that is silent.
    ([("a", REFUSES), ("b", GOOD)], 8, "b", 0, "a 0, b 0"),
    ([("a", SILENT), ("b", REFUSES), ("c", GOOD)], 8, "c", 0.25, "a 0, b 0.25, c 0.25"),
    # One that accepts holds the others back, for two seconds; those that were begun begin anew.
    ([("a", STALLS), ("b", GOOD)], 8, "b", 2, "a 0, b 2"),
    ([("a", (0.0, 3.0)), ("b", (0.0, 3.0))], 8, "a", 3, "a 0, b 2"),
    ([("a", SILENT), ("b", STALLS), ("c", GOOD)], 30, "c", 2.5, "a 0, b 0.25, a 2.25, c 2.5"),
    # With little time for many each has its share of it.
    ([("a", STALLS), ("b", STALLS), ("c", GOOD)], 3, "c", 2, "a 0, b 1, c 2"),
    # One that hangs up in the handshake makes room at once.
    ([("a", HANGS_UP), ("b", GOOD)], 8, "b", 0, "a 0, b 0"),
    # The limit holds, whatever is under way; None is for ever.
    ([("a", SILENT)], 8, ConnectTimeout, 8, "a 0"),
    ([("a", STALLS)], 8, ConnectTimeout, 8, "a 0"),
    ([("a", SILENT), ("b", STALLS)], 8, ConnectTimeout, 8, "a 0, b 0.25, a 2.25"),
    ([("a", REFUSES), ("b", HANGS_UP)], 8, ConnectError, 0, "a 0, b 0"),
    ([("a", (3600.0, 3600.0))], None, "a", 7200, "a 0"),
]


def test_each_address_has_its_turn(monkeypatch):
    """At the moment that the table says, and nothing is left open but what won."""
    for addresses, timeout, expected, seconds, started in RACES:
        network = Network(monkeypatch, **dict(addresses))
        try:
            winner = network.connect([name for name, _ in addresses], timeout)
        except ConnectError as error:
            winner = type(error)
        found = ", ".join("%s %g" % (name, when) for when, name in network.started)
        assert (addresses, winner, network.clock.now - network.begin, found) == (
            addresses, expected, seconds, started)
        assert [one.name for one in network.open] == ([winner] if winner in dict(addresses) else [])
