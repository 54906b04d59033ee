"""What a handler can do: the list of handlers, the calls it gets, and the tools of BaseHandler."""

from __future__ import absolute_import, division, print_function

import logging
import socket
import threading
import time

import pytest

from apnsclient._compat import monotonic
from apnsclient.testing.chaos import ChaosProxy, ConfigurationError
from apnsclient.testing.chaos.handlers import Handler
from apnsclient.testing.chaos.handlers.base import DIRECTION, BaseHandler
from apnsclient.testing.chaos.handlers.dummy import Dummy
from chaos_support import (
    LONG,
    await_end,
    connected,
    echo,
    echoing,
    exchange,
    hold,
    read_to_end,
    registered,
)
from stdio_support import SOON, Gate, Server, count_descriptors


class Plain(object):
    """A handler that has nothing but what it must have, and leaves everything unread."""

    name = "plain"
    options = {"size": ("Some number.", int, 3)}

    def __call__(self, client_sock, backend_sock, to_backend):
        self.proxy.calls.append((self.settings["size"], to_backend))
        return True


def test_a_plain_class_will_do():
    """It gets settings and proxy; what it does not read is passed on, and it is not called again.
    """
    with registered(Plain), echoing("100:plain", {"plain": {"size": "7"}}) as proxy:
        proxy.calls = []
        with connected(proxy) as client:
            client.sendall(b"one")
            assert client.recv(100) == b"one"
            assert proxy.calls == [(7, True), (7, False)]
        await_end(proxy)


def test_a_handler_is_found_by_qualified_name():
    """It need not be registered for that."""
    name = __name__ + ".Plain"
    assert Handler.get(name) is Plain
    assert "plain" not in Handler.names()
    with echoing("100:" + name) as proxy:
        proxy.calls = []
        assert exchange(proxy, b"x") == b"x"
        assert proxy.connections[0].handler == name


class Breaking(object):
    name = "breaking"
    options = {}


@pytest.mark.parametrize("name, part", [
    ("nothing", "there is no handler 'nothing'; expected one of"),
    ("no.such.module", "cannot be imported"),
    (__name__ + ".Nothing", "cannot be imported"),
    (__name__ + ".registered", "it is no class"),
    (__name__ + ".Breaking", "it has no method __call__"),
])
def test_what_is_no_handler_is_told(name, part):
    """With the name, and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        ChaosProxy(("127.0.0.1", 1), "10:" + name)
    assert part in str(caught.value)


@pytest.mark.parametrize("attributes, part", [
    ({"name": None, "options": {}}, "its attribute name is no text"),
    ({"name": "x"}, "it has no attribute options; where there are none, it is {}"),
    ({"name": "x", "options": None}, "its attribute options is no mapping"),
    ({"name": "x", "options": {"a": ("what", int)}}, "its option 'a' is not"),
])
def test_a_class_is_checked_when_it_is_registered(attributes, part):
    """An author learns of a mistake at once."""
    attributes["__call__"] = lambda *arguments: True
    with pytest.raises(ConfigurationError) as caught:
        Handler.register(type("Wrong", (object,), attributes))
    assert part in str(caught.value)


def test_a_name_belongs_to_one_class():
    """Another delay would take the place of the one that everybody means; the same one may not
    matter."""
    with pytest.raises(ConfigurationError) as caught:
        Handler.register(type("Another", (BaseHandler,), {"name": "delay"}))
    assert "there is a handler 'delay' already" in str(caught.value)
    assert Handler.register(Dummy) is Dummy


class Hooked(BaseHandler):
    """Notes which of its methods are called, and ends where it should."""

    name = "hooked"
    options = {"end": ("Where to end.", str, "")}

    def __call__(self, client_sock, backend_sock, to_backend):
        self.note("call")
        self.forward(client_sock, backend_sock, to_backend)
        self.connection.set_timer(0)
        return self.option("end") != "call"

    def on_accept(self, client_sock):
        assert self.connection.backend is None
        self.note("accept")
        return self.option("end") != "accept"

    def on_connect(self, client_sock, backend_sock):
        self.note("connect")
        return self.option("end") != "connect"

    def on_timer(self, client_sock, backend_sock):
        self.note("timer")
        return False

    def on_close(self):
        self.note("close")


@pytest.mark.parametrize("end, calls, received", [
    ("accept", ["accept", "close"], b""),
    ("connect", ["accept", "connect", "close"], b""),
    ("call", ["accept", "connect", "call", "close"], b""),
    ("", ["accept", "connect", "call", "timer", "close"], b""),
])
def test_a_handler_has_a_say_at_each_stage(end, calls, received):
    """Something false ends the connection there, and gently: what was sent before arrives."""
    with registered(Hooked), Server(hold) as backend:
        with ChaosProxy(backend.address, "100:hooked", {"hooked": {"end": end}}) as proxy:
            with connected(proxy) as client:
                client.sendall(b"x")
                assert read_to_end(client) == received
            assert await_end(proxy).faults == calls
        assert len(backend.accepted) == (0 if end == "accept" else 1)


class Responding(BaseHandler):
    """Says something, and hangs up although there is more to be read."""

    name = "responding"

    def __call__(self, client_sock, backend_sock, to_backend):
        client_sock.sendall(b"response")
        return False


def test_the_end_is_gentle():
    """A client that has sent more than was read still gets what was said, and the end."""
    with registered(Responding), echoing("100:responding") as proxy, connected(proxy) as client:
        client.sendall(b"x" * 100000)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"response"


class Pausing(BaseHandler):
    """Reads nothing more that is meant for the backend."""

    name = "pausing"
    options = {"direction": DIRECTION}

    def __call__(self, client_sock, backend_sock, to_backend):
        if self.applies(to_backend):
            self.pause(to_backend)
            self.note("paused")
            return True
        return super(Pausing, self).__call__(client_sock, backend_sock, to_backend)


def test_one_direction_can_be_paused():
    """The other one goes on, the handler is not called meanwhile, and a new one sees the rest."""
    def serve(accepted):
        accepted.sendall(b"hello")
        received.append(read_to_end(accepted))

    received = []
    with registered(Pausing), Server(serve) as backend:
        settings = {"pausing": {"direction": "to_backend"}}
        with ChaosProxy(backend.address, "100:pausing", settings) as proxy:
            with connected(proxy) as client:
                client.sendall(b"late")
                assert client.recv(5) == b"hello"
                assert proxy.wait_for(lambda: proxy.fault_count, SOON)
                time.sleep(0.1)  # Called in a circle, it would have noted more.
                assert proxy.fault_count == 1
                assert received == []
                proxy.set_handler("dummy", existing=True)
                client.shutdown(socket.SHUT_WR)
                assert read_to_end(client) == b""
            assert await_end(proxy).handler == "dummy"
    assert received == [b"late"]


def test_a_paused_connection_ends_after_its_client():
    """Within the proxy's timeout: nobody is going to read what it has to say."""
    with registered(Pausing), echoing("100:pausing", timeout=0.1) as proxy:
        with connected(proxy) as client:
            client.sendall(b"x")
            assert proxy.wait_for(lambda: proxy.fault_count, SOON)
            assert proxy.open_connections == 1
        await_end(proxy)


