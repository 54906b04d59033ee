"""What the simulated gateway decides: its rules, its registry and its scripts, without a socket."""

from __future__ import absolute_import, division, print_function

import datetime
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.errors import ProtocolError
from apnsclient.protocols.binary import Notification
from apnsclient.testing.simulator import Accepted, Devices, ErrorResponse, FeedbackScript, Script
from apnsclient.testing.simulator.connection_facts import ConnectionFacts, TLSFacts
from apnsclient.testing.simulator.exchange import GatewayExchange
from apnsclient.testing.simulator.gateway_conversation import Ending, GatewayConversation, Limits
from apnsclient.testing.simulator.record import Record
from tables import each

pytestmark = pytest.mark.timeout(240)

TOKEN = b"\x01" * 32
HEX = "01" * 32
LIMITS = Limits(token_size=32, payload_size=2048)


def notification(identifier=1, token=TOKEN, payload=b"{}", command=2):
    return Notification(command, identifier, 77, token, payload, 10)


def converse(script=None, devices=None, limits=LIMITS):
    return GatewayConversation(devices or Devices(), limits, script or Script())


def error(status, identifier):
    return Ending("error", status, identifier)


# The rules.


@each("changes, status", [
    ({"token": None}, 2),
    ({"token": b""}, 2),
    ({"token": TOKEN[:-1]}, 5),
    ({"token": TOKEN + b"\1"}, 5),
    ({"payload": None}, 4),
    ({"payload": b""}, 4),
    ({"payload": b"x" * 2049}, 7),
    ({"token": b"\xbb" * 32}, 8),
    ({"token": b"\xcc" * 32}, 255),
])
def test_a_bad_notification_gets_its_status(changes, status):
    """Each rule has its status, the frame names the identifier, and the rest is discarded."""
    devices = Devices()
    devices.bad("bb" * 32)
    devices.bad("cc" * 32, status=255)
    good, bad = notification(1), notification(2, **changes)
    conversation = converse(devices=devices)
    assert conversation.receive([good, bad, notification(3)]) == ([good], error(status, 2))


@pytest.mark.parametrize("token_size, payload_size, fine", [
    (32, 2048, notification(payload=b"x" * 2048)),
    (32, 256, notification(payload=b"x" * 256)),
    (None, 256, notification(token=b"1")),
    (4, 256, notification(token=b"1234")),
])
def test_limits_are_inclusive_and_configurable(token_size, payload_size, fine):
    """What is exactly as large as allowed is accepted; any token size is if None is the limit."""
    conversation = converse(limits=Limits(token_size, payload_size))
    assert conversation.receive([fine]) == ([fine], None)


def test_the_old_limit_of_the_payload():
    """With the limit of before 2014, 257 bytes are too many."""
    conversation = converse(limits=Limits(32, 256))
    assert conversation.receive([notification(payload=b"x" * 257)]) == ([], error(7, 1))


def test_command_0_never_gets_an_error_frame():
    """The old command has no error frame; the gateway hangs up."""
    bad = notification(None, token=b"1", command=0)
    assert converse().receive([bad]) == ([], Ending("close", None, None))


def test_a_notification_without_identifier_is_reported_as_0():
    """The error frame always has an identifier."""
    assert converse().receive([notification(None, token=b"1")]) == ([], error(5, 0))


@pytest.mark.parametrize("identifier, reported", [(None, 0), (9, 9)])
def test_bytes_that_cannot_be_framed_are_a_processing_error(identifier, reported):
    """What was whole before them is accepted, and the identifier is named if it is known."""
    good = notification(1)
    decision = converse().receive([good], ProtocolError("no frame", identifier))
    assert decision == ([good], error(1, reported))


def test_a_bad_notification_comes_before_bytes_that_cannot_be_framed():
    """The first thing that is wrong is the one that is reported."""
    decision = converse().receive([notification(4, token=b"1")], ProtocolError("no frame"))
    assert decision == ([], error(5, 4))


# Scripts.


