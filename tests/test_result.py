"""What a result says of its message."""

from __future__ import absolute_import, division, print_function

import datetime

import pytest

from apnsclient import Message, Result
from apnsclient.outcomes import RequestOutcomes
from apnsclient.protocols.binary import TokenError
from apnsclient.reasons import RESPONSES, reason_of_response
from tables import each

A, B, C, D = ("%064x" % index for index in range(4))


def test_a_result_without_failure_has_nothing_in_it():
    """Success: no failed token, no error, nothing to retry."""
    message = Message([A, B])
    result = Result(message)
    assert result.message is message
    assert result.failed == {}
    assert result.errors == []
    assert not result.needs_retry()
    assert result.retry() is None


def test_a_message_of_any_kind_is_not_looked_at_in_vain():
    """A test of somebody's program makes a result without a message."""
    for message in ("done", None, 7, object()):
        for result in (Result(message), Result(message, outcomes=RequestOutcomes())):
            assert result.message is message
            assert (result.failed, result.errors, result.retry()) == ({}, [], None)
            assert (result.undelivered, result.unknown, result.gone) == ([], [], {})
            assert (result.apns_ids, result.apns_unique_ids, result.retry_after) == ({}, {}, None)
            assert not result.needs_retry()
            assert "0 failed" in repr(result)


@pytest.mark.parametrize("code", [8, 10])
def test_nothing_is_retried_behind_the_last_token(code):
    """The last token was refused, or was the last one that was delivered."""
    result = Result(Message([A, B]), (code, 1))
    assert not result.needs_retry()
    assert result.retry() is None


def test_an_io_failure_retries_from_its_index_on():
    """The token at the index is not known to be delivered."""
    result = Result(Message([A, B, C]), (None, 1))
    assert result.errors == [(None, "Unknown")]
    assert result.retry().tokens == [B, C]


def test_tokens_that_cannot_be_sent_are_failed_and_not_retried():
    """They stand beside the one that the gateway reported, with their own text."""
    rejected = [(0, 2, "Missing device token: the token is None"),
                (2, 8, "Invalid token: the token is not hexadecimal")]
    result = Result(Message([None, A, "zz", B, C]), (8, 1), rejected)
    assert result.failed == {
        None: (2, "Missing device token: the token is None"),
        A: (8, "Invalid token"),
        "zz": (8, "Invalid token: the token is not hexadecimal")}
    assert result.retry().tokens == [B, C]


@pytest.mark.parametrize("failure", [None, (8, 0), (1, 1), (10, 0), (None, 1)])
def test_no_retry_if_only_tokens_are_left_that_cannot_be_sent(failure):
    """needs_retry() and retry() agree."""
    result = Result(Message([A, "zz"]), failure, [(1, 8, "x")])
    assert not result.needs_retry()
    assert result.retry() is None
    assert result.failed["zz"] == (8, "x")


def test_an_unprocessed_message_is_retried_whole_without_an_error():
    """No token was processed, which is nobody's fault."""
    result = Result(Message([A, "zz", B]), None, [(1, 8, "x")], unprocessed=True)
    assert result.errors == []
    assert result.failed == {"zz": (8, "x")}
    assert result.needs_retry()
    assert result.retry().tokens == [A, B]


def test_tokens_are_keys_as_the_message_has_them():
    """Bytes stay bytes; what cannot be a key stands as its representation."""
    token = A.encode("ascii")
    assert list(Result(Message([token]), (8, 0)).failed) == [token]
    failed = Result(Message([["x"]]), None, [(0, 8, "x")]).failed
    assert failed == {"['x']": (8, "x")}


def test_a_retry_is_the_same_message_for_other_tokens():
    """All that is sent stays: payload, expiry, priority, class and what a subclass added."""
    class Special(Message):
        pass

    message = Special([A, B, C], alert="x", expiry=5, priority=5, extra={"k": 1})
    message.note = "kept"
    retry = Result(message, (8, 0)).retry()
    assert type(retry) is Special
    assert retry.note == "kept"
    assert retry.get_json_payload() == message.get_json_payload()
    assert (retry.expiry, retry.priority) == (5, 5)
    assert message.tokens == [A, B, C]


