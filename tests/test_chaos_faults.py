"""What holds for every fault of the chaos proxy, whatever it does."""

from __future__ import absolute_import, division, print_function

import socket
import ssl
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.testing.chaos import ChaosProxy, ConfigurationError, waiting
from apnsclient.testing.chaos.handlers import Handler
from effort import examples
from fault_support import DATA, SOON, Gone, Link, modes, read_exactly, read_rest
from tables import each

NAMES = sorted(name.replace("_", "-") for name in Handler.built_in)
A_DAY = 86400

DIRECTIONS = st.sampled_from(["to_backend", "to_client", "both"])
LIMITS = st.integers(0, 300)

#: By fault: what its options may be where a connection is to end within a moment.
OPTIONS = {
    "blackout": {"direction": DIRECTIONS},
    "corrupt": {"probability": st.sampled_from([0, 0.01, 1]), "direction": DIRECTIONS,
                "offset": st.none() | LIMITS},
    "cut-after-bytes": {"count": LIMITS, "direction": DIRECTIONS},
    "cut-after-frames": {"count": st.integers(0, 5), "direction": DIRECTIONS},
    "delay": {"sleep": st.sampled_from([0, 0.001]), "direction": DIRECTIONS},
    "dummy": {},
    "error": {"after": LIMITS, "size": st.integers(1, 100)},
    "half-close": {"after": LIMITS, "direction": st.sampled_from(["to_backend", "to_client"])},
    "hang": {"after": LIMITS, "direction": DIRECTIONS},
    "refuse": {"reset": st.booleans()},
    "reset": {"after": LIMITS, "direction": DIRECTIONS},
    "silence": {"idle": st.sampled_from([0, 0.001, A_DAY]), "direction": DIRECTIONS},
    "slice": {"size": st.integers(1, 50), "gap": st.sampled_from([0, 0.0001]),
              "direction": DIRECTIONS},
    "slow": {"rate": st.sampled_from([20000, 10 ** 9]), "direction": DIRECTIONS},
    "transient": {"handler": st.sampled_from(["reset", "dummy", "refuse"]),
                  "connections": st.integers(0, 1), "seconds": st.sampled_from([0, A_DAY])},
}

#: By fault: values that its options cannot have.
WRONG = {
    "blackout": {"direction": "backend"},
    "corrupt": {"probability": "1.01", "offset": "-1", "direction": ""},
    "cut-after-bytes": {"count": "-1", "direction": "none"},
    "cut-after-frames": {"count": "1.5", "direction": 1},
    "delay": {"sleep": "-0.1", "direction": "BOTH"},
    "dummy": {},
    "error": {"after": "many", "size": "0"},
    "half-close": {"after": "-1", "direction": "both"},
    "hang": {"after": None, "direction": True},
    "refuse": {"reset": "perhaps"},
    "reset": {"after": "0x10", "direction": "client"},
    "silence": {"idle": "nan", "direction": "neither"},
    "slice": {"size": "0", "gap": "-1", "direction": "0"},
    "slow": {"rate": "0", "direction": "all"},
    "transient": {"handler": "nonsense", "connections": "-1", "seconds": "inf"},
}

#: By fault: options with which it is busy for ever, where it can be.
ENDLESS = {
    "delay": {"sleep": A_DAY}, "slow": {"rate": 1 / A_DAY}, "slice": {"gap": A_DAY},
    "silence": {"idle": 0}, "hang": {"after": 10}, "error": {"after": 10 ** 9},
    "cut-after-bytes": {"count": 10 ** 9}, "cut-after-frames": {"count": 10 ** 9},
    "reset": {"after": 10 ** 9}, "transient": {"handler": "hang"},
}

each_fault = pytest.mark.parametrize("name", NAMES)


def chaos_threads():
    """Return the threads of chaos proxies that are alive."""
    return [each for each in threading.enumerate() if each.name.startswith("apnsclient chaos")]


def send(peer, data):
    """Send it, unless the connection has ended already; return whether that went well."""
    try:
        peer.sendall(data)
    except (socket.error, ssl.SSLError):
        return False
    return True