def test_status_at_counts_from_1():
    """The n-th notification of the connection gets the status, however they arrive."""
    conversation = converse(Script(status_at={3: 128}))
    first, second, third = map(notification, (1, 2, 3))
    assert conversation.receive([first]) == ([first], None)
    assert conversation.receive([second, third]) == ([second], error(128, 3))


def test_status_10_names_the_last_accepted():
    """Shutdown reports what was delivered, whichever notification it is for."""
    conversation = converse(Script(status_at={3: 10}))
    batch = [notification(identifier) for identifier in (7, 8, 9)]
    assert conversation.receive(batch) == (batch[:2], error(10, 8))


@pytest.mark.parametrize("script, ending", [
    (Script(close_after=2), Ending("close", None, None)),
    (Script(stall_after=2), Ending("stall", None, None)),
    (Script(reset_after=2), Ending("reset", None, None)),
    (Script(garbage_after=2), Ending("garbage", None, None)),
    (Script(shutdown_after=2), error(10, 2)),
])
def test_endings_come_right_after_the_nth(script, ending):
    """After n accepted notifications the connection ends, without waiting for another one."""
    batch = [notification(identifier) for identifier in (1, 2, 3)]
    assert converse(script).receive(batch) == (batch[:2], ending)
    conversation = converse(script)
    assert conversation.begin() is None
    assert conversation.receive(batch[:1]) == (batch[:1], None)
    assert conversation.receive(batch[1:2]) == (batch[1:2], ending)


@pytest.mark.parametrize("script, ending", [
    (Script(close_after=0), Ending("close", None, None)),
    (Script(shutdown_after=0), error(10, 0)),
    (Script(), None),
])
def test_endings_after_nothing_come_at_once(script, ending):
    """With n = 0 the connection ends at its beginning; status 10 then names 0."""
    assert converse(script).begin() == ending


def test_shutdown_after_command_0_names_0():
    """An old notification has no identifier to be named by."""
    old = notification(None, command=0)
    assert converse(Script(shutdown_after=1)).receive([old]) == ([old], error(10, 0))


@each("arguments, words", [
    ({"delay": -1}, "delay is -1"),
    ({"delay": 1, "hold": True}, "delay and hold exclude"),
    ({"refuse": True, "stall_handshake": True}, "refuse and stall_handshake exclude"),
    ({"close_after": -1}, "close_after is -1, expected an integer, 0 or more"),
    ({"stall_after": 1.5}, "stall_after is 1.5"),
    ({"reset_after": True}, "reset_after is True"),
    ({"close_after": 1, "garbage_after": 2}, "close_after and garbage_after exclude"),
    ({"status_at": {0: 8}}, "status_at position is 0, expected an integer, 1 or more"),
    ({"status_at": {1: 256}}, "status_at status is 256, expected an integer, 0 to 255"),
])
def test_a_script_that_makes_no_sense_is_refused(arguments, words):
    """A ValueError names the parameter, its value and what was expected."""
    with pytest.raises(ValueError) as caught:
        Script(**arguments)
    assert words in str(caught.value)


def test_a_feedback_script_that_makes_no_sense_is_refused():
    """The same holds for the feedback service."""
    with pytest.raises(ValueError):
        FeedbackScript(close_after=-1)
    with pytest.raises(ValueError):
        FeedbackScript(close_after=1, reset_after=1)


def test_scripts_are_values():
    """Scripts compare, hash and pickle by what they say, and cannot be changed."""
    script = Script(status_at={2: 8, 1: 7}, hold=True)
    assert script == Script(status_at={1: 7, 2: 8}, hold=True) != Script()
    assert hash(script) == hash(pickle.loads(pickle.dumps(script, 2)))
    assert script == pickle.loads(pickle.dumps(script, 2))
    with pytest.raises(AttributeError):
        script.hold = False
    assert FeedbackScript(stall_after=3).ending == ("stall", 3)
    assert FeedbackScript().ending is None


# The registry.


@pytest.mark.parametrize("strict, status", [(False, None), (True, 8)])
def test_unknown_tokens(strict, status):
    """A strict registry rejects what was never added."""
    devices = Devices(strict=strict)
    devices.add("02" * 32)
    assert devices.push(TOKEN) == status
    assert devices.push(b"\x02" * 32) is None


