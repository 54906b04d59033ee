"""``apns simulator``: Apple's servers, for trying a program out by hand or by script."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import errno
import os
import socket

from six.moves import shlex_quote

from .._compat import MYPY
from .._extras import installation
from . import _options
from ._console import NO_CONNECTION, OUTPUT_FAILED, SUCCESS, USAGE, Failure, one_line
from ._simulator_files import Files, directory_of, lock_of
from ._stop import Stop
from ._web import add_web_arguments, open_web_server

if MYPY:
    from typing import Any, Dict, Iterator, Optional, Tuple

    from ._arrivals import Arrivals
    from ._console import Console
    from ._record_file import RecordFile

#: The services: their name in the output, in options and in the simulator, and what they are.
_SERVICES = (
    ("gateway", "gateway of the binary protocol"),
    ("feedback", "feedback service of the binary protocol"),
    ("provider", "provider API over HTTP/2"),
    ("channels", "channel management over HTTP/2"),
)

#: Shown in place of a service over HTTP/2 that cannot run.
_NOT_INSTALLED = "needs more packages: " + installation("testing")

_DESCRIPTION = """\
Runs a simulator of Apple's servers on this machine until SIGINT (Ctrl-C) or SIGTERM: the gateway of
the binary protocol and its feedback service, and over HTTP/2 the provider API and the management of
broadcast channels. Prints commands that send to it, and a line for each notification that arrives.

An authority (ca.pem, and its key in ca-key.pem), a client certificate (client.pem) and a key for
provider tokens (key.p8) are created at the first start, and used again at the next ones.
"""
_EPILOG = """\
output:
  the addresses and files; a line for each notification, with time, protocol, beginning of the
  token, topic, push type ("-" if there is none) and response, and one for each other request, such
  as those about channels, with method, path and response; at the end a summary.
  With --json each line is an object, with "event": "ready" when clients can connect,
  "notification", "request" or "summary". The simulator keeps running if the output is not read any
  more.

exit status:
  0    it was ended by a signal
  2    wrong usage, or a file that cannot be used or written
  3    it cannot listen at that address
  4    the output or the record could not be written
  141  the reader of the output has gone away

examples:
    apns simulator --directory certs --gateway-port 2195 --bad 5f1c...=8
    apns simulator --directory certs --provider-port 2197 \\
        --bad 5f1c...=DeviceTokenNotForTopic
