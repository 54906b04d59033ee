"""The web server of ``apns simulator``: its options, and its life beside the simulator's."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import os

from .._compat import MYPY
from . import _options
from ._console import NO_CONNECTION, USAGE, Failure, one_line

if MYPY:
    from typing import Any, Iterator, Optional

    from ._console import Console

__all__ = ["add_web_arguments", "open_web_server"]

#: Where it listens unless told otherwise.
_DEFAULT = "127.0.0.1:8025"

#: The variable that may have the password. No option does: others can read those.
_VARIABLE = "APNS_WEB_PASSWORD"

_LOOPBACK = ("127.", "::1", "localhost")


def add_web_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    """Add the options to the argument parser."""
    web = parser.add_argument_group("page and HTTP API")
    web.add_argument("--web", metavar="HOST:PORT", nargs="?", const=_DEFAULT, type=_address,
                     help="serve a page that shows what arrives, and an HTTP API, there (default: "
                          "not at all; without a value at %s; port 0 takes a free one)" % _DEFAULT)
    web.add_argument("--keep", metavar="NUMBER", type=_options.number_from(1), default=100000,
                     help="requests that are kept for it, the last ones, in up to 256 MiB of "
                          "memory (default: 100000)")
    web.add_argument("--web-host", metavar="NAME", action="append", default=[],
                     help="a name by which browsers reach it, besides localhost and addresses; may "
                          "be given many times")
    web.add_argument("--web-password-file", metavar="FILE",
                     help="ask for the password in the first line of this file (default: the value "
                          "of %s, if there is one)" % _VARIABLE)


def _address(value):
    # type: (str) -> Any
    """Argument type: an address to listen at."""
    found = _options.address(value, 0)
    if not isinstance(found, tuple):
        raise argparse.ArgumentTypeError("%r is not host:port" % value)
    return found


@contextlib.contextmanager
def open_web_server(arguments, apns, console):
    # type: (argparse.Namespace, Any, Console) -> Iterator[Optional[str]]
    """Run the web server that the arguments ask for, and yield the address of its page (str).

    Without such arguments there is none, and None in its place.

    :raises Failure: if it cannot run.
    """
    if arguments.web is None:
        if arguments.web_host or arguments.web_password_file:
            raise Failure("--web-host and --web-password-file need --web", USAGE)
        yield None
        return
    try:
        from ..testing.web import WebServer
    except ImportError as error:
        raise Failure("--web: %s" % one_line(error), USAGE)
    host, port = arguments.web
    password = _read_password(arguments.web_password_file)
    server = WebServer(apns, (host, port), password, arguments.web_host)
    try:
        server.start()
    except EnvironmentError as error:
        raise Failure("cannot listen at %s (--web): %s" % (_show(host, port), one_line(error)),
                      NO_CONNECTION)
    try:
        if password is None and not host.startswith(_LOOPBACK):
            console.note("apns simulator: whoever reaches %s can read what arrives, and control "
                         "the simulator: --web-password-file asks for a password"
                         % _show(*server.address))
        yield server.url
    finally:
        server.stop()


def _show(host, port):
    # type: (str, int) -> str
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


def _read_password(name):
    # type: (Optional[str]) -> Optional[str]
    """Return the password (str), or None if none is set."""
    if name is None:
        return os.environ.get(_VARIABLE) or None
    content = _options.as_utf8(_options.read_file(name, "the password", USAGE))
    try:
        password = content.decode("utf-8").partition("\n")[0].rstrip("\r")
    except UnicodeError:
        raise Failure("the password in --web-password-file is not text in UTF-8", USAGE)
    if not password:
        raise Failure("the first line of the file of --web-password-file is empty", USAGE)
    return password
