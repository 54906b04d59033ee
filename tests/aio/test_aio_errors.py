"""The exceptions of the asynchronous client: which there are, and what each of them says."""

import asyncio
import copy
import datetime
import inspect
import pickle
import socket
import subprocess
import sys

import pytest

import apnsclient.errors
from apnsclient.aio import errors
from apnsclient.aio.errors import CODES, Kind, ResponseError, UnknownResponseError, create, get
from apnsclient.reasons import RESPONSES, reason_of_response
from tables import each

#: Reasons of requests about channels that no notification has (Apple, Handling error responses).
OF_CHANNELS = {"BadChannelId", "BadRequestParams", "BadRequestPayload", "CannotCreateChannelConfig",
               "ChannelNotRegistered", "FeatureNotEnabled", "MissingChannelId", "MissingPushType"}

NOON = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def new_codes():
    """Takes what the test adds to the table out again."""
    before = dict(CODES)
    yield
    CODES.clear()
    CODES.update(before)


def test_each_reason_has_a_class_of_its_name():
    """Those of the table of reasons, and those of channels; no more."""
    assert set(CODES) == set(RESPONSES) | OF_CHANNELS
    for codename, cls in CODES.items():
        assert (cls.__name__, cls.codename) == (codename, codename)
        assert getattr(errors, codename) is cls
        assert cls.__bases__ == (ResponseError,)
    assert set(errors.__all__) == {
        name for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
        and not name.startswith("_")} | {"CODES", "create", "get"}


def test_an_exception_has_what_the_table_says_of_its_reason():
    """Status, how long to wait, and whether it may be sent again."""
    for name, row in RESPONSES.items():
        error = get(name, "an-id")
        assert type(error) is CODES[name]
        assert (error.reason, error.codename, error.apns_id) == (name, name, "an-id")
        assert (name, error.status, error.retry_after) == (name, row.status, row.retry_after)
        assert (name, error.kind) == (
            name, Kind.unprocessed if row.retries_reported else Kind.rejected)
        assert error.timestamp is None and error.unique_id is None and not error.is_gone
    assert {name for name in RESPONSES if get(name).kind is Kind.unprocessed} == {
        "IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown",
        "TooManyProviderTokenUpdates", "TooManyRequests"}
    for name in OF_CHANNELS:
        assert (get(name).kind, get(name).status) == (Kind.rejected, None)


def test_the_text_says_what_to_do():
    """The reason first, then what it means, as the class says it; on one line."""
    for name, cls in CODES.items():
        text = str(cls())
        assert text.startswith(name + ": ") and "\n" not in text and "  " not in text
        assert text.count(". ") >= 1, "it says what happened, and not what to do"
        assert len(text) < 250
    assert str(get("BadCollapseId")) == ("BadCollapseId: The collapse identifier is too long. Give "
                                         "one of at most 64 bytes.")
    assert str(get("BadCollapseId").problem) == str(get("BadCollapseId"))


def test_advice_about_the_topic_takes_the_place_of_the_general_text():
    """It names the topic that was sent, and the one that belongs there."""
    row = RESPONSES["DeviceTokenNotForTopic"].advised("a.b", "voip")
    error = get("DeviceTokenNotForTopic", row=row)
    assert str(error) == row.explanation
    assert str(error).endswith("push type voip belongs to topic a.b.voip, not to a.b")


def test_without_docstrings_the_text_is_that_of_the_table():
    """An interpreter that drops them (-OO) has the reason at least."""
    program = ("from apnsclient.aio.errors import get; print(get('Unregistered')); "
               "print(get('Newest'))")
    child = subprocess.run([sys.executable, "-OO", "-c", program], stdout=subprocess.PIPE,
                           check=True, text=True)
    assert child.stdout.splitlines() == [RESPONSES["Unregistered"].explanation, "Newest"]


@each("status, reason, kind, retry_after", [
    (400, "Newest", Kind.rejected, None), (403, "Newest", Kind.rejected, None),
    (410, "Newest", Kind.rejected, None), (408, "Newest", Kind.unprocessed, None),
    (421, None, Kind.unprocessed, None), (429, "Newest", Kind.unprocessed, 60),
    (502, None, Kind.unprocessed, 900), (503, "Newest", Kind.unprocessed, 900)])
def test_a_reason_that_is_not_in_the_table_survives(status, reason, kind, retry_after):
    """As the base class of unknown ones, with what follows from its status."""
    error = get(reason, "an-id", row=reason_of_response(status, reason))
    assert type(error) is UnknownResponseError
    assert (error.reason, error.codename, error.status) == (reason, reason or "", status)
    assert (error.kind, error.retry_after) == (kind, retry_after)
    assert str(error).startswith((reason or "HTTP status %d" % status) + ": ")


