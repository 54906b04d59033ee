"""Turns the arguments about server and credential into a session and a connection.

Both protocols share them. The protocol is decided first, and contradictory options are reported
then, before any file is read.
"""

from __future__ import absolute_import, division, print_function

import argparse
import codecs
import getpass
import io
import os

import six

from .._compat import MYPY
from .._files import shown_path
from .._pem import is_encrypted, keys_in
from ..addresses import is_apples
from ..errors import APNsError, CertificateError
from ._console import NO_CONNECTION, USAGE, Failure, one_line
from ._explain import explain
from ._options import address, as_utf8, read_file, seconds

if MYPY:
    from typing import Any, Callable, Dict, Optional, Sequence, Tuple

    from ._console import Console

#: Environment variables for the passphrase and for the address of the proxy.
PASSPHRASE_VARIABLE, PROXY_VARIABLE = "APNS_PASSPHRASE", "APNS_PROXY"
#: The environment variable that the library itself reads.
FEEDBACK_STORE_VARIABLE = "APNSCLIENT_FEEDBACK_STORE"

#: What connecting may raise. Names and sockets fail with their own exceptions on Python 2.7.
CONNECT_ERRORS = (APNsError, EnvironmentError)


def add_connection_arguments(parser, names, needs_address=True):
    # type: (argparse.ArgumentParser, Sequence[str], bool) -> None
    """Add the options for server, credential, authorities and timeouts.

    :param names: names of Apple's hosts that this command can use.
    :param needs_address: whether the address has to be given (bool).
    """
    where = parser.add_argument_group("connection")
    place = where.add_argument(
        "--address", metavar="HOST:PORT", type=_address_or(names), required=needs_address,
        help="host:port, [IPv6 address]:port, or one of Apple's hosts: %s" % " or ".join(names[:2]))
    place.completer = lambda **_: names  # type: ignore[attr-defined]
    _add_protocol_arguments(where)
    where.add_argument(
        "--cert", metavar="FILE",
        help="provider's certificate in PEM format; may hold the private key as well")
    where.add_argument(
        "--key", metavar="FILE",
        help="private key in PEM format: of the certificate, or the .p8 file for provider tokens")
    where.add_argument(
        "--key-id", metavar="ID",
        help="use provider tokens in place of a certificate, signed with this key of Apple's "
             "developer page; with --team-id and --key")
    where.add_argument("--team-id", metavar="ID", help="team that the key belongs to")
    where.add_argument(
        "--passphrase-file", metavar="FILE",
        help="file whose first line is the passphrase of the certificate's key. Without it, the "
             "environment variable %s is used; without that, an encrypted key makes the command "
             "ask, if it runs on a terminal" % PASSPHRASE_VARIABLE)
    where.add_argument(
        "--ca-file", metavar="FILE",
        help="verify the server with the authorities in this PEM file, in place of the system's")
    where.add_argument(
        "--no-verify", action="store_true",
        help="do not verify the server; for test beds only")
    where.add_argument(
        "--proxy", metavar="URL",
        help="connect through this HTTP proxy: http://host:port or http://user:password@host:port. "
             "Other users of this machine can read arguments, but not the environment variable "
             "%s, which is used without this option" % PROXY_VARIABLE)
    where.add_argument(
        "--connect-timeout", metavar="SECONDS", type=seconds, default=10.0,
        help="longest wait for the name lookup, TCP and TLS together (default: 10)")


def _address_or(names):
    # type: (Sequence[str]) -> Callable[[str], Any]
    """Return an argument type: an address, or one of some names."""
    def place(value):
        # type: (str) -> Any
        found = address(value)
        if not isinstance(found, tuple) and found not in names:
            raise argparse.ArgumentTypeError(
                "%r is neither HOST:PORT nor one of %s" % (value, ", ".join(names)))
        return found
    return place


def _add_protocol_arguments(group):
    # type: (Any) -> None
    protocols = group.add_mutually_exclusive_group()
    protocols.add_argument(
        "--http2", dest="protocol", action="store_const", const="http2",
        help="use the HTTP/2 provider API (default towards Apple, and with a provider token)")
    protocols.add_argument(
        "--binary", dest="protocol", action="store_const", const="binary",
        help="use the binary protocol, which Apple switched off on 31 March 2021 (default towards "
             "any other host)")


