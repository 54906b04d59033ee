"""What a result says of its message."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient import Message, Result

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
    assert "2 failed" in repr(result)
    assert "1 to retry" in repr(result)
    assert A not in repr(result) and B not in repr(result)
    assert A not in repr(Message([A]))


@pytest.mark.parametrize("code", [3, 4, 6, 7])
def test_a_refused_message_leaves_undelivered_tokens(code):
    """What stands before the reported token was delivered, and what is malformed is in failed."""
    tokens = ["%064x" % number for number in range(5)]
    rejected = [(1, 8, "Invalid token: odd"), (3, 8, "Invalid token: odd")]
    result = Result(Message(tokens, alert="x"), (code, 2), rejected)
    assert result.undelivered == [tokens[2], tokens[4]]
    assert sorted(result.failed) == [tokens[1], tokens[3]]
    assert not result.needs_retry()


@pytest.mark.parametrize("failure", [None, (8, 1), (10, 1), (1, 1), (None, 0), (255, 1)])
def test_other_answers_leave_nothing_undelivered(failure):
    """The tokens are delivered, failed, or to be retried."""
    assert Result(Message(["aa", "bb", "cc"]), failure).undelivered == []
