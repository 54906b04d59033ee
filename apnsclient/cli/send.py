"""``apns send``: one message to many devices."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import io
import os
import sys
import time

from .._compat import MYPY, monotonic
from .._json import decode_json, encode_json
from . import _options, _outcome, _session
from ._console import NO_CONNECTION, USAGE, Failure, one_line, open_progress
from ._delivery import Delivery
from ._explain import explain
from ._tokens import TokenSource

if MYPY:
    from typing import Any, Dict, Iterator, List, Tuple

    from ._console import Console

#: Numbers from here up are taken for a time; smaller ones for seconds from now. As seconds these
#: are 31 years, as a time the year 2001.
_FIRST_TIMESTAMP = 10 ** 9

#: Headers of HTTP/2: the option, and the argument of the message.
_HEADERS = (("--topic", "apns_topic"), ("--push-type", "apns_push_type"),
            ("--collapse-id", "apns_collapse_id"), ("--apns-id", "apns_id"))

_DESCRIPTION = """\
Send one message to many devices, report which tokens were rejected and why, and send again what the
gateway discarded.
"""
_EPILOG = """\
tokens:
  hexadecimal, from the arguments, then from --tokens-file, one a line; blank lines and lines that
  start with # are skipped. "-" in place of a token or a file is standard input, which is also read
  when no token is given and it is not a terminal. A token that is malformed is reported as failed;
  all the others are sent.

output:
  a summary, and one line for each token that was not accepted: what became of it (failed,
  not-sent, unknown), token, status code and reason, with tabs between them (a terminal is shown the
  first {rows}). With --json one document:
    {{"accepted": 2, "error": null,
     "failed": [{{"code": 8, "reason": ..., "token": ...}}],
     "hint": null, "interrupted": false,
     "not_sent": [{{"code": null, "reason": ..., "token": ...}}],
     "read_to_end": true, "resent": 0, "seconds": 3.1, "status": 1,
     "tokens": 3, "unknown": [token, ...]}}
  After wrong usage, or with an unusable credential, it has only error and status. Over HTTP/2 the
  rows of failed also have Apple's reason and since when, in seconds since 1970:
    {{"apns_id": ..., "apns_reason": "Unregistered", "gone": true,
     "status": 410, "timestamp": 1760000000, ...}}
  failed: rejected. Delete a token only if the row says since when it has been dead ("gone" with
  --json), and the device has not registered it again since; any other may be valid in the other
  environment or for another topic. If all are rejected like that, a hint says so. not_sent: may be
  sent again; with a code (3, 4, 6, 7, or 400 and above) it would be rejected again, so correct that
  first. If the server asks for a wait of minutes, as Apple does after an error of its own (5XX),
  the reason says so. unknown: written, but the command was interrupted before the outcome was
  known; or, over HTTP/2, there was no response.

exit status:
  0    every token was accepted
  1    at least one token was not
  2    wrong usage: arguments, a message that cannot be made, tokens, a payload or a feedback store
       that cannot be read
  3    no connection, or the certificate, key, passphrase, provider token or authorities cannot be
       read or used; nothing was sent
  4    the output could not be written
  130  interrupted (Ctrl-C once: stop and wait for the responses; twice: stop at once)
  141  the reader of the output has gone away

examples:
    apns send --address gateway.example.com:2195 --cert push.pem \\
        --alert "Dinner is ready" 5f1c...
    apns send --address gateway.example.com:2195 --cert push.pem \\
        --payload-file news.json - < tokens
    apns send --address push_production --key key.p8 \\
        --key-id ABC123DEFG --team-id DEF123GHIJ --topic com.example.app \\
        --alert "Dinner is ready" --feedback-store gone.db - < tokens
