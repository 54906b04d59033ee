"""The result of sending a message: :class:`Result`, documented as part of :mod:`apnsclient.apns`.

A result is a value. It turns outcomes, which know tokens by their indices, into tokens of the
message. While the outcomes name no index, the message is not used: in a program's own tests it may
be any object.
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
    """The result of sending a message.

    Each token that is neither in :attr:`failed`, nor in what :meth:`retry` returns, nor in
    :attr:`undelivered`, was delivered to Apple, or to the gateway.

    :param message: the :class:`~apnsclient.apns.Message` that was sent.
    :param failure: ``(status code, index of the token)`` that a gateway reported (int or None for
        an IO failure, int), or None if it reported nothing.
    :param malformed: ``(index, code, explanation)`` of each token that cannot be put on the wire.
    :param unprocessed: True if no token of the message was processed, for whatever reason.
    :param outcomes: the outcomes of its tokens, instead of the three above
        (:class:`~apnsclient.outcomes.RequestOutcomes`, or ``FrameOutcomes`` of the same module).
    :param hint: see :attr:`hint` (str), or None.
    """

    #: ``{code: explanation}`` of what the binary protocol can report. HTTP/2 reports the same codes
    #: where they mean the same, and the HTTP status otherwise.
    ERROR_CODES = dict((code, reason.explanation) for code, reason in REASONS.items())

    #: What to check before anything is deleted (str), or None. It is there over HTTP/2, when at
    #: least ten tokens in a row, of this message and of those before it that the session sent to
    #: the same address with the same credential, were rejected with BadDeviceToken or
    #: DeviceTokenNotForTopic, while none was accepted or :attr:`gone`: the address may be the other
    #: environment, or the topic that of another app. The first one is also logged, as a warning.
    hint = None  # type: Optional[str]

    # What was read already.
    _failed = None  # type: Optional[Dict[Any, Failure]]
    _gone = None  # type: Optional[Dict[Any, datetime.datetime]]

    def __init__(self, message, failure=None, malformed=(), unprocessed=False, outcomes=None,
                 hint=None):
        # type: (Message, Optional[Tuple[Optional[int], int]], Sequence[Tuple[int, int, str]], bool, Union[FrameOutcomes, RequestOutcomes, None], Optional[str]) -> None  # noqa: E501
        self.message = message
        if hint is not None:
            self.hint = hint
        if outcomes is None:
            count = len(message.tokens) if failure is not None or malformed or unprocessed else 0
            outcomes = FrameOutcomes(count, failure, malformed, unprocessed)
        self._outcomes = outcomes

    @property
    def outcomes(self):
        # type: () -> Union[FrameOutcomes, RequestOutcomes]
        """The outcomes by the indices of tokens; the argument."""
        return self._outcomes

    @property
    def failed(self):
        # type: () -> Dict[Any, Failure]
        """``{token: (code, explanation)}`` of the tokens that were rejected because of themselves.

        They would be rejected again, but are not necessarily dead: delete those in :attr:`gone`.
        Tokens are as the message has them. A token that the message has several times is here if it
        failed once. The values are :class:`~apnsclient.outcomes.Failure`.

        The binary protocol: the codes are 2, 5 and 8. The gateway reports at most one token; the
        others here are those that could not be put on the wire. HTTP/2: all that were rejected. The
        codes are 2 and 8, and 410 for an unknown reason.
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

        These are the tokens of :attr:`failed` whose response had status 410 and the time. The
        others may be valid in the other environment, for example, or for another topic. Empty over
        the binary protocol, where :meth:`~apnsclient.apns.APNs.feedback` reports the dead tokens.
        """
        if self._gone is None:
            self._gone = dict((token, datetime.datetime.fromtimestamp(failure.timestamp or 0))
                              for token, failure in self.failed.items() if failure.is_gone)
        return self._gone

    @property
    def errors(self):
        # type: () -> List[Failure]
        """``[(code, explanation)]`` of what went wrong other than because of a token.

        The values are :class:`~apnsclient.outcomes.Failure`. The codes are 1, 3, 4, 6, 7, and None
        if the connection failed or the gateway sent something that Apple does not document. HTTP/2
        adds 10 and HTTP statuses.

        The binary protocol: at most one. HTTP/2: each error once, in the order of the responses.
        """
        return self._outcomes.errors()

    @property
    def apns_ids(self):
        # type: () -> Dict[Any, str]
        """``{token: identifier}`` of the tokens that were accepted, in lower case.

        Apple's ``apns-id``: the one that the message has, or one of Apple's. It is kept over HTTP/2
        by a :class:`~apnsclient.transport.Session` with ``keep_ids=True``, and decoded when it is
        read; otherwise there are none. Tokens are as the message has them.
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

        The binary protocol: after an error about the message itself (codes 3, 4, 6 and 7) the token
        that the gateway reported and those after it, except those in :attr:`failed`. HTTP/2: the
        tokens whose requests were rejected for a reason that is not the token, and all that were
        not sent any more because that reason is about the message, or about the certificate or
        provider token (status 403).
        """
        return self._tokens_at(self._outcomes.undelivered())

    @property
    def unknown(self):
        # type: () -> List[Any]
        """The tokens of :meth:`retry` that may have got the message already (list).

        They were written, and there was no response. If they are sent again, some devices get the
        message twice; if not, some do not get it.
        """
        return self._tokens_at(self._outcomes.unknown())

    def needs_retry(self):
        # type: () -> bool
        """Return True if there are tokens to be sent again.

        After a shutdown of the gateway (code 10) there may be some although :attr:`failed` and
        :attr:`errors` are empty. Over HTTP/2 there may be some, too, if no new connection could be
        opened for what was not processed.
        """
        return len(self._outcomes.retried()) > 0

    def retry(self):
        # type: () -> Optional[Message]
        """Return the message for the tokens that are to be sent again, or None if there are none.

        It may be sent at once, unless :attr:`retry_after` says how long to wait. It has every token
        that is not known to be delivered, so that some may get the message twice: after an IO
        failure of the binary protocol, and over HTTP/2 those whose requests were written and had no
        response.
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

        The longest of the times in :attr:`errors`, see
        :attr:`Failure.retry_after <apnsclient.outcomes.Failure.retry_after>`. None if there is
        none.
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
    """Return a token as a key of a dict, or its ``repr()`` if it cannot be one."""
    try:
        hash(token)
    except TypeError:
        return repr(token)
    return token