def test_the_representation_has_numbers_and_no_token():
    """It can go into a log."""
    result = Result(Message([A, B, C, "zz"]), (8, 1), [(3, 8, "x")])
    assert repr(result) == (
        "<Result: 1 of 4 tokens accepted, 2 failed, 1 to retry, 0 undelivered, errors []>")
    assert repr(Result(Message([A, B]), (7, 1))) == (
        "<Result: 1 of 2 tokens accepted, 0 failed, 0 to retry, 1 undelivered, "
        "errors [(7, 'Invalid payload size')]>")
    assert A not in repr(Message([A]))


@each("failure, rejected, unprocessed, accepted", [
    (None, [], False, 3), (None, [(1, 8, "x")], False, 2), (None, [(1, 8, "x")], True, 0),
    ((8, 1), [], False, 1), ((10, 1), [], False, 2), ((1, 1), [], False, 1),
    ((3, 1), [(2, 8, "x")], False, 1), ((None, 0), [], False, 0)])
def test_the_representation_counts_what_was_accepted(failure, rejected, unprocessed, accepted):
    """Whichever way the others went."""
    result = Result(Message([A, B, C]), failure, rejected, unprocessed)
    assert "%d of 3 tokens accepted" % accepted in repr(result)


def test_failed_and_gone_are_made_once():
    """Programs look their tokens up in it one by one."""
    for result in (Result(Message([A, B]), (8, 1)), over_http2([A, B], (1, "Unregistered"))):
        assert result.failed is result.failed
        assert result.gone is result.gone


def over_http2(tokens, *responses):
    """Return a result over HTTP/2.

    :param responses: index of the token and name of the reason of each response, as they came.
    """
    outcomes = RequestOutcomes()
    for index, name in responses:
        outcomes.add_response(index, RESPONSES[name], None, 1700000000)
    return Result(Message(tokens), outcomes=outcomes)


def test_many_tokens_can_fail_over_http2():
    """Each has a response of its own."""
    result = over_http2(
        [A, B, C, D], (3, "Unregistered"), (0, "BadDeviceToken"), (1, "ExpiredToken"))
    assert result.failed == {
        A: (8, "Invalid token: BadDeviceToken"), B: (8, "Invalid token: ExpiredToken"),
        D: (8, "Invalid token: Unregistered")}
    assert result.failed[D].timestamp == 1700000000
    assert (result.errors, result.undelivered, result.retry()) == ([], [], None)


def test_only_tokens_that_apple_declared_dead_are_gone():
    """Whatever else a token is refused for may be our fault, and costs nobody his device."""
    outcomes = RequestOutcomes()
    outcomes.add_response(0, RESPONSES["Unregistered"], None, 1700000000)
    outcomes.add_response(1, RESPONSES["ExpiredToken"], None, 1600000000)
    outcomes.add_response(2, RESPONSES["BadDeviceToken"])
    outcomes.add_response(3, RESPONSES["DeviceTokenNotForTopic"])
    outcomes.add_response(4, RESPONSES["Unregistered"])
    outcomes.add_response(5, reason_of_response(410))
    outcomes.add_response(6, RESPONSES["MissingDeviceToken"])
    outcomes.add_malformed(7, TokenError(8, "the token is not hexadecimal"))
    tokens = [A, B.encode("ascii")] + ["%064x" % index for index in range(2, 8)]
    result = Result(Message(tokens), outcomes=outcomes)
    assert len(result.failed) == 8
    assert result.gone == {A: datetime.datetime.fromtimestamp(1700000000),
                           tokens[1]: datetime.datetime.fromtimestamp(1600000000)}
    assert Result(Message([A, B]), (8, 0), [(1, 8, "x")]).gone == {}
    assert Result(Message([A, B])).gone == {}


def test_a_retry_waits_for_the_longest_time_that_an_error_asks_for():
    """An error that asks for none does not make it shorter."""
    for names, wait in [
            ([], None), (["IdleTimeout"], None), (["TooManyRequests"], 60),
            (["TooManyRequests", "Shutdown", "IdleTimeout"], 900),
            (["InternalServerError", "TooManyProviderTokenUpdates"], 1200),
            (["Unregistered", "BadTopic", "Forbidden"], None)]:
        assert (names, over_http2([A, B, C], *enumerate(names)).retry_after) == (names, wait)
    assert Result(Message([A, B]), (None, 0)).retry_after is None
    outcomes = RequestOutcomes()
    outcomes.add_unprocessed([0], (None, "Not sent: no connection"))
    outcomes.add_unprocessed([1], RESPONSES["TooManyProviderTokenUpdates"])
    assert Result(Message([A, B]), outcomes=outcomes).retry_after == 1200


