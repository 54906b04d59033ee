"""What each response of Apple's servers means, and what follows from it.

One table for both protocols: status codes of the binary gateway, and reasons of the HTTP/2 provider
API. Each row has the outcome for the token of the response (the verdict) and what the reason
concerns (the scope); everything else that the package needs to know is derived from these two.

Source of the codes: Apple, *Local and Remote Notification Programming Guide*, appendix "Binary
Provider API", table "Codes in error-response packet". Source of the reasons: Apple, *Handling
notification responses from APNs*, and *Handling error responses from Apple Push Notification
service* for TopicMismatch. The first page has BadEnvironmentKeyIdInToken; according to users of
other clients the servers send BadEnvironmentKeyInToken.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ._compat import MYPY
from .topics import advise

if MYPY:
    from typing import Dict, NamedTuple, Optional

    # Only the checkers learn the types of the fields: Python 2.7 has no typing.
    _Row = NamedTuple("_Row", [
        ("code", Optional[int]), ("explanation", str), ("verdict", str), ("scope", str),
        ("status", Optional[int]), ("name", Optional[str])])
else:
    _Row = namedtuple("Reason", "code explanation verdict scope status name")

__all__ = ["ACCEPTED", "CONNECTION", "CREDENTIAL", "MESSAGE", "REASONS", "REJECTED", "RESPONSES",
           "REQUEST", "RESEND", "Reason", "TOKEN", "reason_of", "reason_of_response"]

#: Verdict: the reported token was the last one that was delivered.
ACCEPTED = "accepted"
#: Verdict: it was rejected, and would be rejected again.
REJECTED = "rejected"
#: Verdict: the same may be sent again.
RESEND = "resend"

#: Seconds to wait after a status of 500 to 599: 15 minutes (Apple, *Handling notification responses
#: from APNs*).
_AFTER_SERVER_ERROR = 900
#: Seconds to wait after too many requests for one device. Apple asks for a delay on the same page
#: without giving its length.
_AFTER_TOO_MANY = 60
#: Seconds to wait after too many provider tokens: 20 minutes (Apple, *Establishing a token-based
#: connection to APNs*).
_AFTER_TOKEN_UPDATES = 1200

#: Scope: the reason concerns the reported token alone.
TOKEN = "token"
#: Scope: the reason concerns the message or the connection, whichever token was reported.
MESSAGE = "message"
#: Scope: the reason concerns one request, and neither its token nor other requests.
REQUEST = "request"
#: Scope: the reason concerns the connection: the request was not processed, and may be sent over
#: another one.
CONNECTION = "connection"
#: Scope: the reason concerns the certificate or the provider token, and so everything that is sent.
CREDENTIAL = "credential"


class Reason(_Row):
    """A row of the table.

    :param code: what results have: a status code of the gateway, an HTTP status, or None (int).
    :param explanation: what it means, for people (str).
    :param verdict: ``ACCEPTED``, ``REJECTED`` or ``RESEND``.
    :param scope: ``TOKEN``, ``MESSAGE``, ``REQUEST``, ``CONNECTION`` or ``CREDENTIAL``.
    :param status: HTTP status of the response (int), or None for the binary protocol.
    :param name: Apple's name of the reason (str), or None if there is none.
    """

    __slots__ = ()

    def __new__(cls, code, explanation, verdict, scope, status=None, name=None):
        # type: (Optional[int], str, str, str, Optional[int], Optional[str]) -> Reason
        return super(Reason, cls).__new__(cls, code, explanation, verdict, scope, status, name)

    @property
    def blames_token(self):
        # type: () -> bool
        """True if the reported token will be rejected again."""
        return self.verdict == REJECTED and self.scope == TOKEN

    @property
    def is_error(self):
        # type: () -> bool
        """True if the reason is an error that does not concern a token."""
        return self.verdict != ACCEPTED and self.scope != TOKEN

    @property
    def retries_rest(self):
        # type: () -> bool
        """True if the tokens behind the reported one can be sent again."""
        return not (self.verdict == REJECTED and self.scope in (MESSAGE, CREDENTIAL))

    @property
    def retries_reported(self):
        # type: () -> bool
        """True if the reported token can be sent again."""
        return self.verdict == RESEND

    @property
    def stops_message(self):
        # type: () -> bool
        """True if the message would be rejected for every token."""
        return self.verdict == REJECTED and self.scope == MESSAGE

    @property
    def stops_everything(self):
        # type: () -> bool
        """True if no message can be sent with this credential any more."""
        return self.scope == CREDENTIAL

    @property
    def is_expired_token(self):
        # type: () -> bool
        """True if a new provider token, on a new connection, deserves one more attempt."""
        return self.name == "ExpiredProviderToken"

    @property
    def is_cured_by_connection(self):
        # type: () -> bool
        """True if the provider token, or a new one, deserves one more attempt on a new connection.

        A connection accepts only keys that are related to the key of its first request (Apple,
        *Handling notification responses from APNs*).
        """
        return self.is_expired_token or self.name == "UnrelatedKeyIdInToken"

    @property
    def is_unprocessed(self):
        # type: () -> bool
        """True if the request is proven unprocessed, so that it may be resent automatically."""
        return self.scope == CONNECTION

    @property
    def is_about_topic(self):
        # type: () -> bool
        """True if the reason concerns the topic of the request, or its push type."""
        return self.name in _ABOUT_TOPICS

    def advised(self, topic, push_type):
        # type: (Optional[str], Optional[str]) -> Reason
        """Return the row with advice added to its explanation, if it concerns the topic.

        :param topic: the topic that the request had (str), or None.
        :param push_type: its push type (str), or None.
        """
        if not self.is_about_topic:
            return self
        return self._replace(explanation="%s: %s" % (self.explanation, advise(topic, push_type)))

    def explained(self, explanation):
        # type: (str) -> Reason
        """Return the row with another explanation (str)."""
        return self._replace(explanation=explanation)

    @property
    def can_be_valid_elsewhere(self):
        # type: () -> bool
        """True if the token may be valid in the other environment, or for another topic."""
        return self.name in ("BadDeviceToken", "DeviceTokenNotForTopic")

    def is_gone(self, timestamp):
        # type: (Optional[int]) -> bool
        """Return True if the token is dead, so that it belongs into the feedback.

        Status 410 alone does not prove that, since it may come from a proxy. Apple's responses have
        a time (Apple, *Handling notification responses from APNs*).

        :param timestamp: the time in the response, in seconds since 1970 (int), or None.
        """
        return (timestamp is not None and self.status == 410 and self.blames_token
                and not self.can_be_valid_elsewhere)

    @property
    def retry_after(self):
        # type: () -> Optional[int]
        """Seconds to wait before the request is sent again (int); None if it may be sent at once,
        or would be rejected again.
        """
        if not self.retries_reported or self.status is None:
            return None
        if self.name == "TooManyProviderTokenUpdates":
            return _AFTER_TOKEN_UPDATES
        if self.status == 429 or self.name == "TooManyRequests":
            return _AFTER_TOO_MANY
        return _AFTER_SERVER_ERROR if 500 <= self.status < 600 else None


#: The row for IO failures and for codes that Apple does not document (128 and 255 have been seen).
UNKNOWN = Reason(None, "Unknown", RESEND, MESSAGE)

#: ``{code: Reason}`` of the binary protocol; exactly the codes that it can report.
REASONS = dict((row.code, row) for row in (
    Reason(1, "Processing error", RESEND, MESSAGE),
    Reason(2, "Missing device token", REJECTED, TOKEN),
    Reason(3, "Missing topic", REJECTED, MESSAGE),
    Reason(4, "Missing payload", REJECTED, MESSAGE),
    Reason(5, "Invalid token size", REJECTED, TOKEN),
    Reason(6, "Invalid topic size", REJECTED, MESSAGE),
    Reason(7, "Invalid payload size", REJECTED, MESSAGE),
    Reason(8, "Invalid token", REJECTED, TOKEN),
    Reason(10, "Shutdown", ACCEPTED, TOKEN),
    UNKNOWN,
))  # type: Dict[Optional[int], Reason]


def _response(status, name, verdict, scope, code=None):
    # type: (int, str, str, str, Optional[int]) -> Reason
    """Return the row of a reason of HTTP/2.

    :param code: the code of the binary protocol that means the same (int); None for the status.
    """
    if code is None:
        return Reason(status, name, verdict, scope, status, name)
    meaning = REASONS[code].explanation
    text = name if name == meaning else "%s: %s" % (meaning, name)
    return Reason(code, text, verdict, scope, status, name)


#: ``{name: Reason}`` of the HTTP/2 provider API.
RESPONSES = dict((str(row.name), row) for row in (
    _response(400, "BadCollapseId", REJECTED, MESSAGE),
    _response(400, "BadDeviceToken", REJECTED, TOKEN, 8),
    _response(400, "BadExpirationDate", REJECTED, MESSAGE),
    _response(400, "BadMessageId", REJECTED, MESSAGE),
    _response(400, "BadPriority", REJECTED, MESSAGE),
    _response(400, "BadTopic", REJECTED, MESSAGE),
    _response(400, "DeviceTokenNotForTopic", REJECTED, TOKEN, 8),
    _response(400, "DuplicateHeaders", REJECTED, MESSAGE),
    _response(400, "IdleTimeout", RESEND, REQUEST),
    _response(400, "InvalidPushType", REJECTED, MESSAGE),
    _response(400, "MissingDeviceToken", REJECTED, TOKEN, 2),
    _response(400, "MissingTopic", REJECTED, MESSAGE, 3),
    _response(400, "PayloadEmpty", REJECTED, MESSAGE, 4),
    _response(400, "TopicDisallowed", REJECTED, MESSAGE),
    _response(403, "BadCertificate", REJECTED, CREDENTIAL),
    _response(403, "BadCertificateEnvironment", REJECTED, CREDENTIAL),
    _response(403, "BadEnvironmentKeyInToken", REJECTED, CREDENTIAL),
    _response(403, "BadEnvironmentKeyIdInToken", REJECTED, CREDENTIAL),
    _response(403, "ExpiredProviderToken", REJECTED, CREDENTIAL),
    _response(403, "Forbidden", REJECTED, CREDENTIAL),
    _response(403, "InvalidProviderToken", REJECTED, CREDENTIAL),
    _response(403, "MissingProviderToken", REJECTED, CREDENTIAL),
    _response(403, "TopicMismatch", REJECTED, CREDENTIAL),
    _response(403, "UnrelatedKeyIdInToken", REJECTED, CREDENTIAL),
    _response(404, "BadPath", REJECTED, REQUEST),
    _response(405, "MethodNotAllowed", REJECTED, REQUEST),
    _response(410, "ExpiredToken", REJECTED, TOKEN, 8),
    _response(410, "Unregistered", REJECTED, TOKEN, 8),
    _response(413, "PayloadTooLarge", REJECTED, MESSAGE, 7),
    _response(429, "TooManyProviderTokenUpdates", RESEND, CREDENTIAL),
    _response(429, "TooManyRequests", RESEND, REQUEST),
    _response(500, "InternalServerError", RESEND, REQUEST, 1),
    _response(503, "ServiceUnavailable", RESEND, REQUEST),
    _response(503, "Shutdown", RESEND, REQUEST, 10),
))  # type: Dict[str, Reason]

#: Names of the reasons that concern the topic, or the push type.
_ABOUT_TOPICS = ("BadTopic", "DeviceTokenNotForTopic", "InvalidPushType", "MissingTopic",
                 "TopicDisallowed")

#: Verdict and scope by status, for reasons that are not in the table. Any other status from 400 to
#: 499 means a rejected request, and any other one a request that may be sent again. 408, 421 and
#: 425 come from a server in front, which has processed nothing: the request did not arrive in time
#: or at the right server, or must not be processed yet (RFC 9110, 15.5.9 and 15.5.20; RFC 8470,
#: 5.2).
_BY_STATUS = {403: (REJECTED, CREDENTIAL), 408: (RESEND, CONNECTION), 410: (REJECTED, TOKEN),
              413: (REJECTED, MESSAGE), 421: (RESEND, CONNECTION), 425: (RESEND, CONNECTION),
              429: (RESEND, REQUEST)}


def reason_of(code):
    # type: (Optional[int]) -> Reason
    """Return the row for a status code of the binary protocol.

    :param code: status code of an error frame (int, 0 to 255), or None for an IO failure.
    :return: its row; the row of None for every code that is not in the table.
    """
    return REASONS.get(code, UNKNOWN)


def reason_of_response(status, name=None, is_cut_off=False):
    # type: (int, Optional[str], bool) -> Reason
    """Return the row for a response over HTTP/2.

    :param status: HTTP status, anything but 200 (int).
    :param name: the reason in the body of the response (str), or None if there is none.
    :param is_cut_off: whether the response was cut off, so that its reason may be missing.
    :return: the row of the reason. For a reason that is not in the table verdict and scope follow
        from the status, the explanation is its name, and the code is the status.
    """
    row = RESPONSES.get(name) if name is not None else None
    if row is None:
        verdict, scope = _BY_STATUS.get(
            status, (REJECTED if 400 <= status < 500 else RESEND, REQUEST))
        text = name or "HTTP status %d" % status
        if status == 400 and name is None and is_cut_off:
            # It was not accepted, and only the next response will have the reason: the token, the
            # message, or merely an idle connection.
            verdict, text = RESEND, text + ", and the reason was cut off"
        if not 400 <= status < 600:
            text = "%s: %s" % (UNKNOWN.explanation, text)
        return Reason(status, text, verdict, scope, status, name)
    if row.status != status:
        # Apple's documents define the name; its status may change.
        return row._replace(status=status, code=status if row.code == row.status else row.code)
    return row
