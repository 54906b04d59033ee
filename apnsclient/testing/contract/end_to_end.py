"""Rules of the whole: sessions over this back-end, against the simulator of Apple's side."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...apns import APNs, Message
from ...provider_token import ProviderToken
from ...transport import Session
from ..simulator import Simulator
from ._peer import HOST
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any, Callable, Dict, List, Tuple

    from ._stage import Stage

__all__ = ["EndToEndRules"]


class EndToEndRules(Rules):
    """What a program sees of the back-end."""

    @rule("network")
    def test_a_message_is_delivered(self, stage):
        # type: (Stage) -> None
        """Over the binary protocol: the bad token is reported, and all others get the message."""
        with Simulator() as apns:
            tokens = _tokens(1000)
            apns.devices.bad(tokens[300])
            with _Client(self, stage, apns, tail=stage.patience) as client:
                result = client.to(apns.gateway_address).send(Message(tokens, alert="Hello"))
                retry = result.retry()  # type: Any
            expect(list(result.failed) == [tokens[300]], "one token is bad, and %d failed: %r",
                   len(result.failed), result)
            with _Client(self, stage, apns) as client:
                result = client.to(apns.gateway_address).send(retry)
            expect(not result.needs_retry() and not result.failed, "the rest was not delivered: %r",
                   result)
            _expect_accepted(stage, apns, 999)

    @rule("network")
    def test_a_connection_that_died_is_replaced(self, stage):
        # type: (Stage) -> None
        """The gateway hung up while it was idle: the next message goes over another one."""
        with Simulator() as apns, _Client(self, stage, apns) as client:
            sender = client.to(apns.gateway_address)
            tokens = _tokens(2)
            sender.send(Message(tokens[:1], alert="One"))
            _expect_accepted(stage, apns, 1)
            apns.disconnect_all()
            result = sender.send(Message(tokens[1:], alert="Two"))
            expect(not result.errors, "the second message was not sent again: %r", result)
            _expect_accepted(stage, apns, 2)

    @rule("network")
    def test_feedback_is_read(self, stage):
        # type: (Stage) -> None
        """The feedback service speaks first, and ends the stream behind the last row."""
        with Simulator() as apns, _Client(self, stage, apns) as client:
            tokens = _tokens(500)
            for token in tokens:
                apns.devices.uninstall(token)
            rows = [token.decode("ascii")
                    for token, _ in client.to(apns.feedback_address, False).feedback()]
            expect(sorted(rows) == tokens, "500 tokens are to be reported, and %d were read",
                   len(rows))

    @rule("network", "alpn")
    def test_a_message_is_delivered_over_http2(self, stage):
        # type: (Stage) -> None
        """Each token has a response, with a certificate and with a provider token."""
        for is_token in (False, True):
            with Simulator() as apns:
                credential = ({"certificate": _provider_token(apns)} if is_token
                              else {"cert_string": apns.cert_string})
                tokens = _tokens(300)
                apns.devices.bad(tokens[100])
                with _Client(self, stage, apns, protocol="http2") as client:
                    result = client.to(apns.provider_address, True, **credential).send(
                        Message(tokens, alert="Hello", apns_topic="com.example.app"))
                expect(list(result.failed) == [tokens[100]] and not result.needs_retry(),
                       "one token is bad, and the result is %r", result)
                _expect_accepted(stage, apns, 299)


class _Client(object):
    """A session over the back-end that trusts a simulator; a context manager."""

    def __init__(self, case, stage, apns, protocol="binary", tail=SHORT):
        # type: (Any, Stage, Simulator, str, float) -> None
        self._credential = {"cert_string": apns.cert_string}
        backend = case.new_backend(**case.trusting(apns.ca_string))
        self._session = Session(
            backend, protocol=protocol, read_tail_timeout=tail, connect_timeout=stage.patience,
            write_timeout=stage.patience, read_timeout=stage.patience)

    def to(self, address, is_cached=True, **credential):
        # type: (Tuple[str, int], bool, **Any) -> APNs
        """Return a client of a service of the simulator."""
        get = (self._session.get_connection if is_cached
               else self._session.new_connection)  # type: Callable[..., Any]
        return APNs(get((HOST, address[1]), **(credential or self._credential)))

    def __enter__(self):
        # type: () -> _Client
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self._session.shutdown()


def _provider_token(apns):
    # type: (Simulator) -> ProviderToken
    arguments = apns.token_parameters  # type: Dict[str, Any]
    return ProviderToken(**arguments)


def _tokens(count):
    # type: (int) -> List[str]
    return ["%064x" % number for number in range(1, count + 1)]


def _expect_accepted(stage, apns, count):
    # type: (Stage, Simulator, int) -> None
    apns.wait_for(lambda: apns.accepted_count >= count, stage.patience)
    expect(apns.accepted_count == count, "the gateway accepted %d notifications, expected %d",
           apns.accepted_count, count)
