"""The outcome of a notification as a value."""

import copy
import dataclasses
import datetime
import operator
import pickle

import pytest

from apnsclient.aio import errors
from apnsclient.aio.outcome import Kind, Outcome, accepted, from_error, rejected
from apnsclient.reasons import RESPONSES, reason_of_response

TOKEN = "0123456789abcdef" * 4
#: The fields of a response with an identifier.
IDENTIFIERS = [(b":status", b"200"), (b"apns-id", b"an-id")]


def test_the_kinds_are_those_of_the_synchronous_result():
    """They are strings, too, for whoever logs or stores them."""
    assert [kind.value for kind in Kind] == [
        "accepted", "rejected", "unprocessed", "unknown", "undelivered"]
    assert Kind("unknown") is Kind.unknown and Kind.unknown == "unknown"


def test_identifiers_are_read_when_they_are_asked_for():
    """And whatever looks at a value as a whole asks for them: comparing, copying, pickling."""
    same = Outcome(Kind.accepted, TOKEN, None, 200, apns_id="an-id")
    for use in (lambda made: made, copy.copy, lambda made: pickle.loads(pickle.dumps(made)),
                dataclasses.replace):
        made = use(accepted(TOKEN, None, IDENTIFIERS))
        assert made == same and hash(made) == hash(same)
        assert dataclasses.asdict(made) == dataclasses.asdict(same)
    assert accepted(TOKEN, None, None).unique_id is None
    with pytest.raises(AttributeError):
        operator.attrgetter("nothing")(accepted(TOKEN, None, IDENTIFIERS))


def test_an_accepted_notification():
    """Has its identifiers, and nothing else."""
    outcome = accepted(TOKEN, {"aps": {}}, IDENTIFIERS + [(b"apns-unique-id", b"unique")])
    assert outcome == Outcome(Kind.accepted, TOKEN, {"aps": {}}, status=200, apns_id="an-id",
                              unique_id="unique")
    assert outcome.is_accepted and not outcome.is_gone
    assert (outcome.error, outcome.explanation, outcome.reason) == (None, None, None)


def test_each_reason_gives_its_kind():
    """And the exception that would have been raised."""
    for name, row in RESPONSES.items():
        outcome = rejected(TOKEN, None, row, None, IDENTIFIERS)
        assert (name, outcome.kind) == (
            name, Kind.unprocessed if row.retries_reported else Kind.rejected)
        assert (outcome.status, outcome.reason, outcome.retry_after, outcome.apns_id) == (
            row.status, name, row.retry_after, "an-id")
        assert type(outcome.error) is errors.CODES[name]
        assert outcome.explanation == str(outcome.error) and not outcome.is_accepted


def test_an_unknown_reason_survives():
    """As text, with what follows from its status."""
    outcome = rejected(TOKEN, None, reason_of_response(429, "Newest"), None, b"")
    assert (outcome.kind, outcome.reason, outcome.retry_after) == (Kind.unprocessed, "Newest", 60)
    assert type(outcome.error) is errors.UnknownResponseError


def test_a_410_has_its_time():
    """In UTC, so that it can be compared with the time of a registration."""
    outcome = rejected(TOKEN, None, RESPONSES["Unregistered"], 1700000000, b"")
    assert outcome.timestamp == datetime.datetime(2023, 11, 14, 22, 13, 20,
                                                  tzinfo=datetime.timezone.utc)
    assert outcome.error.timestamp == outcome.timestamp
    assert outcome.is_gone and outcome.error.is_gone
    assert not rejected(TOKEN, None, RESPONSES["Unregistered"], None, b"").is_gone
    assert rejected(TOKEN, None, RESPONSES["Unregistered"], 0, b"").is_gone


def test_what_had_no_response_has_the_kind_of_its_error():
    """Or the one that whoever reports it knows."""
    for error, given, kind in [
            (errors.Closed("closed", kind=Kind.unprocessed), None, Kind.unprocessed),
            (errors.Timeout("late"), None, Kind.unknown),
            (ValueError("too large"), None, Kind.undelivered),
            (OSError("refused"), Kind.unprocessed, Kind.unprocessed)]:
        outcome = from_error(TOKEN, "text", error, given)
        assert outcome == Outcome(kind, TOKEN, "text", explanation=str(error))
        assert outcome.error is error
    assert from_error(TOKEN, None, KeyError()).explanation == "KeyError"


def test_what_was_not_sent_because_of_another_response_says_why():
    """Nothing was sent, and it would be rejected for the same reason."""
    outcome = from_error(TOKEN, None, errors.get("TopicMismatch", kind=Kind.undelivered))
    assert (outcome.kind, outcome.reason, outcome.status) == (
        Kind.undelivered, "TopicMismatch", 403)


def test_an_outcome_is_a_value():
    """It cannot be changed, is compared by what it has, and can be pickled."""
    outcome = rejected(TOKEN, "text", RESPONSES["Unregistered"], 1700000000, IDENTIFIERS)
    again = rejected(TOKEN, "text", RESPONSES["Unregistered"], 1700000000, IDENTIFIERS)
    assert outcome == again and hash(outcome) == hash(again) and outcome.error is not again.error
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.kind = Kind.accepted
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(outcome, protocol))
        assert other == outcome and vars(other.error) == vars(outcome.error)


def test_the_repr_has_neither_the_token_nor_the_text():
    """A log is read by more people than may know them."""
    for token in (TOKEN, TOKEN.encode("ascii")):
        taken = accepted(token, "secret", b"")
        refused = rejected(token, "secret", RESPONSES["BadDeviceToken"], None, b"")
        assert repr(taken) == "<Outcome: accepted, token 01234567...>"
        assert repr(refused) == "<Outcome: rejected, token 01234567..., BadDeviceToken>"
    late = from_error("abcd", "secret", errors.Timeout("late"))
    assert repr(late) == "<Outcome: unknown, token abcd, late>"
