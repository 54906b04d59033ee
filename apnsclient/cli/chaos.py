"""``apns chaos``: a proxy that injects faults, between any client and any server."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
from collections import deque

from .._compat import MYPY
from . import _options
from ._chaos_options import add_plugin_arguments, import_chaos
from ._console import NO_CONNECTION, SUCCESS, USAGE, Failure, one_line
from ._stop import Stop

if MYPY:
    from typing import Any, Dict, Iterator, Tuple

    from ._console import Console

#: The values of options that neither the command line nor the configuration file has.
_DEFAULTS = {"proxy": "localhost:8000", "backend": "localhost:8888", "behavior": "",
             "protocol": "tcp", "timeout": "30"}

_DESCRIPTION = """\
Forwards TCP connections to a backend until SIGINT (Ctrl-C) or SIGTERM, and injects faults. A
behavior such as 20:delay,5:reset gives the percentage of connections for each handler; a handler is
picked at random for each connection when it is accepted, and the others are left alone. The same
seed gives the same faults again.

A handler can also be a class of yours, by its qualified name; it is also imported from the current
directory.
"""
_EPILOG = """\
output:
  the addresses and the seed; a line for each connection when it has ended, with its handler, its
  faults and the number of bytes; and at the end a summary. With --json each line is an object, with
  "event": "ready", "connection" or "summary".

exit status:
  0    it was ended by a signal
  2    wrong usage: an unknown handler, protocol or option, a malformed percentage or value, or a
       file that cannot be used
  3    it cannot listen at that address
  4    the output could not be written
  141  the reader of the output has gone away

examples:
    apns chaos --proxy localhost:8000 --backend localhost:2195 \\
        --behavior 20:delay --handler-delay-sleep 2
    apns chaos --config config.ini --seed 7
"""


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "chaos", help="run a proxy that injects faults", description=_DESCRIPTION, epilog=_EPILOG)
    parser.prepare = add_plugin_arguments
    parser.add_argument("--proxy", metavar="HOST:PORT",
                        help="where to listen; port 0 takes a free one (default: localhost:8000)")
    parser.add_argument("--backend", metavar="HOST:PORT",
                        help="where to forward connections to (default: localhost:8888)")
    parser.add_argument("--behavior", metavar="PERCENT:HANDLER[,...]",
                        help="percentage of connections for each handler; the rest are left alone "
                             "(default: all)")
    parser.add_argument("--config", metavar="FILE",
                        help="read an ini file; the command line overrides it")
    parser.add_argument("--protocol", metavar="NAME",
                        help="tcp, apns, http2, or the qualified name of a class that knows the "
                             "frames (default: tcp)")
    parser.add_argument("--seed", metavar="NUMBER",
                        help="seed of the random numbers (default: a new one each time)")
    parser.add_argument("--http", metavar="HOST:PORT",
                        help="serve the HTTP API there, on loopback (default: nowhere)")
    parser.add_argument("--timeout", metavar="SECONDS",
                        help="longest time for connecting, for a handler's read and for a write "
                             "without progress (default: 30)")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    _add_tls_arguments(parser)
    parser.set_defaults(run=run)


def _add_tls_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    group = parser.add_argument_group(
        "TLS", "with --tls-cert, TLS is terminated at the proxy on both sides")
    group.add_argument("--tls-cert", metavar="FILE",
                       help="certificate and key that clients see, in PEM format")
    group.add_argument("--client-cert", metavar="FILE",
                       help="certificate and key that the backend sees (default: none)")
    group.add_argument("--ca-file", metavar="FILE",
                       help="authorities that clients and the backend are verified with (default: "
                            "clients are not verified, the backend is with the system's)")


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run until a signal arrives, and return the exit status."""
    import_chaos()
    from ..testing.chaos.errors import ConfigurationError

    with Stop() as stop:
        ended = deque()  # type: Any

        def note(record):
            # type: (Any) -> None
            ended.append(record)
            stop.wake()

        try:
            proxy, api = _build(arguments, note)
        except ConfigurationError as error:
            raise Failure(one_line(error), USAGE)
        try:
            with _listening(proxy, "--proxy"):
                with _listening(api, "--http"):
                    _announce(proxy, api, arguments.json, console)
                    is_over = False
                    while not is_over:
                        is_over = stop.wait()
                        _report(ended, arguments.json, console)
        finally:
            proxy.stop()
        _report(ended, arguments.json, console)
        _summarise(proxy, arguments.json, console)
    return SUCCESS


@contextlib.contextmanager
def _listening(server, option):
    # type: (Any, str) -> Iterator[None]
    """Run the proxy or the HTTP API as long as the block runs; does nothing if it is None."""
    if server is None:
        yield
        return
    try:
        server.start()
    except (EnvironmentError, UnicodeError, OverflowError) as error:
        raise Failure("cannot listen at %s (%s): %s"
                      % (_display(server.address), option, one_line(error)), NO_CONNECTION)
    try:
        yield
    finally:
        server.stop()


