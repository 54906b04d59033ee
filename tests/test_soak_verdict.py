"""The verdict of the soak test: a client that tells the truth passes, one that lies does not."""

from __future__ import absolute_import, division, print_function

from collections import Counter

import pytest

from apnsclient import Message, Result
from apnsclient.outcomes import RequestOutcomes
from apnsclient.testing.chaos.handlers import Handler
from soak_faults import CROWDED, FAULTS, LOOPS, TERMINATED, lane_name, specs
from soak_verdict import (
    Attempt,
    Call,
    Timing,
    deadline,
    gather,
    judge,
    judge_calls,
    judge_leftovers,
    judge_refusals,
    outcomes_of,
    read_attempt,
)

A, BAD, B, C = ("%064x" % number for number in range(4))

ACCEPTED = "what is accepted is in the record"
DELIVERED = "what is delivered is accepted or unknown"
ONE = "each token has exactly one outcome"
GOOD = "only bad tokens fail"
RETRIED = "what is to be retried is what was retried"
END = "in the end good tokens are delivered and bad ones have failed"


def attempts(*results):
    """Return the attempts of one message, whose results are given in order."""
    return [read_attempt("m", "m#%d" % number, result) for number, result in enumerate(results)]


def rules(found):
    return [violation.rule for violation in found[0]]


def true_results():
    """Results of a message that meets a bad token, then a lost connection, then success."""
    return [Result(Message([A, BAD, B, C], alert="x"), (8, 1)),
            Result(Message([B, C], alert="x"), (None, 0)),
            Result(Message([B, C], alert="x"))]


#: What the simulator has seen of that: B was delivered before the connection was lost.
RECORD = {("m#0", A): 1, ("m#1", B): 1, ("m#2", B): 1, ("m#2", C): 1}


def test_the_truth_passes():
    """Nothing is wrong, and everything is counted."""
    violations, figures = judge(attempts(*true_results()), RECORD, {BAD})

    assert violations == []
    assert figures == Counter(tokens=4, accepted=3, failed=1, unprocessed=2, unknown=2, resent=4,
                              duplicates=1, losses=0, swallowed=0)


@pytest.mark.parametrize("place, lie, broken", [
    # The token behind the bad one is blamed.
    (0, lambda: Result(Message([A, BAD, B, C]), (8, 2)), {ACCEPTED, GOOD, END, RETRIED}),
    # What was thrown away is taken for delivered.
    (0, lambda: Result(Message([A, BAD, B, C]), (10, 3)), {ACCEPTED, END, RETRIED}),
    # One token too few is retried.
    (0, lambda: Result(Message([A, BAD, B, C]), (8, 1), malformed=[(2, 8, "x")]),
     {GOOD, RETRIED}),
    # What was delivered is to be sent again, as if that were known to do no harm.
    (0, lambda: Result(Message([A, BAD, B, C]), unprocessed=True), {DELIVERED, END, RETRIED}),
    (1, lambda: Result(Message([B, C]), unprocessed=True), {DELIVERED}),
    # A lost connection is taken for silence.
    (1, lambda: Result(Message([B, C])), {ACCEPTED, RETRIED}),
    # What was delivered has failed, or got nothing.
    (2, lambda: Result(Message([B, C]), (8, 1)), {DELIVERED, GOOD, END}),
    (2, lambda: Result(Message([B, C]), (7, 1)), {DELIVERED, END}),
    # It gives up.
    (2, lambda: Result(Message([B, C]), (None, 0)), {END}),
])
def test_a_result_that_lies_is_caught(place, lie, broken):
    """Any one result that says something else than what happened breaks a rule."""
    results = true_results()
    results[place] = lie()

    found = rules(judge(attempts(*results), RECORD, {BAD}))

    assert set(found) == broken


@pytest.mark.parametrize("change, rule", [
    ({("m#0", A): 0}, ACCEPTED),
    ({("m#0", A): 2}, "one attempt delivers once"),
    ({("m#1", B): 2}, "one attempt delivers once"),
    ({("m#0", B): 1}, DELIVERED),
    ({("m#0", BAD): 1}, DELIVERED),
    ({("m#0", "f" * 64): 1}, "what is in the record was sent"),
    ({("n#0", A): 1}, "what is in the record was sent"),
])
def test_a_record_that_says_something_else_is_noticed(change, rule):
    """The same from the other side: what happened is not what the results say."""
    record = dict(RECORD)
    record.update(change)

    assert rule in rules(judge(attempts(*true_results()), record, {BAD}))


@pytest.mark.parametrize("change", [
    {"failed": [A], "retried": [A]}, {"failed": [A], "undelivered": [A]},
    {"retried": [A, A]}, {"failed": ["f" * 64]}, {"unknown": [A]}, {"undelivered": [B, B]}])
def test_no_token_has_two_outcomes(change):
    """A token that is named twice, or that is none of the message, breaks the partition."""
    attempt = attempts(Result(Message([A, B])))[0]._replace(**change)

    assert outcomes_of(attempt)[1] is not None
    assert ONE in rules(judge([attempt], {}))


def gathered(told, begun=(A, BAD, B, C), has_left=False):
    """Return what the asynchronous client says of a message whose first token was accepted."""
    return gather("m", "m#0", [A, BAD, B, C], [(A, "accepted")] + told, set(begun), has_left)


TOLD = [(C, "unknown"), (BAD, "rejected"), (B, "unprocessed")]


