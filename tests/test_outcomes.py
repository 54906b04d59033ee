"""What became of each token over HTTP/2, and what a failure says of itself."""

from __future__ import absolute_import, division, print_function

import copy
import json
import pickle
import pickletools
import re

import hpack
import pytest
import six
from hypothesis import given
from hypothesis import strategies as st
from six.moves import range

from apnsclient import outcomes as module
from apnsclient.apns import Message, Result
from apnsclient.outcomes import Failure, FrameOutcomes, RequestOutcomes, parse_response
from apnsclient.protocols.binary import TokenError
from apnsclient.reasons import RESPONSES, reason_of_response
from tables import each

APNS_ID = "EABEAE54-14A8-11E5-B60B-1697F925EC7B"
TOKENS = ["%064x" % index for index in range(8)]


def make_block(*fields):
    """Return a header block that stands alone, as in the responses of Apple's servers."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(((":status", "410"),) + fields)


BLOCK = make_block(("apns-id", APNS_ID), ("apns-unique-id", "x"))


# What a failure says.


def test_a_failure_is_a_pair():
    """Code that was written for the binary protocol unpacks and compares it."""
    failure = Failure.of(RESPONSES["Unregistered"], 1700000000, BLOCK)
    code, explanation = failure
    assert failure == (8, "Invalid token: Unregistered") == (code, explanation)
    assert hash(failure) == hash((code, explanation))
    assert json.loads(json.dumps(failure)) == [code, explanation]
    assert repr(failure) == repr((code, explanation))


def test_a_failure_says_more_than_the_pair():
    """Status, reason, the time since when, and which notification it was."""
    failure = Failure.of(RESPONSES["Unregistered"], 1700000000, BLOCK)
    assert (failure.status, failure.reason) == (410, "Unregistered")
    assert failure.timestamp == 1700000000
    assert failure.apns_id == APNS_ID.lower()
    assert type(failure.apns_id) is str


def test_a_failure_of_the_binary_protocol_has_nothing_more_to_say():
    """The attributes are there all the same."""
    result = Result(Message(TOKENS), (8, 1), [(0, 2, "x")])
    unsent = Result(Message(TOKENS), (None, 1)).errors[0]
    for failure in list(result.failed.values()) + [unsent]:
        assert isinstance(failure, Failure)
        assert (failure.status, failure.reason) == (None, None)
        assert (failure.timestamp, failure.apns_id) == (None, None)
        assert (failure.is_gone, failure.retry_after) == (False, None)


@each("block", [
    None, b"", make_block(), make_block(("x", "y")), b"\xff\xff\xff\xff", b"\xbe", [],
    [(b":status", b"410")]])
def test_a_response_may_have_no_apns_id(block):
    """Nor a header block that makes sense."""
    assert Failure.of(RESPONSES["Unregistered"], None, block).apns_id is None


def test_a_block_may_have_been_decoded_already():
    """As long as the peer may use its table, no block stands alone."""
    fields = [(b":status", b"410"), (b"apns-id", APNS_ID.encode("ascii"))]
    assert Failure.of(RESPONSES["Unregistered"], None, fields).apns_id == APNS_ID.lower()


def test_what_a_result_keeps_of_a_response_is_bounded():
    """Of a header of 14 KB the identifiers alone, whether it was decoded or not."""
    long = ("x", "y" * 14000)
    outcomes = RequestOutcomes()
    for index, block in enumerate((
            make_block(("apns-id", APNS_ID), long, ("apns-unique-id", "z")),
            make_block(("apns-id", "a" * 14000)), make_block(long),
            [(b"apns-id", APNS_ID.encode("ascii")), (b"x", b"y" * 14000)])):
        outcomes.add_response(2 * index, RESPONSES["Unregistered"], block)
        outcomes.add_accepted(2 * index + 1, block)
        outcomes.add_response(100, RESPONSES["Shutdown"]._replace(name=str(index)), block)
    assert len(outcomes.errors()) >= 1
    kept = [entry[2] for entry in outcomes._failed.values()] + list(outcomes._accepted.values()) + [
        failure._block for failure in outcomes.errors()]
    assert max(len(repr(one)) for one in kept) < 300
    assert [failure.apns_id for _, failure in outcomes.failures()] == [
        APNS_ID.lower(), "a" * 100, None, APNS_ID.lower()]
    assert [unique for _, (_, unique) in outcomes.identifiers()] == ["z", None, None, None]


def test_an_identifier_is_printable():
    """It goes into logs; what stands in its place there says nothing."""
    fields = [(b"apns-id", b"a\r\nFAKE\x1b[31m\0\xe9")]
    assert Failure.of(RESPONSES["Unregistered"], None, fields).apns_id == "a??fake?[31m??"


@each("again", [copy.copy, copy.deepcopy] + [
    lambda failure, protocol=protocol: pickle.loads(pickle.dumps(failure, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)])
@each("failure", [
    Failure(None, "Unknown"), Failure.of(RESPONSES["Unregistered"], 1700000000, BLOCK),
    Failure.of(RESPONSES["Shutdown"], None, [(b"apns-id", b"X")])])
def test_a_failure_crosses_the_borders_of_processes(failure, again):
    """With all that it says."""
    other = again(failure)
    assert type(other) is Failure
    assert other == failure
    for name in ("status", "reason", "timestamp", "apns_id", "is_gone", "retry_after"):
        assert getattr(other, name) == getattr(failure, name)


@each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_result_crosses_the_borders_of_processes(protocol):
    """Of either protocol, looked at before or not."""
    outcomes = RequestOutcomes()
    outcomes.add_response(0, RESPONSES["Unregistered"], BLOCK, 17)
    outcomes.add_unknown(1, "it was lost")
    outcomes.add_response(2, RESPONSES["TooManyRequests"], BLOCK)
    outcomes.add_unprocessed(range(3, 6))
    for result in (Result(Message(TOKENS), outcomes=outcomes),
                   Result(Message(TOKENS), (8, 2), [(4, 8, "x")]),
                   Result(Message(TOKENS), (None, 2))):
        failed = result.failed
        for one in (result, Result(result.message, outcomes=result._outcomes)):
            other = pickle.loads(pickle.dumps(one, protocol))
            assert other.failed == failed
            assert other.errors == result.errors
            assert other.retry().tokens == result.retry().tokens
            assert other.unknown == result.unknown
            assert (other.gone, other.retry_after) == (result.gone, result.retry_after)


@pytest.mark.parametrize("block", [
    make_block(("apns-id", APNS_ID), ("x", u"\xe9")),
    [(b"apns-id", APNS_ID.encode("ascii")), (b"x", b"\xe9")],
], ids=["encoded", "decoded"])
def test_a_pickle_holds_nothing_that_another_python_reads_as_something_else(block):
    """Python 3 takes the bytes of Python 2 for text in ASCII."""
    outcomes = RequestOutcomes()
    outcomes.add_response(0, RESPONSES["Unregistered"], block, 17)
    outcomes.add_response(1, RESPONSES["Shutdown"], block)
    pickled = pickle.dumps(Result(Message(TOKENS), outcomes=outcomes), 2)
    texts = [value for _, value, _ in pickletools.genops(pickled)
             if isinstance(value, (bytes, six.text_type))]
    assert APNS_ID.lower() in texts
    assert not [text for text in texts if re.search(u"[^ -~]", six.ensure_text(text, "latin-1"))]


# What becomes of the tokens.


def test_a_token_that_cannot_be_sent_is_failed():
    """With the code that the gateway would give and a text of ours."""
    outcomes = RequestOutcomes()
    outcomes.add_malformed(1, TokenError(8, "the token is not hexadecimal"))
    [(index, failure)] = outcomes.failures()
    assert index == 1
    assert failure == (8, "Invalid token: the token is not hexadecimal")
    assert (failure.status, failure.reason) == (None, None)


def test_a_request_without_a_response_is_an_error_and_retried():
    """Nothing is known of it."""
    outcomes = RequestOutcomes()
    outcomes.add_unknown(3, "no response within 20 s")
    assert outcomes.errors() == [(None, "Unknown: no response within 20 s")]
    assert outcomes.retried() == [3]


def test_what_was_not_processed_is_retried_without_an_error():
    """It is nobody's fault, unless there is a cause that is worth telling."""
    outcomes = RequestOutcomes()
    outcomes.add_unprocessed([5, 4])
    assert (outcomes.errors(), outcomes.retried()) == ([], [4, 5])
    outcomes.add_unprocessed([1], (None, "the server is ending the connection"))
    outcomes.add_unprocessed([2], RESPONSES["TooManyProviderTokenUpdates"])
    assert outcomes.retried() == [1, 2, 4, 5]
    assert outcomes.errors() == [(None, "the server is ending the connection"),
                                 (429, "TooManyProviderTokenUpdates")]
    assert outcomes.errors()[1].status == 429