def _build(arguments, note):
    # type: (argparse.Namespace, Any) -> Tuple[Any, Any]
    """Return the proxy and the HTTP API (or None), neither of them started."""
    from ..testing.chaos import ChaosProxy
    from ..testing.chaos.config import Configuration
    from ..testing.chaos.http_api import HttpApi
    from ..testing.chaos.protocols import Protocol
    from ..testing.chaos.settings import merge

    config = Configuration() if arguments.config is None else _read_configuration(arguments.config)
    values = dict(_DEFAULTS, **config.values)
    values.update((key, getattr(arguments, key.replace("-", "_"))) for key in (
        "proxy", "backend", "behavior", "protocol", "seed", "http", "timeout", "tls-cert",
        "client-cert", "ca-file") if getattr(arguments, key.replace("-", "_")) is not None)
    settings, protocols = config.handlers, config.protocols
    for found, given in ((settings, arguments.handler_options),
                         (protocols, arguments.protocol_options)):
        for name, option, value in given:
            found.setdefault(name, {})[option] = value
    for name, wanted in protocols.items():
        # Those that are not in use are checked too, like handlers.
        merge("protocol", name, Protocol.get(name), wanted)
    host, port = _convert("proxy", values["proxy"], _listen_address)
    seed = values.get("seed")
    proxy = ChaosProxy(
        _convert("backend", values["backend"], _backend_address), values["behavior"], settings,
        host=host, port=port, protocol=values["protocol"],
        protocol_settings=protocols.get(values["protocol"]),
        seed=None if seed is None else _convert("seed", seed, _options.number_from(0)),
        timeout=_convert("timeout", values["timeout"], _options.seconds), tls=_new_tls(values),
        aliases=config.aliases, record=1000, on_closed=note)
    if values.get("http") is None:
        return proxy, None
    return proxy, HttpApi(proxy, *_convert("http", values["http"], _listen_address))


def _read_configuration(name):
    # type: (str) -> Any
    from ..testing.chaos.config import read_configuration

    try:
        return read_configuration(name)
    except EnvironmentError:
        _options.read_file(name, "the configuration", USAGE)  # Raises the Failure for it.
        raise


def _convert(key, value, kind):
    # type: (str, str, Any) -> Any
    """Convert a value, which may be from the configuration file, by its argument type."""
    try:
        return kind(value)
    except argparse.ArgumentTypeError as error:
        raise Failure("%s: %s" % (key, error), USAGE)


def _listen_address(value):
    # type: (str) -> Tuple[str, int]
    """Argument type: where to listen; port 0 takes a free one."""
    return _backend_address(value, 0)


def _backend_address(value, lowest=1):
    # type: (str, int) -> Tuple[str, int]
    """Argument type: ``host:port``."""
    found = _options.address(value, lowest)
    if not isinstance(found, tuple):
        raise argparse.ArgumentTypeError("%r is not host:port" % value)
    return found


def _new_tls(values):
    # type: (Dict[str, str]) -> Any
    """Return the TLS settings from the files, or None if TLS is not terminated."""
    if values.get("tls-cert") is None:
        for key in ("client-cert", "ca-file"):
            if values.get(key) is not None:
                raise Failure("%s needs tls-cert, the certificate that clients see" % key, USAGE)
        return None
    from ..errors import CertificateError
    from ..testing.chaos.tls import ChaosTLS

    texts, names = {}, {}  # type: Dict[str, Any], Dict[str, str]
    for key, what, parameters in (("tls-cert", "the certificate", ("server",)),
                                  ("client-cert", "the certificate", ("client",)),
                                  ("ca-file", "the authorities",
                                   ("ca_string", "backend_ca_string"))):
        if values.get(key) is not None:
            text = _options.read_file(values[key], what, USAGE)
            name = "%s %r" % (key, str(values[key]))
            texts.update((parameter, text) for parameter in parameters)
            names.update((parameter, name) for parameter in parameters)
    try:
        return ChaosTLS(names=names, **texts)
    except (CertificateError, ValueError) as error:
        raise Failure(one_line(error), USAGE)


def _display(address):
    # type: (Tuple[str, int]) -> str
    host, port = address
    return "%s:%d" % (("[%s]" if ":" in host else "%s") % host, port)


def _announce(proxy, api, as_json, console):
    # type: (Any, Any, bool, Console) -> None
    http = None if api is None else "http://" + _display(api.address)
    if as_json:
        console.document({
            "event": "ready", "proxy": _display(proxy.address), "backend": _display(proxy.backend),
            "behavior": proxy.behavior, "seed": proxy.seed, "http": http})
    else:
        console.line("%-9s %s" % ("proxy", _display(proxy.address)))
        console.line("%-9s %s" % ("backend", _display(proxy.backend)))
        console.line("%-9s %s" % ("behavior", proxy.behavior or "none, connections are left alone"))
        console.line("%-9s %d" % ("seed", proxy.seed))
        if http:
            console.line("%-9s %s" % ("http", http))
        console.line()
        console.line("Ctrl-C ends it.")
    console.flush()


def _report(ended, as_json, console):
    # type: (Any, bool, Console) -> None
    """Print a line for each connection that has ended."""
    if not ended:
        return
    while ended:
        record = ended.popleft()
        if as_json:
            console.document(dict(record.as_dict(), event="connection"))
            continue
        more = record.fault_count - len(record.faults)
        done = list(record.faults) + (["%d more" % more] if more else [])
        done += [record.error] if record.error else []
        console.line("connection %d: %s, %d bytes to the backend, %d to the client%s" % (
            record.number, record.handler, record.bytes_to_backend, record.bytes_to_client,
            ": " + "; ".join(done) if done else ""))
    console.flush()


def _summarise(proxy, as_json, console):
    # type: (Any, bool, Console) -> None
    if as_json:
        console.document({"event": "summary", "connections": proxy.connection_count,
                          "faults": proxy.fault_count, "seed": proxy.seed})
        return
    console.line("%d connections, %d faults, seed %d"
                 % (proxy.connection_count, proxy.fault_count, proxy.seed))
