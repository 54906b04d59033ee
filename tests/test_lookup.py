"""Name lookups: bounded like the rest of connecting, and anew for each connection."""

from __future__ import absolute_import, division, print_function

import socket
import threading

import pytest

from apnsclient.backends import _waiting
from apnsclient.backends._lookup import Lookups
from apnsclient.backends._sockets import Deadline
from apnsclient.errors import ConnectTimeout
from simulated_time import Clock
from stdio_support import SHORT, SOON, Gate, fails, new_backend, open_connection

pytestmark = pytest.mark.timeout(240)

HOST = ("gateway.test", 2195)


class Resolver(object):
    """A resolver that responds when the test says so, in a time that passes at once.

    :ivar asked: the names that it was asked for.
    :ivar response: what it returns, or an exception that it raises.
    """

    def __init__(self):
        self.asked = []
        self.response = ["somewhere"]
        self.clock = Clock()
        self._running = []
        self._lookups = Lookups(
            self._ask, self._running.append, threading.Event,
            lambda event, timeout: self.clock.wait(event.is_set, timeout))

    def _ask(self, host, port):
        self.asked.append(host)
        if isinstance(self.response, Exception):
            raise self.response
        return self.response

    def find(self, host="gateway.test", timeout=10, responds_after=None):
        """Look a name up; all lookups that are under way are over after so many seconds."""
        if responds_after is not None:
            self.clock.call_later(responds_after, self.finish)
        return self._lookups.find(host, 1, Deadline(timeout, self.clock))

    def start(self):
        """Begin to look a name up."""
        return self._lookups.start("gateway.test", 1)

    def finish(self):
        while self._running:
            self._running.pop(0)()


@pytest.fixture
def resolver():
    return Resolver()


def test_what_the_resolver_says_is_returned(resolver):
    """As soon as it is there; an exception is raised."""
    begin = resolver.clock.now
    assert resolver.find(responds_after=3) == ["somewhere"]
    assert resolver.find(responds_after=3, timeout=None) == ["somewhere"]
    resolver.response = socket.gaierror(socket.EAI_NONAME, "no such name")
    with pytest.raises(socket.gaierror):
        resolver.find(responds_after=3)
    assert resolver.clock.now == begin + 9


def test_a_resolver_that_keeps_silent_is_waited_for_until_the_deadline(resolver):
    """And not a moment longer."""
    begin = resolver.clock.now
    assert resolver.find(timeout=10) is None
    assert resolver.clock.now == begin + 10


def test_each_connection_has_a_lookup_of_its_own(resolver):
    """What was found before is not taken again: Apple's addresses change."""
    assert resolver.find(responds_after=1) == ["somewhere"]
    resolver.response = ["elsewhere"]
    assert resolver.find(responds_after=1) == ["elsewhere"]
    assert resolver.asked == ["gateway.test"] * 2


def test_who_comes_later_waits_for_a_lookup_that_hangs(resolver):
    """Nothing can end it, so that one more with each try would never be the last."""
    for _ in range(5):
        assert resolver.find() is None
    assert resolver.find("other.test") is None
    assert resolver.find(responds_after=5) == ["somewhere"]
    assert resolver.asked == ["gateway.test", "other.test"]


def test_who_was_interrupted_leaves_a_lookup_that_others_wait_for(resolver):
    """Such as by a timeout of gevent's that is shorter than ours, time and again."""
    def interrupt():
        raise KeyboardInterrupt

    for _ in range(3):
        resolver.clock.call_later(1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            resolver.find()
    assert resolver.asked == []
    assert resolver.find(responds_after=1) == ["somewhere"]
    assert resolver.asked == ["gateway.test"]


def test_who_goes_on_meanwhile_leaves_a_lookup_that_others_wait_for(resolver):
    """Such as further connections, each of which is given up before the resolver responds."""
    begun = [resolver.start() for _ in range(3)]
    assert [one.is_done for one in begun] == [False] * 3
    assert resolver.find(responds_after=1) == ["somewhere"]
    assert [one.result() for one in begun] == [["somewhere"]] * 3
    assert resolver.asked == ["gateway.test"]


def test_what_came_too_late_is_not_taken_again(resolver):
    """A lookup that was over meanwhile may be an hour old."""
    assert resolver.find() is None
    resolver.finish()
    resolver.response = ["elsewhere"]
    assert resolver.find(responds_after=1) == ["elsewhere"]


def test_an_address_is_not_waited_for(resolver):
    """There is nothing to look up."""
    begin = resolver.clock.now
    for host in ("127.0.0.1", "::1", u"127.0.0.1", b"::1", "fe80::1%1"):
        assert resolver.find(host) == ["somewhere"], host
    assert resolver.clock.now == begin


def test_a_forked_child_does_not_wait_for_its_parents_lookup(resolver, in_forked_child):
    """The thread that makes it is not there."""
    assert resolver.find() is None

    def child():
        del resolver._running[:]
        assert resolver.find(responds_after=1) == ["somewhere"]

    in_forked_child(child)


@pytest.mark.parametrize("options, address", [
    ({}, HOST), ({"proxy": "http://proxy.test:3128"}, ("127.0.0.1", 1))], ids=["direct", "proxy"])
def test_connecting_is_bounded_when_the_resolver_hangs(monkeypatch, options, address):
    """``connect_timeout`` counts for the lookup as well; the error says what did not respond."""
    gate = Gate()
    asked = []

    def hang(host, *arguments):
        asked.append(host)
        gate.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    backend = new_backend(**options)
    try:
        for _ in range(2):
            message = fails(ConnectTimeout, address, SHORT, backend=backend)
            assert "cannot look up" in message
            assert "resolver" in message
    finally:
        gate.open()
    assert len(asked) == 1


def test_a_lookup_and_the_rest_share_one_deadline(monkeypatch):
    """What the lookup took is not given again to TCP and TLS."""
    def resolve(host, *arguments):
        assert len(deadlines) == 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())]

    class Noted(Deadline):
        def __init__(self, *arguments):
            super(Noted, self).__init__(*arguments)
            deadlines.append(self)

    deadlines = []
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    monkeypatch.setattr(_waiting, "Deadline", Noted)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "not connected" in fails(ConnectTimeout, HOST, SHORT)
    listener.close()
    assert len(deadlines) == 1


def test_without_another_thread_this_one_looks_up(monkeypatch):
    """Where no thread can be started, as while the interpreter exits, connecting works still."""
    def refuse(self):
        raise RuntimeError("can't start new thread")

    def resolve(host, *arguments):
        threads.append(threading.current_thread())
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    threads = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(IOError):
        open_connection(HOST, SOON)
    assert threads == [threading.current_thread()]
