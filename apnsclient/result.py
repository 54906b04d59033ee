"""What became of a message: :class:`Result`, whose documented home is :mod:`apnsclient.apns`.

A result is a value. It turns what the outcomes say of indices into what they mean for the tokens of
the message. As long as they say nothing of any, it asks nothing of the message: where somebody's
test makes a result, that may be anything.
"""

from __future__ import absolute_import, division, print_function

import datetime

from ._compat import MYPY
from .outcomes import FrameOutcomes
from .reasons import REASONS

if MYPY:
    from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

    from .message import Message
    from .outcomes import Failure, RequestOutcomes

__all__ = ["Result"]


class Result(object):
    """What became of a message.

    Each token that is neither in :attr:`failed`, nor in what :meth:`retry` returns, nor in
    :attr:`undelivered`, was delivered to Apple, or to the gateway.

    :param message: the :class:`~apnsclient.apns.Message` that was sent.
    :param failure: ``(status code, index of the token)`` that a gateway reported (int or None for
        an IO failure, int), or None if it reported nothing.
    :param rejected: ``(index, code, explanation)`` of each token that could not be put on the wire.
    :param unprocessed: True if no token of the message was processed, which is no fault of theirs.
    :param outcomes: what became of its tokens, instead of the three above
        (:class:`~apnsclient.outcomes.RequestOutcomes` or
        :class:`~apnsclient.outcomes.FrameOutcomes`).
    :param hint: see :attr:`hint` (str), or None.
    """

    #: ``{code: explanation}`` of what the binary protocol can report. HTTP/2 reports the same codes
    #: where they say the same, and else the HTTP status.
    ERROR_CODES = dict((code, reason.explanation) for code, reason in REASONS.items())

    #: What to check before anything is deleted (str), or None. It is there over HTTP/2, when at
    #: least ten tokens in a row, of this message and of those before it that the session sent to
    #: the same address with the same credential, were refused with BadDeviceToken or
    #: DeviceTokenNotForTopic, while none was accepted or :attr:`gone`: the address may be the other
    #: environment, or the topic that of another app. The first one is also logged, as a warning.
    hint = None  # type: Optional[str]

    def __init__(self, message, failure=None, rejected=(), unprocessed=False, outcomes=None,
                 hint=None):
        # type: (Message, Optional[Tuple[Optional[int], int]], Sequence[Tuple[int, int, str]], bool, Union[FrameOutcomes, RequestOutcomes, None], Optional[str]) -> None  # noqa: E501
        self.message = message
        if hint is not None:
            self.hint = hint
        self._failed = None  # type: Optional[Dict[Any, Failure]]
        self._gone = None  # type: Optional[Dict[Any, datetime.datetime]]
        count = len(message.tokens) if failure is not None or rejected or unprocessed else 0
        self._outcomes = outcomes if outcomes is not None else FrameOutcomes(
            count, failure, rejected, unprocessed)  # type: Union[FrameOutcomes, RequestOutcomes]

    @property
    def failed(self):
        # type: () -> Dict[Any, Failure]
        """``{token: (code, explanation)}`` of the tokens that were refused for their own sake.

        The same would be refused again, which does not make them dead: delete those in
        :attr:`gone`. Tokens are as the message has them. A token that the message has several times
        is here if it failed once. The values are :class:`~apnsclient.outcomes.Failure`.

        The binary protocol: the codes are 2, 5 and 8. The gateway reports at most one token; the
        others here are those that could not be put on the wire. HTTP/2: all that were refused. The
        codes are 2 and 8, and 410 for a reason that is not known.
        """
        if self._failed is None:
            # Most messages have no failure, and programs ask each of them.
            self._failed = (self._by_token(list(self._outcomes.failures()))
                            if self._outcomes.count_failures() else {})
        return self._failed

    @property
    def gone(self):
        # type: () -> Dict[Any, datetime.datetime]
        """``{token: when}`` of the tokens that Apple has declared dead: these may be deleted.

        Delete a token unless the device has registered it again since. Tokens are as the message
        has them; the time is a naive datetime, local time, like that of
        :meth:`~apnsclient.apns.APNs.feedback`.

        These are the tokens of :attr:`failed` that were answered with status 410 and the time. The
        others were refused for what may not be their fault: they may be good in the other
        environment, for example, or for another topic. Empty over the binary protocol, where it is
        :meth:`~apnsclient.apns.APNs.feedback` that tells which tokens are dead.
        """
        if self._gone is None:
            self._gone = dict((token, datetime.datetime.fromtimestamp(failure.timestamp or 0))
                              for token, failure in self.failed.items() if failure.is_gone)
        return self._gone

    @property
    def errors(self):
        # type: () -> List[Failure]
        """``[(code, explanation)]`` of what went wrong and is no token's fault.

        The values are :class:`~apnsclient.outcomes.Failure`. The codes are 1, 3, 4, 6, 7, and None
        when the connection failed or the gateway answered with something that Apple does not
        document. HTTP/2 adds 10 and HTTP statuses.

        The binary protocol: at most one. HTTP/2: each that there was, once, as they came.
        """
        return self._outcomes.errors()

    @property
    def apns_ids(self):
        # type: () -> Dict[Any, str]
        """``{token: identifier}`` of the tokens that were accepted, in lower case.

        Apple's ``apns-id``: the one that the message has, or one of Apple's. It is kept over HTTP/2
        by a :class:`~apnsclient.transport.Session` with ``keep_ids=True``, and decoded when it is
        asked for; else there are none. Tokens are as the message has them.
        """
        return self._identifiers(0)

    @property
    def apns_unique_ids(self):
        # type: () -> Dict[Any, str]
        """``{token: identifier}`` of the tokens that were accepted, for Apple's Delivery Log.

        Apple's ``apns-unique-id``, which the sandbox gives (Apple, *Handling notification responses
        from APNs*). It is kept as :attr:`apns_ids` are.
        """
        return self._identifiers(1)

    def _identifiers(self, which):
        # type: (int) -> Dict[Any, str]
        kept = [(index, found[which]) for index, found in self._outcomes.identifiers()]
        return self._by_token([pair for pair in kept if pair[1]])

    @property
    def undelivered(self):
        # type: () -> List[Any]
        """The tokens that got nothing, and would get nothing another time (list).

        The binary protocol: after an error that concerns the message itself (codes 3, 4, 6 and 7)
        the token that the gateway reported and those behind it, without what :attr:`failed` has
        already. HTTP/2: the tokens whose requests were refused for a reason that is no token's
        fault, and all that were not sent any more because such a reason concerns the message, or
        the certificate or provider token (status 403).
        """
        return self._tokens_at(self._outcomes.undelivered())

    @property
    def unknown(self):
        # type: () -> List[Any]
        """Those of the tokens in :meth:`retry` that may have got the message already (list).

        They were written, and nobody said what became of them. Sent again, some devices get the
        message twice; not sent again, some do not get it.
        """
        return self._tokens_at(self._outcomes.in_doubt())

    def needs_retry(self):
        # type: () -> bool
        """Return True if there are tokens to be sent again.

        After a shutdown of the gateway (code 10) there may be some although :attr:`failed` and
        :attr:`errors` are empty. Over HTTP/2 there may be, too, when no fresh connection could be
        had for what was not processed.
        """
        return len(self._outcomes.retried()) > 0

    def retry(self):
        # type: () -> Optional[Message]
        """Return the message for the tokens that are to be sent again, or None if there are none.

        It may be sent at once, unless :attr:`retry_after` says how long to wait. It has every token
        that is not known to be delivered, so that some may get the message twice: after an IO
        failure of the binary protocol, and over HTTP/2 those whose requests were written and not
        answered.
        """
        indices = self._outcomes.retried()
        if not indices:
            return None
        if indices[0] + len(indices) == len(self.message.tokens):
            return self.message.retry(indices[0], True)
        return self.message.with_tokens(self._tokens_at(indices))

    @property
    def retry_after(self):
        # type: () -> Optional[int]
        """How long to wait before :meth:`retry` is sent, in seconds (int), or None.

        The longest of the times that :attr:`errors` ask for; see
        :attr:`Failure.retry_after <apnsclient.outcomes.Failure.retry_after>`. None if none of them
        asks for any.
        """
        return max([error.retry_after or 0 for error in self.errors] or [0]) or None

    def _by_token(self, pairs):
        # type: (List[Tuple[int, Any]]) -> Dict[Any, Any]
        """Return the second of each pair by the token whose index the first is."""
        tokens = self._tokens_at([index for index, _ in pairs])
        return dict((_as_key(token), value) for token, (_, value) in zip(tokens, pairs))

    def _tokens_at(self, indices):
        # type: (Sequence[int]) -> List[Any]
        tokens = self.message.tokens if indices else []
        return [tokens[index] for index in indices]

    def __repr__(self):
        # type: () -> str
        tokens, outcomes = getattr(self.message, "tokens", []), self._outcomes
        total = len(tokens) if isinstance(tokens, list) else 0
        failed, retried = outcomes.count_failures(), len(outcomes.retried())
        undelivered = len(outcomes.undelivered())
        return ("<%s: %d of %d tokens accepted, %d failed, %d to retry, %d undelivered, errors %r>"
                % (type(self).__name__, total - failed - retried - undelivered, total, failed,
                   retried, undelivered, outcomes.errors()))


def _as_key(token):
    # type: (Any) -> Any
    """Return a token as a key of a dict; garbage that cannot be one is represented."""
    try:
        hash(token)
    except TypeError:
        return repr(token)
    return token