def test_what_is_not_sent_any_more_is_undelivered():
    """Because of the response to another token; the cause stands in the errors once."""
    outcomes = RequestOutcomes()
    outcomes.add_response(2, RESPONSES["BadTopic"], BLOCK)
    outcomes.add_undelivered(range(5, 8), RESPONSES["BadTopic"])
    outcomes.add_undelivered([3], (403, "x"))
    assert outcomes.undelivered() == [2, 3, 5, 6, 7]
    assert outcomes.errors() == [(400, "BadTopic"), (403, "x")]
    assert outcomes.errors()[0].apns_id == APNS_ID.lower()
    assert all(isinstance(error, Failure) for error in outcomes.errors())


def test_each_error_is_told_once_in_the_order_of_arrival():
    """However many tokens had it."""
    outcomes = RequestOutcomes()
    for index, name in enumerate(["InternalServerError", "ServiceUnavailable"] * 3):
        outcomes.add_response(index, RESPONSES[name])
    outcomes.add_unknown(6, "x")
    outcomes.add_unknown(7, "x")
    assert outcomes.errors() == [
        (1, "Processing error: InternalServerError"), (503, "ServiceUnavailable"),
        (None, "Unknown: x")]


def test_a_list_of_errors_that_was_handed_out_is_the_callers():
    """What is done to it does not change the result."""
    outcomes = RequestOutcomes()
    outcomes.add_unknown(0, "x")
    outcomes.errors().pop()
    assert len(outcomes.errors()) == 1