"""


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "simulator", help="run a gateway to test against", description=_DESCRIPTION,
        epilog=_EPILOG)
    parser.add_argument("--host", default="127.0.0.1",
                        help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--name", metavar="NAME", action="append", default=[], dest="names",
                        help="a host name or address by which others reach it, besides localhost "
                             "and --host: certificate and page are for it; may be given many times")
    for name, what in _SERVICES:
        parser.add_argument("--%s-port" % name, metavar="PORT", type=_options.port, default=0,
                            help="port of the %s (default: a free one)" % what)
    places = parser.add_mutually_exclusive_group()
    places.add_argument("--directory", metavar="DIR",
                        help="keep authority, certificate and key there from one start to the next "
                             "(default: apnsclient/simulator in $XDG_DATA_HOME, or in "
                             "~/.local/share)")
    places.add_argument("--temporary", action="store_true",
                        help="keep them in a temporary directory that is removed at the end")
    parser.add_argument("--record", metavar="FILE",
                        help="append each notification that is accepted to this file, one JSON "
                             "object a line")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--quiet", action="store_true", help="no line for each notification")
    add_web_arguments(parser)
    _add_device_arguments(parser)
    _add_script_arguments(parser)
    _add_error_arguments(parser)
    parser.set_defaults(run=run)


def _add_device_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    devices = parser.add_argument_group("devices")
    devices.add_argument("--strict", action="store_true",
                         help="reject every token that no --device names")
    devices.add_argument("--device", metavar="TOKEN", action="append", default=[],
                         help="a device that exists; may be given many times")
    devices.add_argument(
        "--bad", metavar="TOKEN[=STATUS]", action="append", default=[], type=_bad,
        help="reject this token: the gateway with this status (default: 8, invalid token), the "
             "provider API with BadDeviceToken, or with the reason that is given in place of the "
             "status; may be given many times")
    devices.add_argument("--uninstalled", metavar="TOKEN", action="append", default=[],
                         help="put this token on the feedback list, and have the provider API "
                              "respond with Unregistered; may be given many times")


def _add_script_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    script = parser.add_argument_group(
        "misbehaviour", "on every connection to the gateway and the provider API")
    count = _options.number_from(0)
    script.add_argument("--delay", metavar="SECONDS", type=_options.pause, default=0.0,
                        help="wait before each error frame, and each response over HTTP/2 "
                             "(default: 0)")
    endings = script.add_mutually_exclusive_group()
    for name, what in (
            ("close", "close without an error frame, or GOAWAY"),
            ("stall", "stop reading, and keep the connection open"),
            ("reset", "reset the connection"),
            ("garbage", "respond with bytes that are not a frame, and close"),
            ("shutdown", "respond with status 10, shutdown, or GOAWAY, and close")):
        endings.add_argument("--%s-after" % name, metavar="NUMBER", type=count,
                             help="%s, after this many accepted notifications, or requests"
                                  % what)


def _add_error_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    errors = parser.add_argument_group(
        "throttling",
        "on every connection to the provider API; errors are responses 4XX except 410")
    errors.add_argument("--throttle", action="store_true",
                        help="after a notification that is rejected allow one stream only, and "
                             "refuse others, until one is accepted")
    errors.add_argument("--limit-after-errors", metavar="NUMBER=STREAMS", action="append",
                        default=[], type=_limit,
                        help="lower the limit of streams after this many errors; may be given many "
                             "times")
    for name, what in (("errors", "errors"), ("bad-tokens", "BadDeviceToken")):
        errors.add_argument("--goaway-after-" + name, metavar="NUMBER",
                            type=_options.number_from(1),
                            help="send GOAWAY and close after this many " + what)
    errors.add_argument("--one-app", action="store_true",
                        help="accept pushes only for the application of the first one")


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run until a signal arrives, and return the exit status."""
    _check_ports(arguments)
    # Only now: the simulator takes long to import.
    from ._arrivals import Arrivals
    from ._record_file import RecordFile

    with directory_of(arguments.directory, arguments.temporary) as directory, Stop() as stop:
        arrivals = Arrivals(console, stop.wake, arguments.json, not arguments.quiet)
        with RecordFile(arguments.record) as record:
            with lock_of(directory):
                files = Files(directory)
                apns = _new_simulator(arguments, files, record, arrivals)
                files.save(apns)
            _start(arguments, apns)
            try:
                with open_web_server(arguments, apns, console) as page:
                    _announce(apns, files, page, arguments.json, console)
                    page_url = apns.page_url
                    while not stop.wait():
                        arrivals.show(page_url)
            finally:
                apns.stop()
        arrivals.show(page_url)
        arrivals.raise_failure()
        _summarise(apns, arguments.json, console)
    if record.error is not None:
        raise Failure("cannot write the record: %s" % record.error, OUTPUT_FAILED)
    return SUCCESS


def _start(arguments, apns):
    # type: (argparse.Namespace, Any) -> None
    try:
        apns.start()
    except EnvironmentError as error:
        raise Failure("cannot listen at %s: %s%s" % (
            arguments.host, _find_taken_port(arguments), one_line(error)), NO_CONNECTION)


def _check_ports(arguments):
    # type: (argparse.Namespace) -> None
    """Raise Failure if two services have the same port."""
    seen = {}  # type: Dict[int, str]
    for name, _ in _SERVICES:
        port = getattr(arguments, name + "_port")
        if port in seen:
            raise Failure("--%s-port and --%s-port are both %d" % (seen[port], name, port), USAGE)
        if port:
            seen[port] = name


def _find_taken_port(arguments):
    # type: (argparse.Namespace) -> str
    """Return which of the ports is in use, as a part of a message; empty if none is."""
    for name, _ in _SERVICES:
        port = getattr(arguments, name + "_port")
        if port and _is_taken(arguments.host, port):
            return "port %d (--%s-port): " % (port, name)
    return ""