def test_outcomes_of_the_asynchronous_client_make_an_attempt():
    """In whatever order they came; if the caller has left, what has none is unknown."""
    whole = gathered(TOLD)
    assert whole == (Attempt("m", "m#0", [A, BAD, B, C], [BAD], [C, B], [C], [], 3), [])
    assert gathered([(BAD, "undelivered")], [A, BAD, B], has_left=True) == (
        Attempt("m", "m#0", [A, BAD, B, C], [], [B, C], [B], [BAD], 3), [])
    assert not judge([whole[0], Attempt("m", "m#1", [B, C], [], [], [], [], 0)],
                     {("m#0", A): 1, ("m#0", C): 1, ("m#1", B): 1, ("m#1", C): 1}, {BAD})[0]


@pytest.mark.parametrize("told, options", [
    # Twice, whatever it is.
    (TOLD + [(A, "accepted")], {}), (TOLD + [(B, "accepted")], {"has_left": True}),
    # None at all, and the caller has waited.
    (TOLD[1:], {}),
    # Of what nobody sent.
    (TOLD + [("f" * 64, "accepted")], {}), (TOLD, {"begun": [A, BAD, C]}),
])
def test_no_notification_of_the_asynchronous_client_has_two_outcomes_or_none(told, options):
    """Each has exactly one, unless its caller has left."""
    violation, = gathered(told, **options)[1]

    assert violation.rule == ONE


def test_what_cannot_be_sent_is_undelivered():
    """The asynchronous client says so of it, and of nothing else."""
    true = gathered([(BAD, "undelivered"), (B, "accepted"), (C, "accepted")])[0]
    record = dict((("m#0", token), 1) for token in (A, B, C))

    assert judge([true], record, {BAD}, unsendable={BAD})[0] == []
    assert rules(judge([true], record, {BAD})) == [END]
    assert rules(judge([gathered([(BAD, "rejected"), (B, "accepted"), (C, "accepted")])[0]],
                       record, {BAD}, unsendable={BAD})) == [END]


@pytest.mark.parametrize("refused, is_true", [(1, True), (0, False), (2, True), (3, False)])
def test_what_has_failed_was_refused(refused, is_true):
    """As often as that, and what was refused without a response is unknown."""
    found = [gathered(TOLD)[0], gathered([(BAD, "unknown"), (B, "accepted"), (C, "accepted")])[0],
             gathered([(BAD, "unprocessed"), (B, "accepted"), (C, "accepted")])[0]]

    assert (judge_refusals(found, Counter({BAD: refused})) == []) == is_true


def test_what_is_unknown_has_an_error():
    """A result that leaves something open says why."""
    outcomes = RequestOutcomes()
    outcomes.add_unknown(0, "no response")
    attempt = attempts(Result(Message([A]), outcomes=outcomes))[0]

    said = "what is unknown or undelivered has an error"
    assert said not in rules(judge([attempt], {}))
    assert said in rules(judge([attempt._replace(errors=0)], {}))


def test_what_is_swallowed_in_silence_is_counted_apart():
    """Where silence proves nothing, a missing delivery is no loss; anything else still is wrong."""
    lost = attempts(Result(Message([A, BAD, B])))
    record = {("m#0", A): 1}

    assert ACCEPTED in rules(judge(lost, record, {BAD}))
    assert judge(lost, record, {BAD})[1]["losses"] == 1
    violations, figures = judge(lost, record, {BAD}, may_swallow=True)
    assert (violations, figures["swallowed"], figures["losses"]) == ([], 2, 0)
    assert DELIVERED in rules(judge(
        attempts(Result(Message([A, BAD, B]), unprocessed=True), Result(Message([A, BAD, B]))),
        record, {BAD}, may_swallow=True))


@pytest.mark.parametrize("protocol, allowed", [
    # Two connections: connect, silence twice, the last bytes, closing; and four writes.
    ("binary", 2 * (1 + 2 * 0.5 + 2 + 3) + 4 * 2),
    # Two connections: slot, connect, settings, PING, the last response, closing; four writes.
    ("http2", 2 * (4 * 1 + 4 + 3) + 4 * (2 + 4)),
])
def test_a_call_that_outlives_its_deadline_is_caught(protocol, allowed):
    """The deadline is the sum of the session's timeouts; the margin is for slow machines."""
    timing = Timing(protocol, connect=1, write=2, read=4, tail=0.5)
    call = Call("send", allowed, connections=1, writes=4, messages=1)

    assert deadline(call, timing) == allowed
    assert judge_calls([call._replace(seconds=allowed + 5)], timing, margin=5) == []
    late, = judge_calls([call, call._replace(seconds=allowed + 5.1)], timing, margin=5)
    assert late.rule == "no call outlives its deadline"


def test_what_is_left_behind_is_caught():
    """A thread or a descriptor more than before is named."""
    before = {"threads": 2, "descriptors": 10}

    assert judge_leftovers(before, {"threads": 2, "descriptors": 9}) == []
    left, = judge_leftovers(before, {"threads": 3, "descriptors": 10})
    assert left.text == "threads: 2 before, 3 after"


def test_every_fault_is_driven():
    """A handler that is added to the proxy is added to the soak test as well."""
    assert set(Handler.names()) == set(FAULTS)
    assert set(TERMINATED) <= set(FAULTS)
    found = specs(["binary", "http2", "aio"])
    assert len(found) == (2 + len(LOOPS)) * (len(FAULTS) + len(TERMINATED)) + len(CROWDED)
    assert len(set(lane_name(spec) for spec in found)) == len(found)
