"""The table of status codes and of the reasons of HTTP/2, row by row, as the contract has it."""

from __future__ import absolute_import, division, print_function

import pickle

import pytest

from apnsclient.apns import Message, Result
from apnsclient.outcomes import RequestOutcomes
from apnsclient.reasons import (
    CREDENTIAL,
    MESSAGE,
    REASONS,
    REJECTED,
    REQUEST,
    RESEND,
    RESPONSES,
    TOKEN,
    Reason,
    reason_of,
    reason_of_response,
)
from apnsclient.topics import SUFFIXES

TOKENS = ["%064x" % index for index in range(5)]
#: Index of the token that the gateway reports.
REPORTED = 2

#: code, explanation, whether the reported token is failed, whether there is an error, and the index
#: from which on tokens are retried (None: not at all).
TABLE = [
    (1, "Processing error", False, True, 2),
    (2, "Missing device token", True, False, 3),
    (3, "Missing topic", False, True, None),
    (4, "Missing payload", False, True, None),
    (5, "Invalid token size", True, False, 3),
    (6, "Invalid topic size", False, True, None),
    (7, "Invalid payload size", False, True, None),
    (8, "Invalid token", True, False, 3),
    (10, "Shutdown", False, False, 3),
    (None, "Unknown", False, True, 2),
]


def test_each_code_does_what_its_row_says():
    """Explanation, retry, and what becomes of the reported token."""
    for code, explanation, is_failed, is_error, retry_from in TABLE:
        result = Result(Message(TOKENS, alert="x"), (code, REPORTED))
        assert (code, result.failed) == (
            code, {TOKENS[REPORTED]: (code, explanation)} if is_failed else {})
        assert (code, result.errors) == (code, [(code, explanation)] if is_error else [])
        assert (code, result.needs_retry()) == (code, retry_from is not None)
        retry = result.retry()
        assert (code, None if retry is None else retry.tokens) == (
            code, None if retry_from is None else TOKENS[retry_from:])
        assert Result.ERROR_CODES[code] == explanation


def test_the_codes_are_those_of_the_table():
    """``ERROR_CODES`` has exactly these, no more."""
    assert set(Result.ERROR_CODES) == set(REASONS) == set(row[0] for row in TABLE)


def test_every_other_code_is_unknown():
    """Whatever Apple does not document (128 and 255 are seen) is an error and is retried."""
    others = [code for code in range(256) if code not in REASONS]
    assert len(others) == 247
    assert [code for code in others if reason_of(code) is not REASONS[None]] == []
    for code in others:
        result = Result(Message(TOKENS), (code, REPORTED))
        assert (code, result.errors) == (code, [(None, "Unknown")])
        assert (code, result.failed) == (code, {})
        assert (code, result.retry().tokens) == (code, TOKENS[REPORTED:])


def test_a_row_is_a_value():
    """It cannot be changed, and says by itself what is derived from verdict and scope."""
    with pytest.raises(AttributeError):
        REASONS[8].code = 9
    with pytest.raises(AttributeError):
        REASONS[8].note = "x"
    assert Reason(9, "x", "rejected", "token").blames_token


# HTTP/2. What a response does to its token, and what it stops.

FAILED, UNDELIVERED, RETRIED = "failed", "undelivered", "retried"
ONE, ALL_OF_IT, EVERYTHING = "this request", "this message", "this credential"

#: status, reasons, code (None: the status), its explanation, what becomes of the token, what stops.
RESPONSE_TABLE = [
    (400, "BadDeviceToken DeviceTokenNotForTopic", 8, "Invalid token", FAILED, ONE),
    (410, "Unregistered ExpiredToken", 8, "Invalid token", FAILED, ONE),
    (400, "MissingDeviceToken", 2, "Missing device token", FAILED, ONE),
    (400, "MissingTopic", 3, "Missing topic", UNDELIVERED, ALL_OF_IT),
    (400, "PayloadEmpty", 4, "Missing payload", UNDELIVERED, ALL_OF_IT),
    (413, "PayloadTooLarge", 7, "Invalid payload size", UNDELIVERED, ALL_OF_IT),
    (400, ("BadCollapseId BadExpirationDate BadMessageId BadPriority BadTopic DuplicateHeaders "
           "InvalidPushType TopicDisallowed"), None, None, UNDELIVERED, ALL_OF_IT),
    (403, ("BadCertificate BadCertificateEnvironment Forbidden InvalidProviderToken "
           "MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyInToken "
           "BadEnvironmentKeyIdInToken TopicMismatch ExpiredProviderToken"),
     None, None, UNDELIVERED, EVERYTHING),
    (404, "BadPath", None, None, UNDELIVERED, ONE),
    (405, "MethodNotAllowed", None, None, UNDELIVERED, ONE),
    (429, "TooManyRequests", None, None, RETRIED, ONE),
    (429, "TooManyProviderTokenUpdates", None, None, RETRIED, EVERYTHING),
    (500, "InternalServerError", 1, "Processing error", RETRIED, ONE),
    (503, "ServiceUnavailable", None, None, RETRIED, ONE),
    (400, "IdleTimeout", None, None, RETRIED, ONE),
]
RESPONSE_ROWS = [(status, name, status if code is None else code,
               name if code is None else "%s: %s" % (text, name), becomes, stops)
              for status, names, code, text, becomes, stops in RESPONSE_TABLE
              for name in names.split()]
