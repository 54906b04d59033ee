"""What each answer of Apple's servers means, and what is to be done about it.

One table for both protocols: status codes of the binary gateway, and reasons of the HTTP/2 provider
API. Each row says what became of the token that the answer is for (the verdict) and whom the reason
concerns (the scope); everything else that the package wants to know of an answer is derived from
these two.

Source of the codes: Apple, *Local and Remote Notification Programming Guide*, appendix "Binary
Provider API", table "Codes in error-response packet". Source of the reasons: Apple, *Handling
notification responses from APNs*, and *Handling error responses from Apple Push Notification
service* for TopicMismatch. The first page prints BadEnvironmentKeyIdInToken; what users of other
clients report from servers is BadEnvironmentKeyInToken.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ._compat import MYPY
from .topics import advise

if MYPY:
    from typing import Dict, Optional

__all__ = ["ACCEPTED", "CONNECTION", "CREDENTIAL", "MESSAGE", "REASONS", "REJECTED", "RESPONSES",
           "REQUEST", "RESEND", "Reason", "TOKEN", "reason_of", "reason_of_response"]

#: Verdict: the reported token was the last one that was delivered.
ACCEPTED = "accepted"
#: Verdict: sending the same again will be refused again.
REJECTED = "rejected"
#: Verdict: the same may be sent again.
RESEND = "resend"

#: Seconds to wait after a status of 500 to 599: 15 minutes (Apple, *Handling notification responses
#: from APNs*).
_AFTER_SERVER_ERROR = 900
#: Seconds to wait after too many requests for one device. Apple asks for a delay on the same page,
#: and does not say how long.
_AFTER_TOO_MANY = 60
#: Seconds to wait after too many provider tokens: 20 minutes (Apple, *Establishing a token-based
#: connection to APNs*).
_AFTER_TOKEN_UPDATES = 1200

#: Scope: the reason concerns the reported token alone.
TOKEN = "token"
#: Scope: the reason concerns the message or the connection, whichever token was reported.
MESSAGE = "message"
#: Scope: the reason concerns one request, and says nothing of its token nor of other requests.
REQUEST = "request"
#: Scope: the reason concerns the connection: the request was not processed, and may go out over
#: another one.
CONNECTION = "connection"
#: Scope: the reason concerns the certificate or the provider token, and so whatever is sent.
CREDENTIAL = "credential"


class Reason(namedtuple("Reason", "code explanation verdict scope status name")):
    """A row of the table.

    :param code: what results report: a status code of the gateway, an HTTP status, or None (int).
    :param explanation: the same in words (str).
    :param verdict: ``ACCEPTED``, ``REJECTED`` or ``RESEND``.
    :param scope: ``TOKEN``, ``MESSAGE``, ``REQUEST``, ``CONNECTION`` or ``CREDENTIAL``.
    :param status: HTTP status of the response (int), or None for the binary protocol.
    :param name: Apple's name of the reason (str), or None where there is none.
    """

    __slots__ = ()

    def __new__(cls, code, explanation, verdict, scope, status=None, name=None):
        # type: (Optional[int], str, str, str, Optional[int], Optional[str]) -> Reason
        return super(Reason, cls).__new__(cls, code, explanation, verdict, scope, status, name)

    @property
    def blames_token(self):
        # type: () -> bool
        """True if the reported token is bad for good and must not be used again."""
        return self.verdict == REJECTED and self.scope == TOKEN

    @property
    def is_error(self):
        # type: () -> bool
        """True if the reason belongs to the errors that no token is to blame for."""
        return self.verdict != ACCEPTED and self.scope != TOKEN

    @property
    def retries_rest(self):
        # type: () -> bool
        """True if the tokens behind the reported one are worth sending again."""
        return not (self.verdict == REJECTED and self.scope in (MESSAGE, CREDENTIAL))

    @property
    def retries_reported(self):
        # type: () -> bool
        """True if the reported token is worth sending again."""
        return self.verdict == RESEND

    @property
    def stops_message(self):
        # type: () -> bool
        """True if no token would get this message."""
        return self.verdict == REJECTED and self.scope == MESSAGE

    @property
    def stops_everything(self):
        # type: () -> bool
        """True if nothing more is to be sent with this credential, whichever message it is."""
        return self.scope == CREDENTIAL

    @property
    def is_expired_token(self):
        # type: () -> bool
        """True if a new provider token, on a fresh connection, is worth one more try."""
        return self.name == "ExpiredProviderToken"

    @property
    def is_cured_by_connection(self):
        # type: () -> bool
        """True if the provider token, or a new one, is worth one more try on a fresh connection.

        A connection takes the keys only that are related to the one of its first request (Apple,
        *Handling notification responses from APNs*).
        """
        return self.is_expired_token or self.name == "UnrelatedKeyIdInToken"

    @property
    def is_unprocessed(self):
        # type: () -> bool
        """True if the request may be sent again over another connection without asking anybody."""
        return self.scope == CONNECTION

    @property
    def is_about_topic(self):
        # type: () -> bool
        """True if the reason is about the topic of the request, or its push type."""
        return self.name in _ABOUT_TOPICS

    def advised(self, topic, push_type):
        # type: (Optional[str], Optional[str]) -> Reason
        """Return the row with what to look at in its explanation, where it is about the topic.

        :param topic: the topic that the request had (str), or None.
        :param push_type: its push type (str), or None.
        """
        if not self.is_about_topic:
            return self
        return self._replace(explanation="%s: %s" % (self.explanation, advise(topic, push_type)))

    @property
    def is_refused_here(self):
        # type: () -> bool
        """True if the token may be good elsewhere: in the other environment, for another topic."""
        return self.name in ("BadDeviceToken", "DeviceTokenNotForTopic")

    def is_gone(self, timestamp):
        # type: (Optional[int]) -> bool
        """Return True if the token is dead, which makes it feedback.

        Status 410 alone does not say so: a proxy may answer with it, too. Apple's answers tell the
        time (Apple, *Handling notification responses from APNs*).

        :param timestamp: the time that the response tells, in seconds since 1970 (int), or None.
        """
        return (timestamp is not None and self.status == 410 and self.blames_token
                and not self.is_refused_here)

    @property
    def retry_after(self):
        # type: () -> Optional[int]
        """Seconds to wait before the same is sent again (int); None if it may be sent at once, or
        would be refused again.
        """
        if not self.retries_reported or self.status is None:
            return None
        if self.name == "TooManyProviderTokenUpdates":
            return _AFTER_TOKEN_UPDATES
        if self.status == 429 or self.name == "TooManyRequests":
            return _AFTER_TOO_MANY
        return _AFTER_SERVER_ERROR if 500 <= self.status < 600 else None


#: The row for IO failures and for every code that Apple does not document (128 and 255 are seen).
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
RESPONSES = dict((row.name, row) for row in (
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

#: Names of the reasons that are about the topic, or the push type.
_ABOUT_TOPICS = ("BadTopic", "DeviceTokenNotForTopic", "InvalidPushType", "MissingTopic",
                 "TopicDisallowed")

#: Verdict and scope by status, for reasons that are not in the table; what is not here either is
#: for 400 to 499 a rejected request, and else a request that may be sent again. 408, 421 and 425
#: come from a server in front, which has processed nothing: the request did not arrive in time or
#: at the right server, or must not be processed yet (RFC 9110, 15.5.9 and 15.5.20; RFC 8470, 5.2).
_BY_STATUS = {403: (REJECTED, CREDENTIAL), 408: (RESEND, CONNECTION), 410: (REJECTED, TOKEN),
              413: (REJECTED, MESSAGE), 421: (RESEND, CONNECTION), 425: (RESEND, CONNECTION),
              429: (RESEND, REQUEST)}


def reason_of(code):
    # type: (Optional[int]) -> Reason
    """Look a status code of the binary protocol up.

    :param code: status code of an error frame (int, 0 to 255), or None for an IO failure.
    :return: its row; the row of None for every code that is not in the table.
    """
    return REASONS.get(code, UNKNOWN)


def reason_of_response(status, name=None, is_cut_off=False):
    # type: (int, Optional[str], bool) -> Reason
    """Look up what a response over HTTP/2 means.

    :param status: HTTP status, anything but 200 (int).
    :param name: the reason that the body of the response names (str), or None if it names none.
    :param is_cut_off: whether the response was cut off, so that it may have been going to name one.
    :return: the row of that reason. One that is not in the table keeps its name as explanation,
        and the status decides; then its code is the status.
    """
    row = RESPONSES.get(name) if name is not None else None
    if row is None:
        verdict, scope = _BY_STATUS.get(
            status, (REJECTED if 400 <= status < 500 else RESEND, REQUEST))
        text = name or "HTTP status %d" % status
        if status == 400 and name is None and is_cut_off:
            # It was not accepted, and the next answer tells why: the token, the message, or nothing
            # but an idle connection.
            verdict, text = RESEND, text + ", and the reason was cut off"
        if not 400 <= status < 600:
            text = "%s: %s" % (UNKNOWN.explanation, text)
        return Reason(status, text, verdict, scope, status, name)
    if row.status != status:
        # The name is what Apple's documents explain; a status may change.
        return row._replace(status=status, code=status if row.code == row.status else row.code)
    return row
