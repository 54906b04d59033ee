"""What a result means for the task: a token is counted, or is in the rest, and never in both."""

from hypothesis import given
from hypothesis import strategies as st

from apnsclient import Message
from apnsclient.contrib.celery._counts import add_counts, count, settled
from apnsclient.contrib.celery._verdict import Action, judge, judge_error, lost
from apnsclient.errors import (
    CertificateError,
    CertificateRefused,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    PeerVerificationError,
)
from apnsclient.outcomes import RequestOutcomes
from apnsclient.protocols.binary import TokenError
from apnsclient.reasons import RESPONSES, reason_of_response
from apnsclient.result import Result
from tables import each

HINT = "check address and topic before you delete anything"


def tokens_of(number):
    return ["%064x" % each for each in range(number)]


def result_of(outcomes, hint=None):
    """Return a result from what became of each token: None, a reason, or another word."""
    kept = RequestOutcomes()
    for index, outcome in enumerate(outcomes):
        if outcome == "unknown":
            kept.add_unknown(index, "the connection was lost")
        elif outcome == "unsent":
            kept.add_unprocessed([index])
        elif outcome == "malformed":
            kept.add_malformed(index, TokenError(5, "Invalid token size"))
        elif outcome is not None:
            kept.add_response(index, RESPONSES[outcome],
                              timestamp=1700000000 if outcome == "Unregistered" else None)
    return Result(Message(tokens_of(len(outcomes)), alert="x"), outcomes=kept, hint=hint)


@each("outcomes, hint, is_proven, action, rest, counts", [
    ([None, None], None, False, Action.done, [], {"accepted": 2}),
    ([None, "Unregistered"], None, False, Action.done, [], {"accepted": 1, "gone": 1}),
    ([None, "BadDeviceToken", "malformed"], None, False, Action.done, [],
     {"accepted": 1, "rejected": {"BadDeviceToken": 1, "Invalid token size": 1}}),
    ([None, "unsent"], None, False, Action.again, [1], {"accepted": 1}),
    ([None, "unknown"], None, False, Action.again, [1], {"accepted": 1, "resent": 1}),
    (["ServiceUnavailable", "TooManyRequests"], None, False, Action.again, [0, 1], {}),
    ([None, "PayloadTooLarge"], None, False, Action.done, [],
     {"accepted": 1, "rejected": {"PayloadTooLarge": 1}}),
    # What stops everything has not been sent, and may be sent when it is mended.
    (["InvalidProviderToken", "unsent", None], None, False, Action.stop, [0, 1], {"accepted": 1}),
    (["BadCertificateEnvironment"], None, True, Action.stop, [0], {}),
    # It passes by itself.
    (["TooManyProviderTokenUpdates", "unsent"], None, False, Action.again, [0, 1], {}),
    # The wrong environment refuses good tokens, unless it has accepted some before.
    (["BadDeviceToken", "DeviceTokenNotForTopic", "unsent"], HINT, False, Action.stop_environment,
     [0, 1, 2], {}),
    (["BadDeviceToken", "malformed"], HINT, False, Action.stop_environment, [0],
     {"rejected": {"Invalid token size": 1}}),
    (["BadDeviceToken", "unsent"], HINT, True, Action.again, [1],
     {"rejected": {"BadDeviceToken": 1}}),
])
def test_what_a_result_means(outcomes, hint, is_proven, action, rest, counts):
    """The rest is what is sent again; what has ended is counted."""
    result = result_of(outcomes, hint)
    verdict = judge(result, is_proven=is_proven)

    assert verdict.action is action
    all_tokens = result.message.tokens
    found = [] if verdict.rest is None else verdict.rest.tokens
    assert sorted(found) == [all_tokens[index] for index in rest]
    assert {name: value for name, value in verdict.counts.items() if value} == counts