def test_a_million_tokens_in_one_go_take_no_memory():
    """A range stays one, as long as nothing else is reported."""
    outcomes = RequestOutcomes()
    outcomes.add_unprocessed(range(0))
    outcomes.add_unprocessed(range(5, 1000000))
    outcomes.add_undelivered(range(5), RESPONSES["Forbidden"])
    assert type(outcomes.retried()) is type(outcomes.undelivered()) is type(range(5))
    assert (outcomes.retried()[0], len(outcomes.retried())) == (5, 999995)
    assert type(FrameOutcomes(10, (None, 3)).retried()) is type(range(5))


def test_nothing_is_decoded_before_somebody_asks(monkeypatch):
    """A hundred thousand failures are responses that were put aside."""
    outcomes = RequestOutcomes()
    with monkeypatch.context() as patch:
        patch.setattr("apnsclient.protocols.http2.headers.decode_block", None)
        outcomes.add_response(0, RESPONSES["Unregistered"], BLOCK, 5)
        outcomes.add_response(1, RESPONSES["Forbidden"], BLOCK)
        result = Result(Message(TOKENS), outcomes=outcomes)
        failures = [result.failed[TOKENS[0]], result.errors[0]]
    assert [failure.apns_id for failure in failures] == [APNS_ID.lower()] * 2


def report(outcomes, reports):
    """Report what happened, and return by kind the indices it happened to."""
    ways = {
        "failed": lambda one: outcomes.add_response(one, reason_of_response(410, "Unregistered")),
        "malformed": lambda one: outcomes.add_malformed(one, TokenError(2, "the token is empty")),
        "busy": lambda one: outcomes.add_response(one, reason_of_response(429, "TooManyRequests")),
        "silent": lambda one: outcomes.add_unknown(one, "x"),
        "unprocessed": lambda one: outcomes.add_unprocessed([one]),
        "not sent": lambda one: outcomes.add_unprocessed(range(one, one + 1), (None, "y")),
        "refused": lambda one: outcomes.add_response(one, reason_of_response(404, "BadPath")),
        "stopped": lambda one: outcomes.add_undelivered([one], RESPONSES["BadTopic"]),
    }
    for index, way in reports:
        if way != "accepted":
            ways[way](index)
    return {way: sorted(index for index, one in reports if one == way)
            for way in list(ways) + ["accepted"]}


@given(st.lists(st.sampled_from(
    ["accepted", "failed", "malformed", "busy", "silent", "unprocessed", "not sent", "refused",
     "stopped"]), max_size=40).flatmap(lambda ways: st.permutations(list(enumerate(ways)))))
def test_each_token_ends_in_exactly_one_outcome(reports):
    """In the order of the message, in whichever order the responses came."""
    outcomes = RequestOutcomes()
    happened = report(outcomes, reports)
    tokens = ["%064x" % index for index in range(len(reports))]
    result = Result(Message(tokens), outcomes=outcomes)
    retry = result.retry()

    def named(*ways):
        return [tokens[index] for index in sorted(sum((happened[way] for way in ways), []))]

    assert sorted(result.failed) == named("failed", "malformed")
    assert (retry.tokens if retry else []) == named("busy", "silent", "unprocessed", "not sent")
    assert result.needs_retry() == (retry is not None)
    assert result.undelivered == named("refused", "stopped")
    assert "%d of %d tokens accepted" % (len(happened["accepted"]), len(tokens)) in repr(result)
    assert len(result.errors) == len(set(result.errors)) == sum(
        1 for way in ("busy", "silent", "not sent", "refused", "stopped") if happened[way])


# What the body of a response says.