RESPONSE_ROWS.append((503, "Shutdown", 10, "Shutdown", RETRIED, ONE))

#: status, name, what becomes of the token, what stops.
UNKNOWN_ROWS = [
    (400, "BadMood", UNDELIVERED, ONE), (400, None, UNDELIVERED, ONE),
    (403, "NotOnMondays", UNDELIVERED, EVERYTHING), (403, None, UNDELIVERED, EVERYTHING),
    (404, "NoSuchRoom", UNDELIVERED, ONE), (408, None, RETRIED, ONE), (421, None, RETRIED, ONE),
    (425, "TooEarly", RETRIED, ONE), (409, None, UNDELIVERED, ONE), (410, "MovedAway", FAILED, ONE),
    (410, None, FAILED, ONE), (413, None, UNDELIVERED, ALL_OF_IT),
    (418, "Teapot", UNDELIVERED, ONE), (429, "Slower", RETRIED, ONE), (429, None, RETRIED, ONE),
    (500, "OutOfInk", RETRIED, ONE), (502, None, RETRIED, ONE), (599, "End", RETRIED, ONE),
]


def check_response(reason, becomes, stops):
    outcomes = RequestOutcomes()
    outcomes.add_response(REPORTED, reason)
    result = Result(Message(TOKENS), outcomes=outcomes)
    entry, token = (reason.code, reason.explanation), TOKENS[REPORTED]
    retry = result.retry()
    assert (reason, result.failed) == (reason, {token: entry} if becomes == FAILED else {})
    assert result.errors == ([] if becomes == FAILED else [entry])
    assert result.undelivered == ([token] if becomes == UNDELIVERED else [])
    assert (retry.tokens if retry else []) == ([token] if becomes == RETRIED else [])
    assert reason.stops_message == (stops == ALL_OF_IT)
    assert reason.stops_everything == (stops == EVERYTHING)
    assert reason.blames_token == (becomes == FAILED) != reason.is_error
    assert reason.retries_reported == (becomes == RETRIED)


def test_each_reason_does_what_its_row_says():
    """Code, explanation, what becomes of the token, and of the tokens not yet sent."""
    for status, name, code, explanation, becomes, stops in RESPONSE_ROWS:
        reason = reason_of_response(status, name)
        assert reason is RESPONSES[name]
        assert (reason.status, reason.name, reason.code, reason.explanation) == (
            status, name, code, explanation)
        check_response(reason, becomes, stops)


def test_the_reasons_are_those_of_the_table():
    """No more, no less."""
    assert set(RESPONSES) == set(row[1] for row in RESPONSE_ROWS)


def test_for_any_other_reason_the_status_decides():
    """The name survives, if there is one."""
    for status, name, becomes, stops in UNKNOWN_ROWS:
        reason = reason_of_response(status, name)
        assert (reason.code, reason.status, reason.name) == (status, status, name)
        assert reason.explanation == (name or "HTTP status %d" % status)
        check_response(reason, becomes, stops)


def test_what_is_no_error_by_its_status_either_is_unknown():
    """Nobody can say what became of the token."""
    for status in (0, 201, 204, 302, 600, 999):
        for name in ("Odd", None):
            reason = reason_of_response(status, name)
            assert reason.explanation == "Unknown: %s" % (name or "HTTP status %d" % status)
            assert reason.code == status
            check_response(reason, RETRIED, ONE)


def test_the_name_decides_where_the_status_is_another_one():
    """It is the name that Apple explains. The code that is the status stays the status."""
    for status, name, code in [(410, "BadDeviceToken", 8), (500, "Shutdown", 10),
                               (400, "Forbidden", 400), (404, "TooManyRequests", 404)]:
        reason = reason_of_response(status, name)
        assert (reason.code, reason.status) == (code, status)
        assert reason[2:4] == RESPONSES[name][2:4]
        assert reason.explanation == RESPONSES[name].explanation


def test_only_status_410_with_a_time_makes_feedback():
    """The tokens of the others may work again, in the other environment for example."""
    assert {name for name, row in RESPONSES.items() if row.is_gone(1)} == {
        "Unregistered", "ExpiredToken"}
    for name in (None, "Whatever", "Unregistered"):
        assert reason_of_response(410, name).is_gone(0)
        assert not reason_of_response(410, name).is_gone(None)
    for name in ("TooManyRequests", "BadDeviceToken"):
        assert not reason_of_response(410, name).is_gone(1)
    assert not any(row.is_gone(1) for row in REASONS.values())


