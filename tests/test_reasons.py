"""The table of status codes, row by row, as the contract has it."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.apns import Message, Result
from apnsclient.reasons import REASONS, Reason, reason_of

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


@pytest.mark.parametrize("code, explanation, is_failed, is_error, retry_from", TABLE)
def test_each_code_does_what_its_row_says(code, explanation, is_failed, is_error, retry_from):
    """Explanation, retry, and what becomes of the reported token."""
    result = Result(Message(TOKENS, alert="x"), (code, REPORTED))
    assert result.failed == ({TOKENS[REPORTED]: (code, explanation)} if is_failed else {})
    assert result.errors == ([(code, explanation)] if is_error else [])
    assert result.needs_retry() == (retry_from is not None)
    if retry_from is None:
        assert result.retry() is None
    else:
        assert result.retry().tokens == TOKENS[retry_from:]
    assert Result.ERROR_CODES[code] == explanation


def test_the_codes_are_those_of_the_table():
    """``ERROR_CODES`` has exactly these, no more."""
    assert set(Result.ERROR_CODES) == set(REASONS) == set(row[0] for row in TABLE)


@pytest.mark.parametrize("code", [code for code in range(256) if code not in REASONS])
def test_every_other_code_is_unknown(code):
    """Whatever Apple does not document (128 and 255 are seen) is an error and is retried."""
    assert reason_of(code) is REASONS[None]
    result = Result(Message(TOKENS), (code, REPORTED))
    assert result.errors == [(None, "Unknown")]
    assert result.failed == {}
    assert result.retry().tokens == TOKENS[REPORTED:]


def test_a_row_is_a_value():
    """It cannot be changed, and says by itself what is derived from verdict and scope."""
    with pytest.raises(AttributeError):
        REASONS[8].code = 9
    with pytest.raises(AttributeError):
        REASONS[8].note = "x"
    assert Reason(9, "x", "rejected", "token").blames_token
