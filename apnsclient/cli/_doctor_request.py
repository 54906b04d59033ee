"""What ``apns doctor`` says about a token: one notification through the client, if it is wanted.

A token belongs to one of Apple's environments, and the other one rejects it with BadDeviceToken
(Apple, *Handling notification responses from APNs*). So the other one is asked as well then, which
delivers the notification if that is where the token belongs.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..addresses import ADDRESSES, environment_of
from ..apns import APNs, Message
from . import _session
from ._console import USAGE, Failure, one_line
from ._explain import explain, explain_parts
from ._finding import Check, failed, good, once, skipped
from ._outcome import ADVICE

if MYPY:
    import argparse
    from typing import Any, Dict, Optional, Tuple

    from ._doctor_network import Way
    from ._finding import Finding

__all__ = ["CHECKS", "Request"]

#: How many characters of a token are shown.
_SHOWN = 8

_OTHERS = {"sandbox": "production", "production": "sandbox"}

#: What to do about the reasons that concern one token, in terms of the options.
_TOKEN_ADVICE = {
    "BadDeviceToken": "take the token again from the app, whole and as hexadecimal digits; one of "
                      "the other environment is rejected like that, too: check --address",
    "DeviceTokenNotForTopic": "give in --topic the bundle identifier of the app that the token is "
                              "from, with the suffix of the push type",
    "ExpiredToken": "take the token again from the app",
    "Unregistered": "the app is no longer on that device: install it, and take a new token",
}


class Request(object):
    """One notification to the token of the arguments.

    :param way: the way to the server.
    :raises Failure: if the message cannot be made.
    """

    def __init__(self, way):
        # type: (Way) -> None
        self.way = way
        self.arguments = way.arguments
        self._parts = _message_parts(self.arguments)
        try:
            Message([], **self._parts)
        except ValueError as error:
            raise Failure(explain(error), USAGE)

    @property
    def shown(self):
        # type: () -> str
        """The beginning of the token."""
        token = self.arguments.token
        return token[:_SHOWN] + "..." if len(token) > 2 * _SHOWN else "(too short to be shown)"

    @property
    def environment(self):
        # type: () -> str
        """Apple's environment that the address belongs to, or ``"other"``."""
        address = self.arguments.address
        return environment_of(ADDRESSES.get(address, address))

    @once
    def outcome(self):
        # type: () -> Tuple[Optional[Any], Any]
        """What became of it; see :meth:`_send`."""
        return self._send(self.arguments.address)

    @once
    def elsewhere(self):
        # type: () -> Tuple[Optional[Any], Any]
        """What became of it in the other environment."""
        return self._send("push_" + _OTHERS[self.environment])

    def _send(self, address):
        # type: (Any) -> Tuple[Optional[Any], Any]
        """Return the failure or None, and the exception or None."""
        try:
            connection = self.way.session.value.get_connection(
                address, **(self.way.credential or {}))
            result = APNs(connection).send(Message([self.arguments.token], **self._parts))
        except _session.CONNECT_ERRORS + (ValueError,) as error:
            return None, error
        failures = list(result.failed.values()) + list(result.errors)
        return failures[0] if failures else None, None


def _message_parts(arguments):
    # type: (argparse.Namespace) -> Dict[str, Any]
    """Return the arguments of the message, apart from its token."""
    parts = {"expiry": 0}  # type: Dict[str, Any]
    if arguments.alert is None:
        parts["content_available"] = 1
    else:
        parts["alert"] = arguments.alert
    if arguments.topic is not None:
        parts["apns_topic"] = arguments.topic
    if arguments.push_type is not None:
        parts["apns_push_type"] = arguments.push_type
    return parts


def _request(request):
    # type: (Request) -> Finding
    if not request.way.has_credential:
        return skipped("there is no credential to send with")
    if not request.way.is_open:
        return skipped("the way to the server is not open")
    failure, problem = request.outcome
    if problem is not None:
        seen, remedy = explain_parts(problem, request.arguments)
        return failed(seen, remedy or "mend what the checks above say")
    if failure is None:
        kind = "an alert" if request.arguments.alert is not None else "a background notification"
        if request.arguments.protocol == "binary":
            return good("%s for %s: the gateway has no objection" % (kind, request.shown))
        return good("%s for %s was accepted%s" % (kind, request.shown, _where(request)))
    if failure[0] is None:
        return failed("no response for %s, which may have it or not: %s"
                      % (request.shown, one_line(failure[1])), "try again in some minutes")
    seen = "%s is rejected%s: %s" % (request.shown, _where(request), _describe(failure))
    return failed(seen, _advice_of(failure))


def _environment(request):
    # type: (Request) -> Optional[Finding]
    if not request.way.has_credential or not request.way.is_open:
        return skipped("no notification was sent")
    failure, problem = request.outcome
    here = request.environment
    if problem is not None:
        return skipped("there was no response")
    if here not in _OTHERS:
        return skipped("the address is not one of Apple's, which has two environments")
    if failure is None:
        return good("the token belongs to %s, as the address does" % here)
    if failure.reason != "BadDeviceToken":
        return skipped("the reason above says nothing about it")
    other = _OTHERS[here]
    failure, problem = request.elsewhere
    if problem is not None:
        return skipped("%s says BadDeviceToken, and %s could not be asked: %s"
                       % (here, other, one_line(problem)))
    if failure is None:
        return failed("the token belongs to %s, which has accepted it; %s does not know it"
                      % (other, here), _environment_advice(other))
    if failure.reason in ("DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"):
        return failed("the token belongs to %s, which says %s; %s does not know it"
                      % (other, failure.reason, here), _environment_advice(other))
    if failure.reason == "BadDeviceToken":
        return failed("the token belongs to neither environment", (
            "take the token again from the app, whole and as hexadecimal digits"))
    return skipped("%s says BadDeviceToken, and %s does not say: %s"
                   % (here, other, _describe(failure)))


def _environment_advice(other):
    # type: (str) -> str
    kind = "development builds of the app" if other == "sandbox" else "TestFlight and the App Store"
    return "give --address push_%s for it: that is where the tokens of %s belong" % (other, kind)


def _where(request):
    # type: (Request) -> str
    return " in %s" % request.environment if request.environment in _OTHERS else ""


def _describe(failure):
    # type: (Any) -> str
    code, explanation = failure
    if getattr(failure, "status", None) is None:
        return "%s, %s" % (code, explanation)
    return "%s, %s" % (failure.status, failure.reason)


def _advice_of(failure):
    # type: (Any) -> str
    name = getattr(failure, "reason", None)  # type: Any
    return _TOKEN_ADVICE.get(name) or ADVICE.get(name) or (
        "take the token again from the app, whole and as hexadecimal digits" if failure[0] in (2, 8)
        else "see the page on HTTP/2 for this reason; try again later if it is the server's")


#: The checks of a token, in order.
CHECKS = [
    Check("request", "notification", _request),
    Check("token_environment", "token", _environment),
]