@each("body, said", [
    (b'{"reason":"BadTopic"}', ("BadTopic", None)),
    (b'{"reason":"Unregistered","timestamp":1700000000999}', ("Unregistered", 1700000000)),
    (b' { "timestamp" : 0, "reason" : "Unregistered" } \n', ("Unregistered", 0)),
    (b'{"reason":"Unregistered","timestamp":1700000000999.5}', ("Unregistered", 1700000000)),
    (b'{"timestamp":1700000000999}', (None, 1700000000)),
    (b"", (None, None)), (b"<html>502</html>", (None, None)), (b"\xff", (None, None)),
    (b"[]", (None, None)), (b'"BadTopic"', (None, None)), (b"null", (None, None)),
    (b"{}", (None, None)), (b'{"reason":null}', (None, None)), (b'{"reason":""}', (None, None)),
    (b'{"reason":["BadTopic"]}', (None, None)), (b'{"reason":400}', (None, None)),
    (b'{"reason":"A\\r\\nB\\u0416 c~"}', ("A??B? c~", None)),
    (b'{"reason":"' + b"x" * 1000 + b'"}', ("x" * 100, None)),
    (b'{"reason":"x"}' + b" " * 5000, (None, None)),
    (b"[" * 4000, (None, None)),
] + [(b'{"reason":"U","timestamp":' + stamp + b"}", ("U", None)) for stamp in (
    b"-1", b"true", b"null", b'"1700000000000"', b"NaN", b"Infinity", b"1e400", b"1e300",
    b"4294967296000", b"1" * 400)])
def test_a_body_says_what_can_be_read_of_it(body, said):
    """Whatever cannot is left out; nothing is raised for what a server sent."""
    for _ in range(2):
        assert parse_response(body) == said
    assert type(said[0]) in (str, type(None))


@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(
        st.sampled_from(["reason", "timestamp", "k"]), inner)), max_leaves=6).map(
            lambda value: json.dumps(value).encode("ascii"))))
def test_any_body_can_be_read(body):
    """A printable name and a time, or nothing."""
    name, timestamp = parse_response(body)
    assert name is None or type(name) is str and all(" " <= one <= "~" for one in name)
    assert timestamp is None or 0 <= timestamp < 1 << 32


def test_few_bodies_are_remembered():
    """Those with a timestamp never come again, and a server may make up reasons for ever."""
    known = module._bodies
    known.clear()
    parse_response(b'{"reason":"Unregistered","timestamp":1}')
    assert not known
    for number in range(2000):
        assert parse_response(b'{"reason":"R%d"}' % number)[0] == "R%d" % number
        assert len(known) <= 256


def test_what_is_unknown_is_a_part_of_what_is_retried():
    """A caller who wants no doubles sends the others again."""
    outcomes = RequestOutcomes()
    outcomes.add_unknown(3, "the connection ended")
    outcomes.add_unknown(1, "the connection ended")
    outcomes.add_unprocessed([2])
    outcomes.add_response(0, reason_of_response(429, "TooManyRequests"))
    result = Result(Message(["aa", "bb", "cc", "dd", "ee"]), outcomes=outcomes)

    assert result.unknown == ["bb", "dd"]
    assert result.retry().tokens == ["aa", "bb", "cc", "dd"]


@each("failure, unknown", [
    (None, []), ((8, 1), []), ((1, 1), []), ((10, 1), []), ((7, 1), []), ((255, 1), []),
    ((None, 0), ["aa", "bb", "cc"])])
def test_unknown_over_the_binary_protocol_is_what_followed_no_response(failure, unknown):
    """An error frame leaves no doubt."""
    assert Result(Message(["aa", "bb", "cc"]), failure).unknown == unknown


@each("reached, rejected, unknown, retried", [
    (0, [], [], ["aa", "bb", "cc"]), (2, [], ["aa", "bb"], ["aa", "bb", "cc"]),
    (3, [], ["aa", "bb", "cc"], ["aa", "bb", "cc"]),
    (2, [(1, 8, "bad")], ["aa"], ["aa", "cc"])])
def test_what_was_not_written_over_the_binary_protocol_is_not_unknown(
        reached, rejected, unknown, retried):
    """Nobody can have got it. It is sent again with the rest."""
    message = Message(["aa", "bb", "cc"])
    result = Result(message, outcomes=FrameOutcomes(3, (None, 0), rejected, reached=reached))
    assert (result.unknown, result.retry().tokens) == (unknown, retried)
    assert result.errors == [(None, "Unknown")]


def test_a_discarded_message_is_not_unknown():
    """It is proven that no token of it was processed."""
    result = Result(Message(["aa", "bb"]), unprocessed=True)
    assert (result.retry().tokens, result.unknown) == (["aa", "bb"], [])