def test_the_last_word_holds():
    """A token is known, bad or uninstalled: what was said last."""
    devices = Devices(strict=True)
    devices.add(HEX)
    devices.bad(HEX, status=6)
    assert devices.push(TOKEN) == 6
    devices.uninstall(HEX)
    assert devices.push(TOKEN) is None
    devices.add(HEX)
    assert devices.push(TOKEN) is None
    devices.remove(HEX)
    assert devices.push(TOKEN) == 8
    assert devices.feedback == []


def test_tokens_are_hexadecimal_text_or_bytes():
    """Either case will do, and bytes are taken for ASCII."""
    devices = Devices(strict=True)
    devices.add(u"AB" * 32, b"cd" * 32)
    assert devices.push(b"\xab" * 32) is None
    assert devices.push(b"\xcd" * 32) is None


@pytest.mark.parametrize("token", ["", "xyz1" * 16, "0" * 63, None, 5])
def test_what_is_no_token_is_refused(token):
    """A ValueError says what is wrong, and does not show the token."""
    with pytest.raises(ValueError) as caught:
        Devices().add(token)
    assert "token" in str(caught.value)
    assert "xyz1xyz1" not in str(caught.value)


@pytest.mark.parametrize("status", [-1, 256])
def test_a_status_has_8_bits(status):
    """What does not fit the frame is an error."""
    with pytest.raises(ValueError):
        Devices().bad(HEX, status)


class Zone(datetime.tzinfo):
    """Two hours east of Greenwich."""

    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return datetime.timedelta(0)


@pytest.mark.parametrize("when, timestamp", [
    (None, 1234), (5678, 5678),
    (datetime.datetime(1970, 1, 2), 86400),
    (datetime.datetime(1970, 1, 2, 2, tzinfo=Zone()), 86400),
])
def test_uninstalling_makes_a_feedback_row(when, timestamp):
    """The row is there at once, with the time that was given or that of the clock."""
    devices = Devices(clock=lambda: 1234.5)
    devices.uninstall(HEX, when)
    assert devices.feedback == [(HEX, timestamp)]


@pytest.mark.parametrize("when", [-1, 1 << 32])
def test_a_time_has_32_bits(when):
    """What does not fit the row is an error."""
    with pytest.raises(ValueError):
        Devices().uninstall(HEX, when)


def test_pushing_to_an_uninstalled_device_makes_another_row():
    """Once the list has been read, the next push puts the token in again; but only one row."""
    devices = Devices()
    devices.uninstall(HEX, 5)
    devices.clear_feedback(devices.feedback_rows())
    assert devices.feedback == []
    for _ in range(2):
        assert devices.push(TOKEN) is None
    assert devices.feedback == [(HEX, 5)]


def test_clearing_takes_only_what_was_read():
    """A row that came in the meantime stays, also one for a token that was read."""
    devices = Devices()
    devices.uninstall(HEX, 5)
    rows = devices.feedback_rows()
    devices.uninstall("02" * 32, 6)
    devices.uninstall(HEX, 7)
    devices.clear_feedback(rows)
    assert devices.feedback == [(HEX, 7), ("02" * 32, 6)]


def test_installing_again_leaves_the_row():
    """As with Apple, the row's time shows that it is older than the installation."""
    devices = Devices()
    devices.uninstall(HEX, 5)
    devices.add(HEX)
    assert devices.feedback == [(HEX, 5)]
    assert devices.push(TOKEN) is None


# The policy against a model of it.


def model(notifications, strict, known, bad, positions, shutdown_after):
    """Say what Apple's rules are, once more and as plainly as possible."""
    accepted = []
    if shutdown_after == 0:
        return accepted, (10, 0)
    for position, one in enumerate(notifications, 1):
        last = accepted[-1].identifier if accepted else 0
        rules = [
            (position in positions, positions.get(position)),
            (not one.token, 2), (one.token and len(one.token) != 32, 5),
            (not one.payload, 4), (one.payload and len(one.payload) > 2048, 7),
            (one.token in bad, bad.get(one.token)), (strict and one.token not in known, 8),
        ]
        statuses = [status for applies, status in rules if applies]
        if statuses:
            return accepted, (statuses[0], last if statuses[0] == 10 else one.identifier)
        accepted.append(one)
        if len(accepted) == shutdown_after:
            return accepted, (10, one.identifier)
    return accepted, None