def _is_taken(host, port):
    # type: (str, int) -> bool
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)[0]
        with contextlib.closing(socket.socket(family, kind)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except EnvironmentError as error:
        return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def _new_simulator(arguments, files, record, arrivals):
    # type: (argparse.Namespace, Files, RecordFile, Arrivals) -> Any
    """Return the simulator that the arguments describe, not started yet."""
    from ..testing.simulator import Journal, ProviderScript, Script, Simulator

    options = dict((name, getattr(arguments, name)) for name in (
        "delay", "close_after", "stall_after", "reset_after", "garbage_after"))
    goaway = dict(options, goaway_after=arguments.shutdown_after, goaway_reason=None
                  if arguments.shutdown_after is None else "Shutdown")
    errors = dict((name, getattr(arguments, name)) for name in (
        "throttle", "limit_after_errors", "goaway_after_errors", "goaway_after_bad_tokens",
        "one_app"))
    try:
        apns = Simulator(
            # It may run for days, so that nothing is kept in memory for nobody.
            record=Journal(arguments.keep, arguments.keep_megabytes << 20)
            if arguments.web else False, observers=[arrivals, record],
            authority=files.authority, key_string=files.key_string, names=arguments.names,
            strict=arguments.strict, host=arguments.host,
            script=Script(shutdown_after=arguments.shutdown_after, **options),
            provider_script=ProviderScript(**dict(goaway, **errors)),
            **dict((name + "_port", getattr(arguments, name + "_port")) for name, _ in _SERVICES))
        apns.devices.add(*arguments.device)
        for token, options in arguments.bad:
            apns.devices.bad(token, **options)
        for token in arguments.uninstalled:
            apns.devices.uninstall(token)
    except ValueError as error:
        raise Failure(one_line(error), USAGE)
    return apns


def _addresses(apns):
    # type: (Any) -> Iterator[Tuple[str, Optional[str]]]
    """Yield name and address of each service; the address is None if it needs a missing library."""
    for name, _ in _SERVICES:
        try:
            host, port = getattr(apns, name + "_address")
        except ImportError:
            yield name, None
        else:
            yield name, "%s:%d" % (("[%s]" if ":" in host else "%s") % host, port)


def _announce(apns, files, page, as_json, console):
    # type: (Any, Files, Optional[str], bool, Console) -> None
    addresses = dict(_addresses(apns))
    if as_json:
        console.document(dict(
            addresses, event="ready", page=page, ca_file=files.ca, cert_file=files.client,
            key_file=files.key, key_id=apns.key_id, team_id=apns.team_id, pid=os.getpid()))
        console.flush()
        return
    for name, what in _SERVICES:
        console.line("%-9s %-21s  %s" % (
            name, addresses[name] or "-", what if addresses[name] else _NOT_INSTALLED))
    for title, name in (("authority", files.ca), ("client", files.client), ("key", files.key)):
        console.line("%-9s %s" % (title, name))
    console.line("%-9s %s of team %s" % ("key id", apns.key_id, apns.team_id))
    if page is not None:
        console.line("%-9s %s" % ("page", page))
    console.line()
    _show_commands(apns, addresses, files, console)
    console.line()
    console.line("Ctrl-C ends it.")
    console.flush()


def _show_commands(apns, addresses, files, console):
    # type: (Any, Dict[str, Optional[str]], Files, Console) -> None
    trust = "--ca-file %s" % shlex_quote(files.ca)
    credential = "%s --cert %s" % (trust, shlex_quote(files.client))
    message = "--alert Hello %s" % ("5f" * 32)
    console.line("Send to it, and read the feedback service, with:")
    console.line("  apns send --address %s %s %s" % (addresses["gateway"], credential, message))
    console.line("  apns feedback --address %s %s" % (addresses["feedback"], credential))
    if addresses["provider"] is None:
        return
    console.line("The same over HTTP/2, with the certificate, and with a provider token:")
    console.line("  apns send --http2 --address %s %s %s"
                 % (addresses["provider"], credential, message))
    console.line("  apns send --address %s %s --key-id %s --team-id %s --key %s --topic "
                 "com.example.app %s" % (addresses["provider"], trust, apns.key_id, apns.team_id,
                                         shlex_quote(files.key), message))


def _summarise(apns, as_json, console):
    # type: (Any, bool, Console) -> None
    if as_json:
        console.document({
            "event": "summary", "accepted": apns.accepted_count, "errors": apns.error_count,
            "connections": apns.connections, "provider_connections": apns.provider_connections,
            "channel_connections": apns.channel_connections, "resumed": apns.resumed,
            "refused": apns.refused, "feedback_connections": apns.feedback_connections,
            "feedback_rows": apns.feedback_count})
        return
    console.line("%d notifications accepted, %d error frames and responses, %d connections to the "
                 "gateway, %d over HTTP/2 (%d resumed, %d refused)"
                 % (apns.accepted_count, apns.error_count, apns.connections,
                    apns.provider_connections + apns.channel_connections, apns.resumed,
                    apns.refused))
    console.line("%d feedback rows read on %d connections"
                 % (apns.feedback_count, apns.feedback_connections))


def _bad(value):
    # type: (str) -> Tuple[str, Dict[str, Any]]
    """Argument type: ``TOKEN``, ``TOKEN=STATUS`` or ``TOKEN=Reason``."""
    token, separator, what = value.partition("=")
    if not separator:
        return token, {}
    if what[:1].isupper():
        return token, {"reason": what}
    if not what.isdigit():
        raise argparse.ArgumentTypeError(
            "%r is neither a status from 0 to 255 nor a reason such as BadDeviceToken" % what)
    return token, {"status": int(what)}


def _limit(value):
    # type: (str) -> Tuple[int, int]
    """Argument type: ``NUMBER=STREAMS``."""
    number, _, streams = value.partition("=")
    return _options.number_from(1)(number), _options.number_from(0)(streams)