def test_only_what_is_gone_is_reported_as_dead():
    """And nothing is reported in bulk while the environment looks wrong."""
    outcomes = [None, "Unregistered", "BadDeviceToken", "ExpiredToken"]
    tokens = tokens_of(4)
    verdict = judge(result_of(outcomes))
    assert verdict.gone == ((tokens[1], 1700000000, "Unregistered"),)
    assert verdict.bad == ((tokens[2], "BadDeviceToken"), (tokens[3], "ExpiredToken"))
    for is_proven in (False, True):
        assert judge(result_of(["BadDeviceToken"] * 3, HINT), is_proven=is_proven).bad == ()


def test_what_may_have_arrived_can_be_dropped():
    """Only that: a token that is known to be unsent stays in the rest, whatever is asked."""
    tokens = tokens_of(3)
    verdict = judge(result_of(["unknown", "unsent", "unknown"]), tokens[:2])

    assert sorted(verdict.rest.tokens) == tokens[1:]
    assert (verdict.counts["dropped"], verdict.counts["resent"]) == (1, 1)


@given(st.lists(st.one_of(
    st.sampled_from([None, "unknown", "unsent", "malformed"]), st.sampled_from(sorted(RESPONSES))),
    min_size=1, max_size=12), st.booleans(), st.booleans(), st.sets(st.integers(0, 11)))
def test_every_token_is_in_one_place(outcomes, is_hinted, is_proven, dropped):
    """Whatever Apple says: the counts and the rest add up to the message."""
    result = result_of(outcomes, HINT if is_hinted else None)
    tokens = result.message.tokens
    verdict = judge(result, [tokens[index] for index in dropped if index < len(tokens)], is_proven)

    rest = [] if verdict.rest is None else verdict.rest.tokens
    assert len(rest) + settled(verdict.counts) == len(tokens)
    assert len(set(rest)) == len(rest)
    reported = [row[0] for row in verdict.gone + verdict.bad]
    assert not set(rest).intersection(reported)
    assert (verdict.action is Action.done) == (not rest) or verdict.action.stops
    # Only what is gone is dead.
    assert {row[0] for row in verdict.gone} == set(result.gone)
    accepted = {token for token, outcome in zip(tokens, outcomes) if outcome is None}
    assert not accepted.intersection(rest)


def test_a_credential_is_to_be_mended_after_these_reasons_alone():
    """They are Apple's with status 403, and those of a proxy that refuses."""
    stopping = {name for name in RESPONSES if judge(result_of([name])).action is Action.stop}
    assert stopping == {name for name, row in RESPONSES.items() if row.status == 403}
    outcomes = RequestOutcomes()
    outcomes.add_response(0, reason_of_response(403))
    assert judge(Result(Message(tokens_of(1)), outcomes=outcomes)).action is Action.stop


@each("error, action", [
    (CertificateRefused("x"), Action.stop), (PeerVerificationError("x"), Action.stop),
    (CertificateError("x"), Action.stop), (ConnectError("x"), Action.again),
    (ConnectTimeout("x"), Action.again), (ConnectionLost("x"), Action.again),
    (OSError("x"), Action.again), (ValueError("x"), None), (KeyError("x"), None),
])
def test_what_an_exception_means(error, action):
    """What has to be mended stops all; a connection is tried again; a bug is not hidden."""
    meaning = judge_error(error)
    assert (meaning[0] if meaning else None) is action


def test_an_interrupted_send_may_have_reached_all():
    """So the policy decides about all of its tokens."""
    message = Message(tokens_of(3), alert="x")
    verdict = lost(message, message.tokens[:1], "the time limit is over")
    assert verdict.rest.tokens == message.tokens[1:] and verdict.action is Action.again
    assert (verdict.counts["dropped"], verdict.counts["resent"]) == (1, 2)
    assert lost(message, message.tokens, "x").action is Action.done


def test_counts_add_up():
    """By reason as well; what another version did not know is 0."""
    total = add_counts(count(tokens=3, accepted=1, rejected=["BadTopic", "BadTopic"]),
                       {"tokens": 2, "rejected": {"BadTopic": 1, "x": 1}})
    assert (total["tokens"], total["rejected"]) == (5, {"BadTopic": 3, "x": 1})
    assert settled(total) == total["tokens"]