tokens = st.sampled_from([None, b"", b"\x05" * 31] + [bytes(bytearray([n])) * 32 for n in range(6)])
payloads = st.sampled_from([None, b"", b"{}", b"{}", b"{}", b"x" * 2048, b"x" * 2049])
frames = st.lists(st.tuples(tokens, payloads), max_size=12)


@given(frames=frames, strict=st.booleans(), cuts=st.lists(st.integers(0, 12), max_size=4),
       positions=st.dictionaries(st.integers(1, 12), st.integers(0, 255), max_size=2),
       shutdown_after=st.none() | st.integers(0, 12))
def test_policy_does_what_the_model_does(frames, strict, cuts, positions, shutdown_after):
    """Whatever arrives in whatever pieces, the outcome is that of the rules, read one by one."""
    known = [bytes(bytearray([n])) * 32 for n in range(3)]
    bad = {b"\x03" * 32: 8, b"\x04" * 32: 3}
    devices = Devices(strict=strict)
    devices.add(*["%02x" % n * 32 for n in range(3)])
    devices.bad("03" * 32)
    devices.bad("04" * 32, status=3)
    conversation = converse(Script(status_at=positions, shutdown_after=shutdown_after), devices)
    batch = [notification(n, token, payload) for n, (token, payload) in enumerate(frames, 100)]

    accepted, ending = [], conversation.begin()
    edges = [0] + sorted(cuts) + [len(batch)]
    for start, end in zip(edges, edges[1:]):
        if ending is None:
            some, ending = conversation.receive(batch[start:end])
            accepted += some
    expected, outcome = model(batch, strict, known, bad, positions, shutdown_after)
    assert accepted == expected
    assert ending == (error(*outcome) if outcome else None)
    assert conversation.accepted_count == len(expected)


# The record.


def accepted_on(number, *notifications):
    """Return notifications that were accepted on a connection of a number, as exchanges."""
    facts = ConnectionFacts(
        number, number, "gateway", None, TLSFacts("", "", "", False), None, 0.0)
    exchanges = [GatewayExchange(index, 0.0, facts, each, 2048)
                 for index, each in enumerate(notifications, 1)]
    for exchange in exchanges:
        exchange.outcome, exchange.is_processed = "accepted", True
    return exchanges


def test_a_record_keeps_everything_in_order():
    """What was accepted comes back in order and readable, and so do the errors."""
    record = Record()
    record.arrived(accepted_on(1, notification(7, payload=b"a"), notification(8)))
    record.arrived(accepted_on(2, notification(1)))
    record.add_error(ErrorResponse(1, 8, 9))
    assert record.accepted()[0] == Accepted(1, 7, HEX, b"a", 77, 10)
    assert [(each.connection, each.identifier) for each in record.accepted()] == [
        (1, 7), (1, 8), (2, 1)]
    assert record.accepted_tokens() == [HEX] * 3
    assert record.errors() == [ErrorResponse(1, 8, 9)]
    record.forget()
    assert (record.accepted(), record.errors()) == ([], [])
    assert (record.accepted_count, record.error_count) == (3, 1)


@pytest.mark.parametrize("keep, kept", [(False, []), (0, []), (2, [3, 4])])
def test_a_bounded_record_keeps_the_last_and_counts_all(keep, kept):
    """The record does not grow beyond its bound; the count is exact all the same."""
    record = Record(keep)
    record.arrived(accepted_on(1, notification(1), notification(2)))
    record.arrived(accepted_on(1, notification(3), notification(4)))
    assert [each.identifier for each in record.accepted()] == kept
    assert record.accepted_count == 4


def test_waiting_ends_when_the_time_is_over():
    """A predicate that never becomes true is called, and the result is False."""
    assert Record().wait_for(lambda: False, 0.01) is False
    assert Record().wait_for(lambda: 1, 0) is True
