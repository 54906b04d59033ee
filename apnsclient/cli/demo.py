"""``apns demo``: everything at once, against a simulator in this process.

The demonstration proves what it shows. What the client reports of each token is compared with what
the simulator recorded, which knows nothing of the client; one difference and the command fails.
"""

from __future__ import absolute_import, division, print_function

import argparse

from .._compat import MYPY, monotonic
from . import _options, _session
from ._console import ALL_WELL, NO_CONNECTION, NOT_ALL, USAGE, Failure, one_line
from ._demo_check import Report, compare, failure_row
from ._demo_devices import Devices
from ._demo_screen import Screen, iso

if MYPY:
    from typing import Any, Dict, List, Optional

    from ._console import Console
    from ._demo_check import Check

_DESCRIPTION = """\
Shows what the package does, and needs nothing for it: starts a simulator of Apple's gateway in this
process, pushes one message to some thousand devices over TLS, of which a few are bad and one has
removed the app, sends again what the gateway threw away until nothing is left, and reads the
feedback service. Then compares what the client reported, token by token, with what the simulator
recorded.

With --http2 it is the provider API, the protocol of Apple's servers today: one half of the devices
with a certificate, the other one with a provider token. All tokens that are not good are told at
once then, nothing is thrown away, and the feedback comes from the answers.
"""
_EPILOG = """\
exit status:
  0    what the client reported of every token is what the simulator recorded
  1    it is not
  2    wrong usage
  3    no connection to the simulator
  4    the output could not be written
  130  interrupted
  141  whoever read the output has gone away
"""

#: How many attempts in a row may achieve nothing before the demonstration is given up.
_ATTEMPTS_IN_VAIN = 5

#: Longest wait for the simulator to have read what was written to it, in seconds.
RECORD_TIMEOUT = 10.0

