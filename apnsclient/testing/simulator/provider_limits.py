"""How Apple treats a connection that causes errors, or that changes its application.

None of this happens unless a script has it.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from ..._compat import MYPY
from .provider_policy import rejection

if MYPY:
    from typing import Any, Callable, Deque, Iterable, Optional, Set

    from ...protocols.http2.server import Request, ServerConnection
    from .provider_head import Head
    from .provider_policy import Judge, Verdict
    from .provider_script import ProviderScript

__all__ = ["ErrorLimits", "OneApp", "Throttle"]

#: Streams that are left after a notification was rejected.
_THROTTLED_STREAMS = 1


class ErrorLimits(object):
    """Lowers the limit of streams after a number of errors, and hangs up after another.

    Apple, *Handling notification responses from APNs*: errors 4XX slow a sender down, by means of
    SETTINGS; too many of them end the connection, BadDeviceToken sooner than others; 410 is not an
    error in that sense (read). How many that are it does not say; the script does.

    :param script: :class:`.provider_script.ProviderScript` of the connection.
    :param limit: called with the limit of streams from now on.
    :param hang_up: called when the connection is to end, once or more.
    """

    def __init__(self, script, limit, hang_up):
        # type: (ProviderScript, Callable[[int], Any], Callable[[], Any]) -> None
        self._limits = dict(script.limit_after_errors)
        self._most_errors = script.goaway_after_errors
        self._most_bad_tokens = script.goaway_after_bad_tokens
        self._limit, self._hang_up = limit, hang_up
        self._errors = self._bad_tokens = 0

    def responded(self, status, reason):
        # type: (int, Optional[str]) -> None
        """Count a response."""
        if not 400 <= status < 500 or status == 410:
            return
        self._errors += 1
        self._bad_tokens += reason == "BadDeviceToken"
        if self._errors in self._limits:
            self._limit(self._limits[self._errors])
        if self._errors == self._most_errors or self._bad_tokens == self._most_bad_tokens:
            self._hang_up()


class Throttle(object):
    """Allows for one stream from a notification that is rejected to the next that is accepted.

    Each rejection is followed by SETTINGS with that limit, and what is in flight beyond it is
    refused: REFUSED_STREAM for the request, and STREAM_CLOSED for its DATA. openradar 27870881,
    jchambers/pushy 476 and 732 (seen 2016 to 2020).

    :param connection: the server's side of the connection.

    :ivar is_on: whether the last notification was rejected.
    """

    def __init__(self, connection):
        # type: (ServerConnection) -> None
        self.is_on = False
        self._connection = connection
        connection.resets_late_data = True
        #: Streams of requests that have arrived together and have not been processed yet.
        self._waiting = deque()  # type: Deque[int]
        self._refused = set()  # type: Set[int]

    def arrived(self, streams):
        # type: (Iterable[int]) -> None
        """Note the streams of requests that arrived in one piece."""
        self._waiting = deque(streams)
        self._refused.clear()

    def takes(self, stream):
        # type: (int) -> bool
        """Return True if a request may be processed, False if it has been refused meanwhile."""
        while self._waiting.popleft() != stream:
            # It came behind the end of the connection.
            pass
        return stream not in self._refused

    def responded(self, status, most_streams):
        # type: (int, int) -> None
        """Lower the limit after a rejection, and raise it after an acceptance.

        :param most_streams: limit of streams when nothing is rejected.
        """
        if status == 200:
            if self.is_on:
                self.is_on = False
                self._connection.limit_streams(most_streams)
        elif 400 <= status < 500:
            self.is_on = True
            self._connection.limit_streams(min(_THROTTLED_STREAMS, most_streams))
            self._refuse_the_rest()

    def _refuse_the_rest(self):
        # type: () -> None
        """Refuse what is in flight, and not processed yet, as far as it is too much."""
        connection = self._connection
        streams = sorted([stream for stream in self._waiting if connection.is_open(stream)]
                         + connection.incomplete_streams())
        processed = connection.open_streams - len(streams)
        for stream in streams[max(0, _THROTTLED_STREAMS - processed):]:
            connection.refuse(stream)
            self._refused.add(stream)


class OneApp(object):
    """Judges like another judge, and binds a connection to the application of its first push.

    Apple, *Establishing a token-based connection to APNs*: with the first push the bundle
    identifiers of a team belong to the connection, and for one that is added later a new connection
    is needed (read). Here they are the one of that push, with all suffixes. Apple does not say
    which error it is.

    :param judge: like :meth:`.provider_policy.ProviderPolicy.judge`.
    """

    def __init__(self, judge):
        # type: (Judge) -> None
        self._judge = judge
        self._app = None  # type: Optional[str]

    def __call__(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        verdict = self._judge(request, path, head, caller)
        if not verdict.is_accepted or head.app is None:
            return verdict
        if self._app is None:
            self._app = head.app
        return verdict if head.app == self._app else rejection("TopicDisallowed")