def test_only_two_reasons_leave_open_that_the_token_is_valid_elsewhere():
    """In the other environment, or for another topic: Apple's responses are the same for both."""
    assert {name for name, row in RESPONSES.items() if row.can_be_valid_elsewhere} == {
        "BadDeviceToken", "DeviceTokenNotForTopic"}
    assert not any(row.can_be_valid_elsewhere for row in REASONS.values())


def test_only_what_may_be_sent_again_says_when():
    """Apple names 15 minutes for 5XX, 20 for provider tokens, and none for too many requests."""
    waits = {name: row.retry_after for name, row in RESPONSES.items()
             if row.retry_after is not None}
    assert waits == {
        "InternalServerError": 900, "ServiceUnavailable": 900, "Shutdown": 900,
        "TooManyRequests": 60, "TooManyProviderTokenUpdates": 1200}
    for status, name, wait in [(500, None, 900), (599, "End", 900), (429, "Slower", 60),
                               (404, "TooManyRequests", 60), (418, None, None), (600, None, None),
                               (204, None, None), (503, "BadTopic", None)]:
        assert (status, reason_of_response(status, name).retry_after) == (status, wait)
    assert not any(row.retry_after for row in REASONS.values())


def test_only_an_expired_provider_token_is_worth_another():
    """The others would be rejected again."""
    assert [name for name, row in RESPONSES.items() if row.is_expired_token] == [
        "ExpiredProviderToken"]


def test_what_another_connection_cures():
    """A provider token, for two reasons; and what a server in front has not processed."""
    rows = list(RESPONSES.values()) + [reason_of_response(status) for status in range(100, 600)]
    assert {row.name for row in rows if row.is_cured_by_connection} == {
        "ExpiredProviderToken", "UnrelatedKeyIdInToken"}
    assert [row.status for row in rows if row.is_unprocessed] == [408, 421, 425]
    assert reason_of_response(421, "Whatever").is_unprocessed
    assert not reason_of_response(421, "BadDeviceToken").is_unprocessed
    assert not any(row.is_unprocessed or row.is_cured_by_connection for row in REASONS.values())


def test_a_reason_about_the_topic_says_which_suffix_belongs_there():
    """Or that it is the other environment's; other reasons say what they always say."""
    for name, row in RESPONSES.items():
        wrong, right, none = (row.advised(*sent) for sent in (
            ("a.b", "voip"), ("a.b.voip", "voip"), (None, "voip")))
        if name not in ("BadTopic", "DeviceTokenNotForTopic", "InvalidPushType", "MissingTopic",
                        "TopicDisallowed"):
            assert wrong is right is none is row
            continue
        for told, text in [(wrong, "push type voip belongs to topic a.b.voip, not to a.b"),
                           (right, "of this environment (sandbox and production have "),
                           (none, "identifier of the application with the suffix .voip")]:
            assert told.explanation.startswith(row.explanation + ": ") and text in told.explanation
            assert told._replace(explanation=row.explanation) == row
    assert "topic a.b, not to a.b.voip" in RESPONSES["BadTopic"].advised("a.b.voip", "alert")[1]
    assert RESPONSES["MissingTopic"].advised(None, "alert")[1].endswith("of the application")


def test_a_push_type_that_there_is_not_is_named_with_those_that_there_are():
    """Whatever the topic is: no suffix would help."""
    for topic in "a.b", "a.b.voip":
        told = RESPONSES["InvalidPushType"].advised(topic, "alrt").explanation
        assert "push type alrt is not one that Apple documents: alert, " in told


def test_what_a_certificate_cannot_send_is_said():
    """Live Activities and location queries; their topic is as right as it can be."""
    for push_type, suffix in SUFFIXES.items():
        told = RESPONSES["TopicDisallowed"].advised("a.b" + suffix, push_type).explanation
        assert ("needs a provider token, not a certificate" in told) == (
            push_type in ("liveactivity", "location"))


def test_the_codes_of_old_keep_their_rows():
    """No reason of HTTP/2 is among them, so that ``ERROR_CODES`` has what it always had."""
    assert all(row.status is None and row.name is None for row in REASONS.values())
    assert not any(row.stops_everything or row.is_expired_token for row in REASONS.values())
    assert {code for code, row in REASONS.items() if row.stops_message} == {3, 4, 6, 7}


def test_the_rest_is_lost_where_message_or_credential_is_rejected():
    """Whichever token was reported."""
    for verdict, scope, retries_rest in [
            (REJECTED, TOKEN, True), (REJECTED, MESSAGE, False), (REJECTED, REQUEST, True),
            (REJECTED, CREDENTIAL, False), (RESEND, CREDENTIAL, True), (RESEND, MESSAGE, True)]:
        assert (verdict, scope, Reason(9, "x", verdict, scope).retries_rest) == (
            verdict, scope, retries_rest)


def test_a_row_can_be_pickled():
    """Results cross the borders of processes."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for row in (REASONS[8], RESPONSES["Unregistered"]):
            assert pickle.loads(pickle.dumps(row, protocol)) == row