#: What the notifications are for, over HTTP/2.
_TOPIC = "com.example.demo"


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "demo", help="show everything at once; needs nothing", description=_DESCRIPTION,
        epilog=_EPILOG)
    number = _options.number_from
    parser.add_argument("--tokens", metavar="NUMBER", type=number(1), default=5000,
                        help="number of devices (default: 5000)")
    parser.add_argument("--bad", metavar="NUMBER", type=number(0), default=3,
                        help="how many of them are refused (default: 3)")
    parser.add_argument("--malformed", metavar="NUMBER", type=number(0), default=2,
                        help="how many have a token that is not hexadecimal or has lost a digit, "
                             "and is never sent (default: 2)")
    parser.add_argument("--seed", metavar="NUMBER", type=number(0), default=1,
                        help="makes the same devices again (default: 1)")
    parser.add_argument(
        "--tail-timeout", metavar="SECONDS", type=_options.seconds, default=2.0,
        help="silence of the gateway that is taken for success (default: 2; towards Apple it is 3 "
             "or more, but this gateway is no further away than this process)")
    parser.add_argument("--http2", action="store_true",
                        help="show HTTP/2 instead of the binary protocol")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run the demonstration, and return the exit status."""
    if arguments.bad + arguments.malformed >= arguments.tokens:
        raise Failure("%d tokens are too few for %d bad and %d malformed ones and a good one"
                      % (arguments.tokens, arguments.bad, arguments.malformed), USAGE)
    from ..testing.simulator import Simulator
    started = monotonic()
    devices = Devices(arguments.tokens, arguments.bad, arguments.malformed, arguments.seed,
                      arguments.http2)
    screen = Screen(console, arguments.json, arguments.tail_timeout)
    with Simulator() as apns:
        devices.register(apns)
        demonstration = (_Http2 if arguments.http2 else _Binary)(apns, devices, screen)
        try:
            demonstration.run(arguments.tail_timeout)
        except _session.CONNECT_ERRORS + (ImportError,) as error:
            raise Failure(one_line(error), NO_CONNECTION)
        report = demonstration.report
        apns.wait_for(lambda: apns.accepted_count >= len(report.accepted), RECORD_TIMEOUT)
        checks = compare(devices, report, demonstration.message, apns)
        connections = apns.provider_connections if arguments.http2 else apns.connections
        screen.conclude(checks, report, connections, monotonic() - started, arguments.http2)
    agrees = not any(check.differences for check in checks)
    if arguments.json:
        console.document(_document(arguments, report, checks, monotonic() - started))
    return ALL_WELL if agrees else NOT_ALL


def _new_message(tokens, topic):
    # type: (List[str], Optional[str]) -> Any
    from ..apns import Message
    return Message(tokens, alert="Hello from apns-client", badge=1, apns_topic=topic)


def _new_service(connection):
    # type: (Any) -> Any
    from ..apns import APNs

    class Service(APNs):
        """Leaves the times of the feedback as they are."""

        def _datetime_from_timestamp(self, timestamp):
            # type: (int) -> Any
            return timestamp

    return Service(connection)


class _Demonstration(object):
    """What a program does that uses the package.

    :ivar report: :class:`Report` of what the client said.
    :ivar message: the message, to all devices.
    """

    def __init__(self, apns, devices, screen):
        # type: (Any, Devices, Screen) -> None
        self.report = Report()
        self.message = _new_message(devices.tokens, _TOPIC if devices.is_http2 else None)
        self._apns = apns
        self._devices = devices
        self._screen = screen

    def _introduce(self):
        # type: () -> None
        self._screen.introduce(self._apns, self._devices, self.message.get_json_payload())

    def _send(self, service, message):
        # type: (Any, Any) -> None
        """Send a message, and again what can be sent again, as long as that achieves anything."""
        in_vain = 0
        while message is not None and in_vain < _ATTEMPTS_IN_VAIN:
            result = service.send(message)
            retry = result.retry()
            attempt = self.report.add(message, result, retry)
            self._screen.show_attempt(len(self.report.attempts), attempt, self._devices.is_http2)
            in_vain = 0 if attempt["accepted"] or attempt["failed"] else in_vain + 1
            message = retry
        self.report.unresolved.extend(message.tokens if message is not None else ())

    def _read_feedback(self, services):
        # type: (List[Any]) -> None
        for service in services:
            self.report.feedback.extend(
                (token.decode("ascii"), when) for token, when in service.feedback())
        self._screen.show_feedback(self.report.feedback)


class _Binary(_Demonstration):
    """The gateway and the feedback service of the binary protocol."""

    def run(self, tail_timeout):
        # type: (float) -> None
        """Send, and read the feedback service."""
        from ..transport import Session
        apns = self._apns
        self._introduce()
        self._screen.head("Sending, and sending again what the gateway threw away")
        session = Session(ca_string=apns.ca_string, read_tail_timeout=tail_timeout)
        self._send(_new_service(session.get_connection(
            apns.gateway_address, cert_string=apns.cert_string)), self.message)
        session.shutdown()
        self._read_feedback([_new_service(session.new_connection(
            apns.feedback_address, cert_string=apns.cert_string))])


class _Http2(_Demonstration):
    """The provider API, with both credentials that it takes."""

    def run(self, tail_timeout):
        # type: (float) -> None
        """Send half of it with a certificate and half of it with a provider token."""
        from ..feedback_store import MemoryStore
        from ..transport import Session
        apns, tokens = self._apns, self._devices.tokens
        self._introduce()
        session = Session(ca_string=apns.ca_string, protocol="http2", feedback_store=MemoryStore())
        half = len(tokens) // 2
        services = []
        # The topic is in the certificate; with a provider token each message has to name it.
        for name, share, topic, credential in (
                ("a certificate", tokens[:half], None,
                 {"cert_string": apns.client_certificate(topic=_TOPIC)}),
                ("a provider token", tokens[half:], _TOPIC, apns.token_parameters)):
            self._screen.head("Sending to %d devices with %s" % (len(share), name))
            services.append(_new_service(session.get_connection(
                apns.provider_address, **credential)))
            self.report.credentials.append((name, share))
            self._send(services[-1], _new_message(share, topic))
        # Once more: each token is to be told once.
        self._read_feedback(services * 2)
        session.shutdown()


def _document(arguments, report, checks, seconds):
    # type: (argparse.Namespace, Report, List[Check], float) -> Dict[str, Any]
    return {
        "tokens": arguments.tokens,
        "seed": arguments.seed,
        "accepted": len(report.accepted),
        "protocol": "http2" if arguments.http2 else "binary",
        "failed": [failure_row(token, failure) for token, failure in report.failed.items()],
        "unresolved": report.unresolved,
        "feedback": [{"token": token, "time": iso(when), "timestamp": when}
                     for token, when in report.feedback],
        "attempts": report.attempts,
        "checks": [{"check": check.title, "differences": check.differences} for check in checks],
        "agrees": not any(check.differences for check in checks),
        "seconds": round(seconds, 3),
    }