class Sleeping(BaseHandler):
    """Sleeps, for ever and a day, as soon as there is something to be read."""

    name = "sleeping"

    def __call__(self, client_sock, backend_sock, to_backend):
        self.note("asleep")
        self.sleep(LONG)
        self.note("awake")
        return True


class Waiting(BaseHandler):
    """Waits for what never comes."""

    name = "waiting"

    def __call__(self, client_sock, backend_sock, to_backend):
        self.note("waiting")
        backend_sock.settimeout(None)
        backend_sock.recv()
        return True


@pytest.mark.parametrize("handler", [Sleeping, Waiting, Pausing])
def test_stopping_the_proxy_ends_what_goes_on(handler):
    """At once, and without a trace: no thread, no descriptor, no port."""
    before, threads = count_descriptors(), threading.active_count()
    with registered(handler), Server(hold) as backend:
        proxy = ChaosProxy(backend.address, "100:" + handler.name).start()
        with connected(proxy) as client:
            client.sendall(b"x")
            assert proxy.wait_for(lambda: proxy.fault_count, SOON)
            begin = monotonic()
            proxy.stop(LONG)
            assert monotonic() - begin < SOON
            assert proxy.open_connections == 0
            with pytest.raises(socket.error):
                client.recv(1)
                client.recv(1)
            with pytest.raises(socket.error):
                socket.create_connection(proxy.address, SOON)
    assert count_descriptors() <= before
    assert threading.active_count() <= threads


def test_a_new_handler_wakes_the_old_one():
    """A connection that sleeps for ever is woken as well."""
    with registered(Sleeping), echoing("100:sleeping") as proxy, connected(proxy) as client:
        client.sendall(b"x")
        assert proxy.wait_for(lambda: proxy.fault_count, SOON)
        proxy.set_handler("dummy", existing=True)
        assert client.recv(1) == b"x"
        assert proxy.connections[0].faults == ["asleep", "awake"]


class Stubborn(BaseHandler):
    """Does not come back before its gate is open."""

    name = "stubborn"

    def on_connect(self, client_sock, backend_sock):
        self.note("here")
        self.proxy.gate.wait()
        return True


def test_a_handler_that_does_not_come_back_is_named(caplog):
    """stop() does not wait for it longer than its timeout."""
    with registered(Stubborn), Server(hold) as backend:
        proxy = ChaosProxy(backend.address, "100:stubborn").start()
        proxy.gate = Gate()
        with connected(proxy):
            assert proxy.wait_for(lambda: proxy.fault_count, SOON)
            with caplog.at_level(logging.WARNING, "apnsclient"):
                proxy.stop(0.05)
            proxy.gate.open()
            await_end(proxy)
    assert "the handler stubborn does not come back" in caplog.text


class Failing(BaseHandler):
    name = "failing"

    def __call__(self, client_sock, backend_sock, to_backend):
        raise ZeroDivisionError("by mistake")