def write(peer, data):
    """Send it, and the end of the stream."""
    try:
        if send(peer, data):
            peer.shutdown(socket.SHUT_WR)
    except socket.error:
        pass  # It has ended in between.


def test_every_fault_is_covered_here():
    """A new one is put into the tables, with each of its options."""
    for name in NAMES:
        for table in (OPTIONS, WRONG):
            assert set(table[name]) == set(Handler.get(name).options)
    assert set(OPTIONS) == set(WRONG) == set(NAMES)


@each_fault
def test_options_say_what_they_are(name):
    """Each has a description, a type and a default, which its type takes; nothing else is said."""
    for description, kind, default in Handler.get(name).options.values():
        assert description[0].isupper() and description.endswith(".")
        assert kind(default) == default
    assert Handler.get(name).__doc__.strip()


@each("name, option", [
    (name, option) for name in NAMES for option in sorted(WRONG[name])])
def test_a_value_that_an_option_cannot_have_is_refused(name, option):
    """The message names fault, option and value; the value that was there stays."""
    proxy = ChaosProxy(("127.0.0.1", 1), "100:" + name)
    before = proxy.settings(name)
    with pytest.raises(ConfigurationError) as caught:
        proxy.configure(name, **{option: WRONG[name][option]})

    assert str(WRONG[name][option]) in str(caught.value)
    assert "handler" in str(caught.value) and option in str(caught.value) or name == "transient"
    assert proxy.settings(name) == before


@each_fault
def test_an_option_that_there_is_not_is_refused(name):
    """The message names those that there are."""
    with pytest.raises(ConfigurationError) as caught:
        ChaosProxy(("127.0.0.1", 1), "100:" + name, {name: {"nonsense": 1}})

    assert "'nonsense'" in str(caught.value)
    for option in Handler.get(name).options:
        assert option in str(caught.value)


@modes
@each_fault
def test_at_0_percent_everything_passes(name, mode):
    """Bytes and the end of each direction, and the record has no fault."""
    with Link(name, mode, behavior="0:" + name) as link:
        client, backend = link.open()
        client.sendall(DATA)
        assert read_exactly(backend, len(DATA)) == DATA
        backend.sendall(DATA)
        assert read_exactly(client, len(DATA)) == DATA
        if mode == "plain":
            client.shutdown(socket.SHUT_WR)
            assert read_rest(backend) == (b"", "end")
        backend.close()
        assert read_rest(client) == (b"", "end")
        client.close()
        record = link.await_end()
        assert (record.handler, record.faults, record.error) == ("dummy", [], None)


@each_fault
@examples(12)
@given(st.data())
def test_what_gets_through_is_a_prefix_of_what_was_sent(name, data):
    """In each direction; but some bits differ for corrupt, and error adds garbage at the end."""
    sent = dict((way, data.draw(st.binary(max_size=400))) for way in ("to_backend", "to_client"))
    options = dict((option, data.draw(values)) for option, values in sorted(OPTIONS[name].items()))
    with Link(name, **options) as link:
        link.proxy.linger = 0.05
        client = link.connect()
        if not link.await_backend() or isinstance(client, Gone):
            assert name in ("refuse", "reset", "transient", "cut-after-bytes", "cut-after-frames")
            return
        link.proxy.timeout = 0.01  # For how long the dead stay when their peers have ended.
        write(client, sent["to_backend"])
        write(link.latest, sent["to_client"])
        got = {"to_backend": read_rest(link.latest)[0], "to_client": read_rest(client)[0]}
        record = link.await_end()

    assert record.error is None
    for way, received in got.items():
        check_prefix(name, options, way, sent[way], received)
        if options.get("direction", "both") in (way, "both"):
            limit = options.get("after", options.get("count"))
            if name in ("hang", "reset", "half-close", "cut-after-bytes"):
                assert len(received) <= limit
    if name in ("delay", "dummy", "slice", "slow"):
        assert got == sent


def check_prefix(name, options, way, sent, received):
    """Fail unless it is a prefix as the fault leaves it."""
    if name == "error" and way == "to_client":
        assert received in [sent] or len(received) >= options["size"]
        received = received if received == sent else received[:-options["size"]]
    elif name == "corrupt":
        assert len(received) == len(sent)
        if options["direction"] in (way, "both") and options["probability"]:
            return
        sent = sent if options["offset"] is None else received
    assert sent.startswith(received)