def test_what_is_retried_over_http2_stands_anywhere():
    """In the order of the message, and as the same message."""
    result = over_http2([A, B, C, D], (2, "TooManyRequests"), (0, "InternalServerError"))
    assert result.needs_retry()
    assert result.retry().tokens == [A, C]
    assert result.retry().get_json_payload() == result.message.get_json_payload()
    assert result.errors == [
        (429, "TooManyRequests"), (1, "Processing error: InternalServerError")]
    assert result.errors[0].status == 429


@each("retried", [[2, 3], [3], [1, 3], [0, 2], [0, 1, 2, 3], [1, 2]])
def test_a_retry_has_those_tokens_and_no_others(retried):
    """Whether they are the end of the message or not."""
    tokens = [A, B, C, D]
    for indices in (retried, iter(retried), tuple(retried)):
        outcomes = RequestOutcomes()
        outcomes.add_unprocessed(indices)
        retry = Result(Message(tokens), outcomes=outcomes).retry()
        assert retry.tokens == [tokens[index] for index in retried]


def test_a_message_that_is_refused_over_http2_leaves_undelivered_tokens():
    """Those that were refused, and those that were not sent any more."""
    outcomes = RequestOutcomes()
    outcomes.add_response(1, RESPONSES["BadTopic"])
    outcomes.add_undelivered([2, 3], RESPONSES["BadTopic"])
    result = Result(Message([A, B, C, D]), outcomes=outcomes)
    assert result.undelivered == [B, C, D]
    assert result.errors == [(400, "BadTopic")]
    assert not result.needs_retry()
    assert "1 of 4 tokens accepted, 0 failed, 0 to retry, 3 undelivered" in repr(result)


def test_a_token_that_a_message_has_twice_is_failed_if_it_failed_once():
    """The last failure in the message is the one that is told."""
    result = over_http2([A, B, A], (0, "Unregistered"))
    assert result.failed == {A: (8, "Invalid token: Unregistered")}
    result = over_http2([A, B, A], (2, "ExpiredToken"), (0, "Unregistered"))
    assert result.failed == {A: (8, "Invalid token: ExpiredToken")}
    assert "1 of 3 tokens accepted, 2 failed" in repr(result)


def test_garbage_among_the_tokens_is_failed_over_http2():
    """Under its representation if it cannot be a key."""
    outcomes = RequestOutcomes()
    outcomes.add_malformed(1, TokenError(8, "the token is of type list, expected str or bytes"))
    result = Result(Message([A, ["x"]]), outcomes=outcomes)
    assert list(result.failed) == ["['x']"]
    assert result.retry() is None


def test_a_message_without_tokens_has_an_empty_result_over_http2():
    """Nothing was sent."""
    result = Result(Message([]), outcomes=RequestOutcomes())
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert "0 of 0 tokens accepted" in repr(result)


@pytest.mark.parametrize("code", [3, 4, 6, 7])
def test_a_refused_message_leaves_undelivered_tokens(code):
    """What stands before the reported token was delivered, and what is malformed is in failed."""
    tokens = ["%064x" % number for number in range(5)]
    rejected = [(1, 8, "Invalid token: odd"), (3, 8, "Invalid token: odd")]
    result = Result(Message(tokens, alert="x"), (code, 2), rejected)
    assert result.undelivered == [tokens[2], tokens[4]]
    assert sorted(result.failed) == [tokens[1], tokens[3]]
    assert not result.needs_retry()


@each("failure", [None, (8, 1), (10, 1), (1, 1), (None, 0), (255, 1)])
def test_other_responses_leave_nothing_undelivered(failure):
    """The tokens are delivered, failed, or to be retried."""
    assert Result(Message(["aa", "bb", "cc"]), failure).undelivered == []