def add_feedback_store_argument(group, what):
    # type: (Any, str) -> None
    """Add the file that keeps tokens that are gone.

    :param what: what this command does with it, for the help (str).
    """
    group.add_argument("--feedback-store", metavar="FILE",
                       help="SQLite database, shared by all processes that name it: %s (default: "
                            "the file that the environment variable %s names)"
                            % (what, FEEDBACK_STORE_VARIABLE))


def decide_protocol(arguments, only_http2=()):
    # type: (argparse.Namespace, Sequence[str]) -> None
    """Set ``arguments.protocol``, if no option has, to what the other arguments imply.

    :param only_http2: options that only HTTP/2 supports (sequence of str).
    :raises Failure: if an option is missing, or options contradict each other.
    """
    if arguments.key_id is None and arguments.team_id is None:
        if arguments.cert is None:
            raise Failure("no credential: give --cert; or, for HTTP/2, --key-id, --team-id and "
                          "--key", USAGE)
        is_http2 = is_apples(arguments.address)
    else:
        _check_provider_token(arguments)
        is_http2 = True
    arguments.protocol = arguments.protocol or ("http2" if is_http2 else "binary")
    if arguments.protocol == "http2":
        if arguments.feedback_store is None:
            arguments.feedback_store = os.environ.get(FEEDBACK_STORE_VARIABLE) or None
        return
    for option in only_http2:
        if getattr(arguments, option[2:].replace("-", "_")) is not None:
            raise Failure("%s needs --http2; the binary protocol has no place for it" % option,
                          USAGE)


def _check_provider_token(arguments):
    # type: (argparse.Namespace) -> None
    if arguments.protocol == "binary":
        raise Failure("--binary does not go together with --key-id and --team-id: provider tokens "
                      "are for HTTP/2", USAGE)
    if arguments.cert is not None:
        raise Failure("--cert does not go together with --key-id and --team-id: it is either a "
                      "certificate or a provider token", USAGE)
    for name in ("key_id", "team_id", "key"):
        if getattr(arguments, name) is None:
            raise Failure("a provider token needs --key-id, --team-id and --key; --%s is missing"
                          % name.replace("_", "-"), USAGE)
    if arguments.passphrase_file is not None:
        raise Failure("--passphrase-file is for the key of a certificate; that of a provider token "
                      "is not encrypted", USAGE)


def new_session(arguments, on_connected=None, **options):
    # type: (argparse.Namespace, Optional[Callable[[], Any]], Any) -> Any
    """Return the session that the arguments describe.

    :param on_connected: called whenever a connection has been opened, but for further ones that are
        opened while others are in use.
    :param options: further arguments of :class:`~apnsclient.transport.Session`.
    :raises Failure: if the file of authorities or the proxy cannot be used, or a library is
        missing.
    """
    from ..transport import Session
    if arguments.ca_file is not None:
        options["ca_string"] = _read_pem(arguments.ca_file, "the file of authorities")
    proxy = os.environ.get(PROXY_VARIABLE) if arguments.proxy is None else arguments.proxy
    if proxy:
        options["proxy"] = proxy
    if on_connected is not None:
        options["pool"] = _backend_that_reports(on_connected)
    try:
        return Session(connect_timeout=arguments.connect_timeout, verify=not arguments.no_verify,
                       protocol=arguments.protocol, **options)
    except ImportError as error:
        raise Failure(one_line(error), NO_CONNECTION)
    except CONNECT_ERRORS + (ValueError,) as error:
        said = one_line(error)
        if said.startswith("proxy "):
            # It does not contain the value, which may have a password in it.
            name = PROXY_VARIABLE if arguments.proxy is None else "--proxy"
            raise Failure(name + said[len("proxy"):], USAGE)
        raise Failure(explain(error, arguments), NO_CONNECTION)


def _backend_that_reports(on_connected):
    # type: (Callable[[], Any]) -> Any
    """Return the default back-end, extended to report when a connection has been opened."""
    from ..backends import stdio

    class Backend(stdio.Backend):
        """Calls ``on_connected`` when a connection has been opened."""

        def get_new_connection(self, *arguments, **options):
            # type: (*Any, **Any) -> Any
            connection = super(Backend, self).get_new_connection(*arguments, **options)
            on_connected()
            return connection

        def start_connecting(self, *arguments, **options):
            # type: (*Any, **Any) -> Any
            # It is overridden so that it is not taken for bypassed. There is a connection already.
            return super(Backend, self).start_connecting(*arguments, **options)

    return Backend


