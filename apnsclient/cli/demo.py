"""``apns demo``: a message to many devices, against a simulator in this process."""

from __future__ import absolute_import, division, print_function

import argparse
import hashlib
import time

from .._compat import MYPY, monotonic
from . import _options, _session
from ._console import INCOMPLETE, NO_CONNECTION, SUCCESS, Failure, one_line

if MYPY:
    from typing import Any, List

    from ._console import Console

_DESCRIPTION = """\
Shows what the package does, and needs nothing for it: starts a simulator of Apple's servers in this
process, pushes one message to some hundred devices over TLS, of which two are bad, one has a
malformed token and one has removed the app, sends again what was not processed, and reads the
feedback.

With --http2 it is the provider API, the protocol of Apple's servers today, with a provider token.
"""
_EPILOG = """\
exit status:
  0    each token was accepted or has failed
  1    some were not sent
  2    wrong usage
  3    no connection to the simulator
  4    the output could not be written
  130  interrupted
  141  whoever read the output has gone away
"""

#: How often a message is sent, at most: two devices are bad, and the gateway stops at each.
_ATTEMPTS = 5

#: What the notifications are for, over HTTP/2.
_TOPIC = "com.example.demo"


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "demo", help="show everything at once; needs nothing", description=_DESCRIPTION,
        epilog=_EPILOG)
    parser.add_argument("--tokens", metavar="NUMBER", type=_options.number_from(10), default=1000,
                        help="number of devices, 10 or more (default: 1000)")
    parser.add_argument("--http2", action="store_true",
                        help="show HTTP/2 instead of the binary protocol")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run the demonstration, and return the exit status."""
    from ..testing.simulator import Simulator
    started = monotonic()
    with Simulator() as apns:
        tokens = _make_devices(apns.devices, arguments.tokens)
        try:
            is_finished = _send(apns, tokens, arguments.http2, console)
        except _session.CONNECT_ERRORS + (ImportError,) as error:
            raise Failure(one_line(error), NO_CONNECTION)
        console.line()
        console.line("The simulator accepted %d notifications; %.1f s"
                     % (apns.accepted_count, monotonic() - started))
    console.line("Next: %sapns simulator, and apns send --help"
                 % ("" if arguments.http2 else "apns demo --http2, "))
    return SUCCESS if is_finished else INCOMPLETE


def _make_devices(devices, count):
    # type: (Any, int) -> List[str]
    """Return the tokens, of which a few are not good.

    The last one is bad: so nobody waits for the gateway's silence, which means success.
    """
    tokens = [hashlib.sha256(str(number).encode("ascii")).hexdigest() for number in range(count)]
    tokens[count // 2] = "not-hex-" + tokens[count // 2][8:]
    for place in (count // 4, count - 1):
        devices.bad(tokens[place])
    devices.uninstall(tokens[count * 3 // 4], int(time.time()) - 86400)
    return tokens


def _send(apns, tokens, is_http2, console):
    # type: (Any, List[str], bool, Console) -> bool
    """Send to all tokens and read the feedback; return True if none is left to be sent to."""
    from .. import APNs, Message, Session
    from ..feedback_store import MemoryStore
    message = Message(tokens, alert="Hello from apns-client", badge=1,
                      apns_topic=_TOPIC if is_http2 else None)
    session = Session(ca_string=apns.ca_string, protocol="http2" if is_http2 else "binary",
                      feedback_store=MemoryStore())
    if is_http2:
        address = apns.provider_address
        service = APNs(session.get_connection(address, **apns.token_parameters))
    else:
        address = apns.gateway_address
        service = APNs(session.get_connection(address, cert_string=apns.cert_string))
    console.line(console.styled("One message to %d devices" % len(tokens), "bold"))
    console.line("  to       %s:%d, a simulator of Apple's server, over TLS" % address)
    console.line("  payload  %s" % message.get_json_payload().decode("utf-8"))
    is_finished = _send_until_done(service, message, console)
    if not is_http2:
        service = APNs(session.new_connection(apns.feedback_address, cert_string=apns.cert_string))
    console.line()
    console.line(console.styled(
        "Feedback: delete these, unless they were registered again since", "bold"))
    for token, when in service.feedback():
        console.line("    %s    %s...  no longer has the app, since %s" % (
            console.styled("gone", "yellow"), token.decode("ascii")[:8],
            when.strftime("%Y-%m-%d %H:%M")))
    session.shutdown()
    return is_finished


def _send_until_done(service, message, console):
    # type: (Any, Any, Console) -> bool
    """Send a message, and again what was not processed; return True if nothing of it is left."""
    for _ in range(_ATTEMPTS):
        result = service.send(message)
        retry = result.retry()
        again = 0 if retry is None else len(retry.tokens)
        console.line("  %d tokens: %d accepted" % (
            len(message.tokens), len(message.tokens) - len(result.failed) - again))
        for token, (code, reason) in result.failed.items():
            console.line("    %s  %s...  %d %s" % (
                console.styled("failed", "red"), token[:8], code, reason))
        for _, reason in result.errors:
            console.line("    %s   %s" % (console.styled("error", "red"), reason))
        if retry is None:
            return not result.undelivered
        console.line("    %d were not processed and are sent again" % again)
        message = retry
    return False