""".format(rows=_outcome.ROWS_ON_TERMINAL)


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "send", help="send one message to many devices", description=_DESCRIPTION, epilog=_EPILOG,
        usage="%(prog)s --address HOST:PORT [OPTION ...] [TOKEN ...]")
    parser.add_argument("tokens", metavar="TOKEN", nargs="*", type=_options.text,
                        help='device token; "-" reads standard input')
    parser.add_argument("--tokens-file", metavar="FILE", help="file with one token a line")
    _session.add_connection_arguments(parser, ["push_sandbox", "push_production"])
    _add_message_arguments(parser)
    _add_header_arguments(parser)
    _add_delivery_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--no-progress", action="store_true",
                        help="no progress bar, not even on a terminal")
    parser.set_defaults(run=run)


def _add_message_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    message = parser.add_argument_group("message")
    message.add_argument("--alert", metavar="TEXT", type=_options.text, help="text to show")
    message.add_argument("--badge", metavar="NUMBER", type=int, help="number on the app's icon")
    message.add_argument("--sound", metavar="NAME", type=_options.text, help="sound to play")
    message.add_argument("--content-available", action="store_const", const=1,
                         help="there is something to fetch in the background")
    message.add_argument(
        "--extra", metavar="KEY=VALUE", type=_pair, action="append", default=[],
        help="more to put into the payload; VALUE is JSON, or text where it is not JSON")
    message.add_argument(
        "--payload-file", metavar="FILE",
        help="JSON object that is the whole payload, sent byte for byte, in place of all the above")
    message.add_argument(
        "--expiry", metavar="WHEN", type=_expiry, default="86400",
        help="when the gateway may stop trying: seconds from now, or a Unix time (numbers from "
             "1000000000 up); 0: try once and do not store (default: 86400, one day)")
    message.add_argument("--priority", metavar="NUMBER", type=_options.number_from(0),
                         help="10: at once; 5: when it suits the device; 1, over HTTP/2: if it is "
                              "awake anyway (default: 10, and 5 for background over HTTP/2)")


def _add_header_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    header = parser.add_argument_group("message over HTTP/2")
    header.add_argument(
        "--topic", metavar="NAME",
        help="what the message is for, as a rule the app's bundle identifier (default: the one "
             "that the certificate is for; a provider token is for none, so that it is needed)")
    header.add_argument(
        "--push-type", metavar="NAME",
        help="alert, background, voip, ... (default: what the suffix of the topic stands for; "
             "without one, background if there is nothing to be shown but --content-available, "
             "else alert)")
    header.add_argument(
        "--collapse-id", metavar="ID",
        help="messages with the same one replace each other on the device")
    header.add_argument(
        "--apns-id", metavar="UUID",
        help="identifier of the message, the same for each token (default: Apple makes them)")


def _add_delivery_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    delivery = parser.add_argument_group("delivery")
    delivery.add_argument(
        "--retries", metavar="NUMBER", type=_options.number_from(0), default=5,
        help="how often in a row to try again after an attempt without any progress; as long as "
             "there is progress, what can be sent again is (default: 5)")
    delivery.add_argument(
        "--retry-delay", metavar="SECONDS", type=_options.pause, default=1.0,
        help="wait before the first of these; each further wait is twice as long (default: 1)")
    delivery.add_argument(
        "--slice", metavar="NUMBER", type=_options.number_from(1), default=5000,
        help="most tokens to read and send at a time (default: 5000)")
    delivery.add_argument(
        "--write-timeout", metavar="SECONDS", type=_options.seconds, default=20.0,
        help="longest wait for the server to take a block of data (default: 20)")
    delivery.add_argument(
        "--read-timeout", metavar="SECONDS", type=_options.seconds, default=20.0,
        help="over HTTP/2: longest wait for the response to a request (default: 20)")
    delivery.add_argument(
        "--tail-timeout", metavar="SECONDS", type=_options.seconds, default=3.0,
        help="how long the gateway has to be silent for that to count as success (default: 3). Not "
             "used over HTTP/2, where each request has a response")
    _session.add_feedback_store_argument(
        delivery, "over HTTP/2, keep the tokens that are dead (410) there, for apns feedback")


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Send, report the outcome of each token, and return the exit status."""
    started = monotonic()
    try:
        delivery, source = _deliver(arguments, console)
    except Failure as failure:
        if arguments.json:
            console.document({"error": one_line(failure), "status": failure.status})
        raise
    status = _outcome.exit_status(delivery, source)
    seconds = monotonic() - started
    if arguments.json:
        console.document(_outcome.document_of(delivery, source, arguments, status, seconds))
    elif status not in (USAGE, NO_CONNECTION):
        _outcome.summarise(delivery, source, arguments, console, seconds)
    if source.error is not None:
        raise Failure("cannot read the tokens: %s" % source.error, status)
    if status == NO_CONNECTION:
        raise Failure(_outcome.describe_rejection(delivery, arguments) if delivery.rejection
                      else delivery.error, status)
    return status


def _deliver(arguments, console):
    # type: (argparse.Namespace, Console) -> Tuple[Delivery, TokenSource]
    """Send to all tokens; return the delivery and the source of the tokens."""
    from ..apns import APNs
    _session.decide_protocol(
        arguments, [option for option, _ in _HEADERS] + ["--feedback-store"])
    parts = _message_parts(arguments)
    _new_message([], parts)
    credential = _session.credential(arguments, console)

    def correct(result):
        # type: (Any) -> None
        delivery.apply_late_result(result)

    connected = []  # type: List[bool]
    session = _session.new_session(
        arguments, on_connected=lambda: connected.append(True), write_buffer_size=16384,
        write_timeout=arguments.write_timeout, read_timeout=arguments.read_timeout,
        read_tail_timeout=arguments.tail_timeout, on_late_result=correct,
        feedback_store=_session.open_feedback_store(arguments))
    service = APNs(_session.connect(session.get_connection, arguments, credential))
    with _token_source(arguments) as source:
        progress = open_progress(console, not arguments.no_progress)
        delivery = Delivery(
            service.send_many, lambda tokens: _new_message(tokens, parts), source,
            slice_size=arguments.slice, retries=arguments.retries, pause=arguments.retry_delay,
            close=session.shutdown, progress=progress, notify=console.note,
            resends_unknown=arguments.protocol == "binary", is_connected=lambda: connected)
        try:
            delivery.run()
        except ValueError as error:  # The payload does not fit into a frame.
            raise Failure(one_line(error), USAGE)
        finally:
            progress.close()
    return delivery, source