def open_feedback_store(arguments):
    # type: (argparse.Namespace) -> Any
    """Return the feedback store that the arguments name, or None if they name none.

    :raises Failure: if it cannot be used.
    """
    if arguments.feedback_store is None:
        return None
    from ..feedback_store import SQLiteStore
    try:
        return SQLiteStore(arguments.feedback_store)
    except (EnvironmentError, ImportError, ValueError) + store_errors() as error:
        said = one_line(error)
        if not said.startswith("feedback store "):
            said = "feedback store %r: %s" % (str(arguments.feedback_store), said)
        raise Failure("cannot use the %s" % said, USAGE)


def store_errors():
    # type: () -> Tuple[Any, ...]
    """Return what a feedback store raises when its file cannot be used."""
    try:
        from sqlite3 import Error
    except ImportError:  # Python can be built without it.
        return ()
    return (Error,)


def credential(arguments, console):
    # type: (argparse.Namespace, Console) -> Dict[str, Any]
    """Read certificate, key and passphrase, or the key for provider tokens.

    :return: arguments of a session's methods.
    :raises Failure: if a file cannot be read, or an encrypted key has no passphrase.
    """
    if arguments.key_id is not None:
        return {"key_id": arguments.key_id, "team_id": arguments.team_id,
                "key_string": _read_pem(arguments.key, "the key")}
    found = {"cert_string": _read_pem(arguments.cert, "the certificate")}
    if arguments.key is not None:
        found["key_string"] = _read_pem(arguments.key, "the key")
    key = found.get("key_string", found["cert_string"])
    passphrase = read_passphrase(arguments, any(map(is_encrypted, keys_in(key)[:1])), console)
    if passphrase is not None:
        found["passphrase"] = passphrase
    return found


def _read_pem(name, what):
    # type: (str, str) -> bytes
    """Return the content of a file. An empty one would count as an option that is not given."""
    content = read_file(name, what, NO_CONNECTION)
    if not content:
        raise Failure("%s %s is empty" % (what, shown_path(str(name))), NO_CONNECTION)
    return content


def connect(method, arguments, certificate):
    # type: (Callable[..., Any], argparse.Namespace, Dict[str, Any]) -> Any
    """Call a session's method with address and credential.

    :param method: ``get_connection`` or ``new_connection`` of a session.
    :raises Failure: if the address is unknown or the credential is unusable.
    """
    try:
        return method(arguments.address, **certificate)
    except CertificateError as error:
        raise Failure(explain(error, arguments), NO_CONNECTION)
    except ValueError as error:
        raise Failure(explain(error), USAGE)


def read_passphrase(arguments, is_encrypted, console):
    # type: (argparse.Namespace, bool, Console) -> Optional[bytes]
    """Return the passphrase of the certificate's key, or None if none is given or needed.

    :param is_encrypted: whether it is needed, so that a user at a terminal is asked for it (bool).
    :raises Failure: if it is needed and there is none, or it cannot be read.
    """
    if arguments.passphrase_file is not None:
        try:
            with io.open(arguments.passphrase_file, "rb") as stream:
                content = stream.readline()
                if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    content += stream.read()
        except EnvironmentError as error:
            # Its name is left out, since it may be the passphrase itself, given by mistake.
            raise Failure("cannot read the file of --passphrase-file: %s"
                          % os.strerror(error.errno or 0), NO_CONNECTION)
        lines = as_utf8(content).splitlines()
        if not lines or not lines[0]:
            raise Failure("the first line of the file of --passphrase-file is empty",
                          NO_CONNECTION)
        return lines[0]
    if PASSPHRASE_VARIABLE in os.environ:
        return six.ensure_binary(os.environ[PASSPHRASE_VARIABLE], "utf-8", "surrogateescape")
    if not is_encrypted:
        return None
    if not (console.shows_progress() and _has_terminal()):
        raise Failure("the key is encrypted: give --passphrase-file, or set %s"
                      % PASSPHRASE_VARIABLE, NO_CONNECTION)
    try:
        return six.ensure_binary(getpass.getpass("Passphrase of the key: "), "utf-8")
    except EOFError:
        raise Failure("no passphrase was given", NO_CONNECTION)


def _has_terminal():
    # type: () -> bool
    """Return True if this process has a terminal to prompt on, whatever standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