@each_fault
def test_tls_that_passes_through_delivers_a_prefix_or_fails(name):
    """Whatever is done to its bytes: what an end of TLS gets was sent by the other one."""
    with Link("dummy", "through", settings={name: {}}) as link:
        client, backend = link.open()
        link.proxy.set_handler(name, existing=True, **ENDLESS.get(name, {}))
        size = 20000
        for peer in (client, backend):
            send(peer, DATA * (size // len(DATA)))
        link.proxy.wait_for(lambda: link.record.fault_count or link.record.bytes_to_client > size
                            and link.record.bytes_to_backend > size, SOON)
        link.proxy.stop(SOON)

        for peer in (client, backend):
            assert (DATA * (size // len(DATA))).startswith(read_rest(peer)[0])


@modes
@each_fault
def test_it_ends_with_the_proxy_and_does_not_spin(name, mode, descriptors, monkeypatch):
    """Nothing to be done is nothing done; no thread and no socket outlives the proxy."""
    calls = []
    poll = waiting._poll

    def counted(*arguments):
        calls.append(None)
        return poll(*arguments)

    with Link(name, mode, behavior="0:" + name, **ENDLESS.get(name, {})) as link:
        pairs = [link.open() for _ in range(3)]
        link.proxy.set_behavior("100:" + name, existing=True)
        for client, backend in pairs:
            send(client, DATA)
            send(backend, DATA)
        link.proxy.wait_for(lambda: False, 0.05)  # Until whatever happens at first has happened.
        monkeypatch.setattr(waiting, "_poll", counted)
        link.proxy.wait_for(lambda: False, 0.1)
        assert len(calls) < 100
        link.proxy.stop(SOON)

        assert chaos_threads() == []
        assert link.proxy.open_connections == 0


@pytest.mark.parametrize("name", ["cut-after-bytes", "reset"])
def test_a_fault_that_waits_for_a_receiver_ends_with_the_proxy(name):
    """Nobody reads what may get through: it waits for that, and no longer when it is stopped."""
    size = 20000000
    options = {"count": size} if name == "cut-after-bytes" else {"after": size}
    with Link(name, direction="to_backend", **options) as link:
        client, _ = link.open()
        sender = threading.Thread(target=write, args=(client, b"x" * size))
        sender.start()
        assert link.proxy.wait_for(lambda: link.record.bytes_to_backend > 1000000, SOON)
        link.proxy.stop(SOON)
        sender.join()

        assert chaos_threads() == []
        assert link.record.faults == []


def what_happens(name, seed):
    """Return the record of some connections, about half of which have the fault."""
    with Link(name, behavior="50:" + name, seed=seed,
              settings={"transient": {"connections": 2}}) as link:
        link.proxy.configure("delay", sleep=0.001)
        link.proxy.configure("silence", idle=0)
        link.proxy.configure("corrupt", probability=0.01)
        link.proxy.configure("slow", rate=10 ** 6)
        link.proxy.linger = 0.05
        for number in range(1, 7):
            client = link.connect()
            if link.await_backend(number) and not isinstance(client, Gone):
                link.proxy.timeout = 0.01  # For how long it stays when the client has ended.
                write(client, DATA)
                read_rest(link.latest)
                link.latest.close()
            client.close()
            link.await_end()
            link.proxy.timeout = SOON
        return [(each.handler, sorted(each.faults), each.bytes_to_backend, each.bytes_to_client,
                 each.error) for each in link.proxy.connections]


@each_fault
def test_the_same_seed_gives_the_same_record(name):
    """Which connections are struck, and what is done to each; another seed strikes others."""
    first = what_happens(name, 1)

    assert first == what_happens(name, 1)
    assert {name, "dummy"} == {each[0] for each in first}
    assert name == "dummy" or [each[0] for each in first] != [
        each[0] for each in what_happens(name, 2)]
    for handler, faults, _, _, error in first:
        assert error is None
        assert handler != "dummy" or faults == []