def test_a_reason_without_status_was_rejected():
    """Whoever makes one by hand says no more."""
    for error in (get("Newest"), get(None), UnknownResponseError(), ResponseError("Newest")):
        assert (error.kind, error.status, error.retry_after) == (Kind.rejected, None, None)
    assert str(get(None)).startswith("a response without a reason: ")


def test_a_known_reason_may_come_with_another_status():
    """Then the status is that of the response."""
    error = get("Shutdown", row=reason_of_response(500, "Shutdown"))
    assert type(error) is errors.Shutdown
    assert (error.status, error.retry_after) == (500, 900)


def test_create_returns_the_class_of_a_reason():
    """A known one, whoever asks."""
    for name, cls in CODES.items():
        assert create(name) is cls


def test_create_makes_a_class_for_a_new_reason(new_codes):
    """A program can catch it by that class then, or as one that is unknown to this version."""
    made = create("Newest")
    assert issubclass(made, UnknownResponseError)
    assert made.__name__ == made.codename == "Newest"
    assert create("Newest") is made and CODES["Newest"] is made
    error = get("Newest", "an-id")
    assert type(error) is made and (error.reason, error.apns_id) == ("Newest", "an-id")
    assert str(error) == "Newest: " + UnknownResponseError.__doc__


def test_a_response_makes_no_class():
    """A server that invents names fills no table."""
    before = dict(CODES)
    for index in range(100):
        assert type(get("Reason%d" % index)) is UnknownResponseError
    assert CODES == before


@each("codename, error", [(None, TypeError), (b"Newest", TypeError), ("", ValueError)])
def test_create_refuses_what_is_no_name(codename, error):
    """A class needs a name."""
    with pytest.raises(error, match="codename"):
        create(codename)


@each("base", [TimeoutError, asyncio.TimeoutError, socket.timeout, apnsclient.errors.Timeout,
               apnsclient.errors.APNsError, errors.APNSError, OSError])
def test_a_timeout_is_every_kind_of_timeout(base):
    """Whichever a caller catches; they are one class from Python 3.11 on."""
    with pytest.raises(base, match="^no response within 10 seconds$") as caught:
        raise errors.Timeout("no response within 10 seconds", kind=Kind.unprocessed)
    assert caught.value.kind is Kind.unprocessed and errors.Timeout().kind is Kind.unknown
    assert apnsclient.errors.is_timeout(caught.value)


@each("cls, kind", [
    (errors.APNSError, Kind.unknown), (errors.Blocked, Kind.unprocessed),
    (errors.Closed, Kind.unknown), (errors.FormatError, Kind.unknown),
    (errors.ResponseTooLarge, Kind.unknown), (errors.StreamReset, Kind.unknown),
    (errors.SimulatorError, Kind.unprocessed), (errors.Timeout, Kind.unknown)])
def test_an_exception_says_what_is_known_of_the_notification(cls, kind):
    """By its class, unless whoever raises it knows better."""
    assert issubclass(cls, apnsclient.errors.APNsError)
    assert cls("text").kind is kind and str(cls("text")) == "text"
    for other in Kind:
        assert cls("text", kind=other).kind is other
    advised = cls("the proxy is down", "proxy", kind=Kind.unprocessed)
    assert str(advised) == "the proxy is down; check the option proxy"


def test_exceptions_can_be_pickled_and_copied(new_codes):
    """They cross the borders of processes, with all that they have."""
    row = RESPONSES["Unregistered"]
    for error in [
            get("Unregistered", "an-id", row=row, timestamp=NOON, unique_id="unique"),
            get("Newest", "an-id", row=reason_of_response(418, "Newest"), kind=Kind.undelivered),
            get(None), create("Made")(apns_id="an-id"), ResponseError("Plain"),
            errors.Timeout("late", kind=Kind.unprocessed), errors.Closed("closed", "proxy")]:
        error.__notes__ = ["kept"]
        for other in [copy.copy(error), copy.deepcopy(error)] + [
                pickle.loads(pickle.dumps(error, protocol))
                for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]:
            assert type(other) is type(error) and other is not error
            assert (vars(other), other.args, str(other)) == (vars(error), error.args, str(error))


def test_a_class_that_was_made_is_found_in_another_process(new_codes):
    """Which makes it when it unpickles an exception of it."""
    pickled = pickle.dumps(create("Made")("Made", "an-id"))
    del CODES["Made"]
    error = pickle.loads(pickled)
    assert type(error) is create("Made") and error.apns_id == "an-id"


def test_only_a_410_with_its_time_says_that_a_token_is_dead():
    """Another status does not, nor does a 410 of a proxy, which has no time."""
    gone = get("Unregistered", row=RESPONSES["Unregistered"], timestamp=NOON)
    assert gone.is_gone and gone.timestamp == NOON
    assert not get("Unregistered", row=RESPONSES["Unregistered"]).is_gone
    assert not get("BadDeviceToken", timestamp=NOON).is_gone
    assert get("ExpiredToken", timestamp=NOON).is_gone
    assert not get("Newest", timestamp=NOON).is_gone
