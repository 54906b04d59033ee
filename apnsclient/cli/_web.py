"""The web server of ``apns simulator``: its options, and its life beside the simulator's."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import os

from .._compat import MYPY
from ..errors import CertificateError
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
                     help="requests that are kept for it, the last ones (default: 100000)")
    web.add_argument("--keep-megabytes", metavar="NUMBER", type=_options.number_from(1),
                     default=256,
                     help="memory that they may take; then the oldest go (default: 256)")
    web.add_argument("--web-password-file", metavar="FILE",
                     help="ask for the password in the first line of this file (default: the value "
                          "of %s, if there is one)" % _VARIABLE)
    _add_release_arguments(parser)


def _add_release_arguments(parser):
    # type: (argparse.ArgumentParser) -> None
    release = parser.add_argument_group(
        "release", "sends notifications on to devices when the HTTP API is asked to (default: not "
                   "at all); the first four options belong together, and need --web")
    release.add_argument("--release-key", metavar="FILE",
                         help="key for provider tokens, one of Apple's .p8 files")
    release.add_argument("--release-key-id", metavar="ID", help="identifier of that key")
    release.add_argument("--release-team-id", metavar="ID", help="team that the key belongs to")
    release.add_argument("--release-token", metavar="TOKEN", action="append", default=[],
                         help="a device token that may be sent to; may be given many times")
    release.add_argument("--release-address", metavar="HOST:PORT", type=_options.address,
                         default="push_sandbox",
                         help="where to: host:port, push_sandbox or push_production (default: "
                              "push_sandbox)")
    release.add_argument("--release-ca-file", metavar="FILE",
                         help="verify the server there with the authorities in this PEM file, in "
                              "place of the system's")


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
        if arguments.web_password_file or _wants_release(arguments):
            raise Failure("--web-password-file and --release-... need --web", USAGE)
        yield None
        return
    try:
        from ..testing.web import WebServer
    except ImportError as error:
        raise Failure("--web: %s" % one_line(error), USAGE)
    host, port = arguments.web
    password = _read_password(arguments.web_password_file)
    with _open_releaser(arguments) as releaser:
        server = WebServer(apns, (host, port), password, releaser)
        with _serving(server, arguments, password, console):
            yield server.url


@contextlib.contextmanager
def _serving(server, arguments, password, console):
    # type: (Any, argparse.Namespace, Optional[str], Console) -> Iterator[None]
    """Run a web server."""
    host, port = arguments.web
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
        yield
    finally:
        server.stop()


def _wants_release(arguments):
    # type: (argparse.Namespace) -> bool
    return bool(arguments.release_key or arguments.release_key_id or arguments.release_team_id
                or arguments.release_token)


@contextlib.contextmanager
def _open_releaser(arguments):
    # type: (argparse.Namespace) -> Iterator[Any]
    """Yield what sends notifications on, None if the arguments do not ask for it.

    :raises Failure: if something for it is missing, or cannot be used.
    """
    if not _wants_release(arguments):
        yield None
        return
    if not (arguments.release_key and arguments.release_key_id and arguments.release_team_id
            and arguments.release_token):
        raise Failure("--release-key, --release-key-id, --release-team-id and --release-token "
                      "belong together", USAGE)
    from ..testing.web import Releaser
    try:
        releaser = Releaser(
            _read_text(arguments.release_key, "the key of --release-key"),
            arguments.release_key_id, arguments.release_team_id, arguments.release_token,
            arguments.release_address, None if arguments.release_ca_file is None else _read_text(
                arguments.release_ca_file, "the file of authorities"))
    except CertificateError:
        raise Failure("--release-key: %s holds no key that can be used; expected the .p8 file that "
                      "Apple issued" % arguments.release_key, USAGE)
    except (ValueError, ImportError) as error:
        raise Failure("--release-address or --release-ca-file: %s" % one_line(error), USAGE)
    with contextlib.closing(releaser):
        yield releaser


def _read_text(name, what):
    # type: (str, str) -> Any
    try:
        return _options.as_utf8(_options.read_file(name, what, USAGE)).decode("utf-8")
    except UnicodeError:
        raise Failure("%s is not text in UTF-8" % what, USAGE)


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