def test_a_handler_that_fails_ends_its_connection_alone(caplog):
    """The record and the log have the exception; the next connection is served."""
    with registered(Failing), echoing("100:failing") as proxy:
        with connected(proxy) as client, pytest.raises(socket.error):
            client.sendall(b"x")
            client.recv(1)
        record = await_end(proxy)
        assert record.error == "the handler failing failed: ZeroDivisionError: by mistake"
        proxy.behavior = ""
        assert exchange(proxy, b"x") == b"x"
    assert "Traceback" in caplog.text


class Leaving(object):
    """Hangs up on the backend, and reads nothing."""

    name = "leaving"
    options = {}

    def __call__(self, client_sock, backend_sock, to_backend):
        backend_sock.close()
        return True


def test_what_is_left_for_a_side_that_the_handler_has_closed_is_dropped():
    """Unread it would be there again and again, and the connection would never end."""
    with registered(Leaving), echoing("100:leaving") as proxy:
        with connected(proxy) as client:
            client.sendall(b"x" * 100000)
        record = await_end(proxy)
        assert (record.bytes_to_backend, record.error) == (0, None)


class Reading(BaseHandler):
    name = "reading"

    def __call__(self, client_sock, backend_sock, to_backend):
        backend_sock.recv()
        return True


def test_a_read_takes_no_longer_than_the_timeout():
    """The record says what was waited for."""
    with registered(Reading), Server(hold) as backend:
        with ChaosProxy(backend.address, "100:reading", timeout=0.05) as proxy:
            with connected(proxy) as client, pytest.raises(socket.error):
                client.sendall(b"x")
                client.recv(1)
            assert "nothing came from the backend" in await_end(proxy).error


class Cutting(BaseHandler):
    """Reads in small pieces, and leaves the rest to another handler."""

    name = "cutting"

    def __call__(self, client_sock, backend_sock, to_backend):
        data = self.forward(client_sock, backend_sock, to_backend, size=3)
        assert len(data) <= 3
        self.note("%s %d" % (to_backend, self.frame_ends(data, to_backend)[-1]
                             if data else 0))
        return True


class Delegating(BaseHandler):
    name = "delegating"

    def __call__(self, client_sock, backend_sock, to_backend):
        if not hasattr(self, "other"):
            self.other = self.delegate("plain", size=9)
        if to_backend:
            return self.other(client_sock, backend_sock, to_backend)
        return super(Delegating, self).__call__(client_sock, backend_sock, to_backend)


def test_what_is_left_of_the_data_comes_again():
    """A handler that reads little is called until all is read."""
    with registered(Cutting), echoing("100:cutting") as proxy:
        assert exchange(proxy, b"abcdefgh") == b"abcdefgh"
        faults = await_end(proxy).faults
    assert [text for text in faults if text.startswith("True")][-1] == "True 0"
    assert len([text for text in faults if text.startswith("True")]) >= 4


def test_a_handler_may_leave_the_work_to_another_one():
    """With values of its own for the other one's options."""
    with registered(Plain, Delegating), echoing("100:delegating") as proxy:
        proxy.calls = []
        assert exchange(proxy, b"x") == b"x"
        assert set(proxy.calls) == {(9, True)}


def test_the_turn_counts_the_connections_of_a_handler():
    """From 1, in the order of the connections."""
    class Counting(BaseHandler):
        name = "counting"

        def on_connect(self, client_sock, backend_sock):
            self.note("%d" % self.connection.position)
            return True

    with registered(Counting), echoing() as proxy:
        exchange(proxy, b"x")
        proxy.behavior = "100:counting"
        for _ in range(2):
            exchange(proxy, b"x")
        await_end(proxy, 3)
        assert [each.faults for each in proxy.connections] == [[], ["1"], ["2"]]


def test_a_changed_behavior_is_for_new_connections():
    """Those that are open go on as they began."""
    with registered(Failing), echoing() as proxy, connected(proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        proxy.behavior = "100:failing"
        client.sendall(b"y")
        assert client.recv(1) == b"y"
        with pytest.raises(ConfigurationError):
            proxy.behavior = "100:nothing"
        assert proxy.behavior == "100:failing"


def test_a_proxy_can_be_started_again():
    """On the same port; twice at a time is a mistake."""
    with Server(echo) as backend:
        proxy = ChaosProxy(backend.address)
        with proxy:
            address = proxy.address
            with pytest.raises(RuntimeError):
                proxy.start()
            exchange(proxy, b"x")
        assert "stopped" in repr(proxy)
        proxy.stop()
        with proxy:
            assert proxy.address == address
            assert exchange(proxy, b"y") == b"y"
        assert [each.number for each in proxy.connections] == [1, 2]


def test_the_record_can_be_limited():
    """The counts are exact in any case."""
    with echoing(record=1) as proxy:
        for count in 1, 2, 3:
            exchange(proxy, b"x")
            await_end(proxy, count)  # What is recorded is what ended last.
        assert [each.number for each in proxy.connections] == [3]
        assert proxy.connection_count == 3
        proxy.record.forget()
        assert proxy.connections == []
