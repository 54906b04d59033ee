"""Sends a notification that came to the simulator on to a real device, by way of Apple.

Off unless somebody gives a key and a list of tokens: a test that pushes to customers' tokens must
not reach them because of a click.
"""

import re
import threading
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple, Union

from ...apns import APNs, Message
from ...errors import APNsError
from ...feedback_store import MemoryStore
from ...outcomes import Failure
from ...protocols.http2.requests import HeaderFields, RequestTemplate
from ...transport import Session
from ..simulator import Exchange

__all__ = ["NotReleasable", "Releaser"]

#: How many results are kept, the last ones.
_KEPT = 1000

_is_printable = re.compile(r"[ -~]*\Z").match


class NotReleasable(ValueError):
    """A notification that must not, or cannot, be sent on; the text says why."""


class _Caught(Message):
    """A message with the header fields of a notification, as they are.

    :param token: device token in hexadecimal.
    :param payload: the payload.
    :param headers: pairs of name and value; those of others than APNs are left out.
    :raises ValueError: if a value has characters that no header has.
    """

    def __init__(self, token: str, payload: bytes, headers: Sequence[Tuple[str, str]]) -> None:
        super().__init__([token], payload=payload)
        fields: List[Tuple[bytes, bytes, bool]] = []
        for name, value in headers:
            if name.startswith("apns-") and name != "apns-id":
                if not _is_printable(name + value):
                    raise ValueError("the header field %r cannot be sent" % name)
                fields.append((name.encode("ascii"), value.encode("ascii"), True))
        self._caught_fields = HeaderFields(fields)

    def request_template(self, default_topic: Optional[str] = None, warn: Any = None,
                         payload: Optional[bytes] = None) -> RequestTemplate:
        """Return what its request has; see the base class."""
        return RequestTemplate(
            self._caught_fields, self.get_json_payload() if payload is None else payload, None)


class Releaser:
    """Sends notifications on. May be used from many threads, which take turns.

    :param key_string: key for provider tokens, as in Apple's .p8 files (PEM text).
    :param key_id: identifier of that key.
    :param team_id: identifier of its team.
    :param tokens: the only device tokens that anything is sent to, in hexadecimal.
    :param address: where to: ``push_sandbox``, ``push_production`` or ``(host, port)``.
    :param ca_string: authorities that the server is verified with (PEM text); None for the
        system's.
    :raises ValueError: if there is no token, or the key cannot be used.
    """

    def __init__(self, key_string: str, key_id: str, team_id: str, tokens: Iterable[str],
                 address: Union[str, Tuple[str, int]] = "push_sandbox",
                 ca_string: Optional[str] = None) -> None:
        self._tokens: FrozenSet[str] = frozenset(token.lower() for token in tokens)
        if not self._tokens:
            raise ValueError("there is no token to release to; expected at least one")
        options: Dict[str, Any] = {} if ca_string is None else {"ca_string": ca_string}
        self._session = Session(protocol="http2", feedback_store=MemoryStore(), **options)
        self._apns = APNs(self._session.get_connection(
            address, key_string=key_string, key_id=key_id, team_id=team_id))
        self._lock = threading.Lock()
        self._results: Dict[Tuple[int, float], Dict[str, Any]] = {}

    def result_of(self, exchange: Exchange) -> Optional[Dict[str, Any]]:
        """Return what became of a notification that was sent on last, None if it was not."""
        return self._results.get(_key(exchange))

    def is_allowed(self, exchange: Exchange) -> bool:
        """Return True if a notification is to a device that may be sent to, and can be sent on."""
        try:
            self._message_of(exchange)
        except NotReleasable:
            return False
        return True

    def release(self, exchange: Exchange) -> Dict[str, Any]:
        """Send a notification on, and return what became of it.

        Payload and header fields are those that it came with, right or wrong: what a client left
        out is left out. The identifier alone is a new one, Apple's.

        :return: ``outcome`` (``accepted``, ``rejected``, or ``failed`` if Apple did not respond),
            ``status``, ``reason`` and ``message``, the latter three None where there is none.
        :raises ValueError: if it must not, or cannot, be sent on (``NotReleasable``).
        """
        message = self._message_of(exchange)
        with self._lock:
            result = self._send(message)
            self._results[_key(exchange)] = result
            while len(self._results) > _KEPT:
                del self._results[next(iter(self._results))]
        return result

    def close(self) -> None:
        """Close the connection to Apple. Releasing again opens another one."""
        self._session.shutdown()

    def _message_of(self, exchange: Exchange) -> Message:
        if exchange.kind != "notification":
            raise NotReleasable("only notifications can be released, and this is a %s"
                                % exchange.kind)
        if exchange.token is None or exchange.token.lower() not in self._tokens:
            raise NotReleasable("its device token is not on the list of those that may be "
                                "released to; see --release-token")
        if exchange.topic is None:
            raise NotReleasable("it has no topic, which a provider token needs")
        try:
            return _Caught(exchange.token, exchange.payload, exchange.headers)
        except ValueError as error:
            raise NotReleasable(str(error)) from None

    def _send(self, message: Message) -> Dict[str, Any]:
        try:
            result = self._apns.send(message)
        except (APNsError, OSError, ValueError) as error:
            return _document("failed", None, None, "%s: %s" % (type(error).__name__, error))
        failures = list(result.failed.values()) + list(result.errors)
        if failures:
            failure: Failure = failures[0]
            return _document("rejected", failure.status, failure.reason, failure[1])
        if result.unknown:
            return _document("failed", None, None, "there was no response; whether it was "
                                                   "delivered is not known")
        if result.needs_retry():
            return _document("failed", None, None, "it was not taken; release it again later")
        return _document("accepted", 200, None, None)


def _key(exchange: Exchange) -> Tuple[int, float]:
    """Return what tells an exchange from another one that has had its number."""
    return exchange.number, exchange.time


def _document(outcome: str, status: Optional[int], reason: Optional[str],
              message: Optional[str]) -> Dict[str, Any]:
    return {"outcome": outcome, "status": status, "reason": reason, "message": message}