def _message_parts(arguments):
    # type: (argparse.Namespace) -> Dict[str, Any]
    """Return the arguments of the message, apart from its tokens."""
    parts = {"expiry": arguments.expiry}
    given = {"alert": arguments.alert, "badge": arguments.badge, "sound": arguments.sound,
             "content_available": arguments.content_available}
    if arguments.extra:
        given["extra"] = dict(arguments.extra)
    if arguments.payload_file is not None:
        given["payload"] = _read_payload(arguments.payload_file)
        for name, value in given.items():
            if name != "payload" and value is not None:
                raise Failure("--payload-file has the whole payload; it does not go together with "
                              "--%s" % name.replace("_", "-"), USAGE)
    if all(value is None for value in given.values()):
        raise Failure("nothing to send: give --alert, --badge, --sound, --content-available, "
                      "--extra or --payload-file", USAGE)
    given["priority"] = arguments.priority
    given.update((name, getattr(arguments, option[2:].replace("-", "_")))
                 for option, name in _HEADERS)
    parts.update((name, value) for name, value in given.items() if value is not None)
    return parts


def _new_message(tokens, parts):
    # type: (List[str], Dict[str, Any]) -> Any
    from ..apns import Message
    try:
        return Message(tokens, **parts)
    except ValueError as error:
        raise Failure(explain(error), USAGE)


def _read_payload(name):
    # type: (str) -> bytes
    content = _options.as_utf8(_options.read_file(name, "the payload", USAGE))
    try:
        payload = decode_json(content)
        encode_json(payload)  # Python also reads NaN and infinity, which are not JSON.
    except ValueError as error:
        raise Failure("the payload %r is not JSON: %s" % (str(name), one_line(error)), USAGE)
    if not isinstance(payload, dict):
        raise Failure("the payload %r is JSON, but not an object" % str(name), USAGE)
    return content


@contextlib.contextmanager
def _token_source(arguments):
    # type: (argparse.Namespace) -> Iterator[TokenSource]
    """Open the source of the tokens.

    :raises Failure: if there are none, or the file cannot be read.
    """
    tokens = [token for token in arguments.tokens if token != "-"]
    name = arguments.tokens_file
    if len(tokens) < len(arguments.tokens):
        if name not in (None, "-"):
            raise Failure('"-" and --tokens-file cannot be given together', USAGE)
        name = "-"
    if name is None and not tokens:
        if sys.stdin is None or sys.stdin.isatty():
            raise Failure("no tokens: give them as arguments, with --tokens-file, or on standard "
                          "input", USAGE)
        name = "-"
    if name is None:
        yield TokenSource(tokens)
    elif name == "-":
        if sys.stdin is None:  # Python 3 was started with this descriptor closed.
            raise Failure("cannot read the tokens: standard input is closed", USAGE)
        yield TokenSource(tokens, getattr(sys.stdin, "buffer", sys.stdin))
    else:
        try:
            stream = io.open(name, "rb")
        except EnvironmentError as error:
            raise _options.unreadable(name, "the tokens in", error, USAGE)
        with stream:
            _check_is_text(stream, name)
            yield TokenSource(tokens, stream)


def _check_is_text(stream, name):
    # type: (Any, str) -> None
    """Raise Failure if a regular file is binary, so that it cannot be a list of tokens."""
    if not os.path.isfile(name):
        return
    try:
        start = stream.peek(4096)
    except EnvironmentError:
        return  # Reading it will fail as well, with the reason.
    if b"\0" in start:
        raise Failure("%r does not look like a list of tokens" % str(name), USAGE)


def _pair(value):
    # type: (str) -> Tuple[str, Any]
    """Argument type: ``KEY=VALUE``, the value being JSON or else text."""
    key, separator, content = _options.text(value).partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("%r is not KEY=VALUE" % value)
    if key == "aps":
        raise argparse.ArgumentTypeError("aps is Apple's part of the payload; give the whole "
                                         "payload with --payload-file")
    try:
        found = decode_json(content)
    except ValueError:
        return key, content
    try:
        encode_json(found)
    except ValueError as error:
        raise argparse.ArgumentTypeError("%r is not JSON: %s" % (value, one_line(error)))
    return key, found


def _expiry(value):
    # type: (str) -> int
    """Argument type: seconds from now, a Unix time, or 0."""
    number = _options.number_from(0)(value)
    return number if number == 0 or number >= _FIRST_TIMESTAMP else int(time.time()) + number
