"""Arguments that several commands share, and what is made of them: a session and a connection."""

from __future__ import absolute_import, division, print_function

import argparse
import getpass
import io
import os
import re
import sys

import six

from .._compat import MYPY
from ..errors import APNsError, CertificateError
from ._console import NO_CONNECTION, USAGE, Failure, one_line

if MYPY:
    from typing import Any, Callable, Dict, Optional, Tuple, Union

    from ._console import Console

    Address = Union[str, Tuple[str, int]]

#: Environment variable that the passphrase is taken from.
PASSPHRASE_VARIABLE = "APNS_PASSPHRASE"

#: What connecting may raise. Names and sockets fail with their own exceptions on Python 2.7.
CONNECT_ERRORS = (APNsError, EnvironmentError)


#: The options, and their attributes, that stand for parameters of the library.
_OPTIONS = {"cert": ("--cert", "cert"), "key": ("--key", "key"), "ca": ("--ca-file", "ca_file")}


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves description and epilog as they are written, and gives options some room."""

    def __init__(self, prog):
        # type: (str) -> None
        super(HelpFormatter, self).__init__(prog, max_help_position=28, width=100)


def text(value):
    # type: (Any) -> Any
    """Argument type: text. Python 2.7 hands arguments over as bytes."""
    try:
        decoded = six.ensure_text(value, sys.getfilesystemencoding() or "utf-8")
        decoded.encode("utf-8")  # Python 3 smuggles what it could not decode in as surrogates.
    except UnicodeError:
        raise argparse.ArgumentTypeError("is not text in the encoding of this system")
    return decoded


def seconds(value):
    # type: (str) -> float
    """Argument type: a time in seconds, more than none."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError("%r is not a number of seconds above 0" % value)
    return number


def number_from(lowest):
    # type: (int) -> Callable[[str], int]
    """Return an argument type: a whole number from ``lowest`` up."""
    def number(value):
        # type: (str) -> int
        try:
            found = int(value)
        except ValueError:
            found = lowest - 1
        if found < lowest:
            raise argparse.ArgumentTypeError("%r is not a whole number from %d up"
                                             % (value, lowest))
        return found
    return number


def port(value):
    # type: (str) -> int
    """Argument type: a port to listen on; 0 takes a free one."""
    found = number_from(0)(value)
    if found > 65535:
        raise argparse.ArgumentTypeError("%r is not a port; expected 0 to 65535" % value)
    return found


def address(value):
    # type: (str) -> Address
    """Argument type: ``host:port``, ``[IPv6 address]:port``, or a name that the session knows."""
    host, colon, number = value.rpartition(":")
    if not colon:
        return value
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise argparse.ArgumentTypeError(
            "%r is ambiguous; write an IPv6 address as [address]:port" % value)
    found = int(number) if number.isdigit() else 0
    if host and number.isdigit() and not 0 < found < 65536:
        raise argparse.ArgumentTypeError("%s is not a port; expected 1 to 65535" % number)
    if not host or not found:
        raise argparse.ArgumentTypeError("%r is not host:port" % value)
    return host, found


def add_connection_arguments(parser, names):
    # type: (argparse.ArgumentParser, str) -> None
    """Add where to connect to, who we are, whom we trust, and how long we wait.

    :param names: the names that make sense here, for the help (str).
    """
    where = parser.add_argument_group("connection")
    where.add_argument(
        "--address", metavar="HOST:PORT", type=address, required=True,
        help="host:port, or [IPv6 address]:port; or %s, names of Apple's hosts, which Apple "
             "switched off on 31 March 2021" % names)
    where.add_argument(
        "--cert", metavar="FILE", required=True,
        help="provider's certificate in PEM format; may hold the private key as well")
    where.add_argument("--key", metavar="FILE", help="private key in PEM format")
    where.add_argument(
        "--passphrase-file", metavar="FILE",
        help="file whose first line is the passphrase of the key. Without it, the environment "
             "variable %s is used; without that, an encrypted key makes the command ask, if it "
             "runs on a terminal" % PASSPHRASE_VARIABLE)
    where.add_argument(
        "--ca-file", metavar="FILE",
        help="trust the authorities in this PEM file, in place of the system's, to vouch for the "
             "server")
    where.add_argument(
        "--no-verify", action="store_true",
        help="do not verify who the server is; for test beds only")
    where.add_argument(
        "--connect-timeout", metavar="SECONDS", type=seconds, default=10.0,
        help="longest wait for TCP and TLS together (default: 10)")


def new_session(arguments, **options):
    # type: (argparse.Namespace, Any) -> Any
    """Make the session that the arguments describe.

    :param options: further arguments of :class:`~apnsclient.transport.Session`.
    :raises Failure: if the file of authorities cannot be used.
    """
    from ..transport import Session
    if arguments.ca_file is not None:
        options["ca_string"] = read_file(
            arguments.ca_file, "the file of authorities", NO_CONNECTION)
    try:
        return Session(connect_timeout=arguments.connect_timeout,
                       verify=not arguments.no_verify, **options)
    except CONNECT_ERRORS + (ValueError,) as error:
        raise Failure("cannot use %s: %s" % (arguments.ca_file or "the system's authorities",
                                             explain(error, arguments)), NO_CONNECTION)


def credential(arguments, console):
    # type: (argparse.Namespace, Console) -> Dict[str, Any]
    """Read certificate, key and passphrase, as arguments of a session's methods.

    :raises Failure: if a file cannot be read, or an encrypted key has no passphrase.
    """
    found = {"cert_string": read_file(arguments.cert, "the certificate", NO_CONNECTION)}
    if arguments.key is not None:
        found["key_string"] = read_file(arguments.key, "the key", NO_CONNECTION)
    key = found.get("key_string", found["cert_string"])
    passphrase = _passphrase(arguments, b"ENCRYPTED" in key, console)
    if passphrase is not None:
        found["passphrase"] = passphrase
    return found


def connect(method, arguments, certificate):
    # type: (Callable[..., Any], argparse.Namespace, Dict[str, Any]) -> Any
    """Call a session's method with address and credential.

    :param method: ``get_connection`` or ``new_connection`` of a session.
    :raises Failure: if the address is unknown or the credential is unusable.
    """
    try:
        return method(arguments.address, **certificate)
    except CertificateError as error:
        name = arguments.key if "key_string" in one_line(error).split(" or ")[0] \
            and arguments.key is not None else arguments.cert
        raise Failure("cannot use %s: %s" % (name, explain(error, arguments)), NO_CONNECTION)
    except ValueError as error:
        raise Failure(explain(error), USAGE)


def explain(error, arguments=None):
    # type: (object, Optional[argparse.Namespace]) -> str
    """Return what an error says, in terms of this command's options.

    :param error: exception, or its text.
    :param arguments: name the files, if given.
    """
    said = one_line(error)
    said = said.replace("give it as key_string or key_file", "give it with --key")
    said = said.replace("(host, port)", "HOST:PORT")
    said = said.replace("verify=False", "--no-verify")
    said = said.replace("ca_file or ca_string", "ca_file")

    def option(match):
        # type: (Any) -> str
        flag, attribute = _OPTIONS[match.group(1)]
        name = getattr(arguments, attribute, None)
        return flag if name is None else "%s %s" % (flag, name)

    # In one pass, so that nothing is replaced in the name of a file.
    return re.sub(r"\b(cert|key|ca)_(?:string|file)\b", option, said)


def _passphrase(arguments, is_encrypted, console):
    # type: (argparse.Namespace, bool, Console) -> Optional[bytes]
    if arguments.passphrase_file is not None:
        try:
            with io.open(arguments.passphrase_file, "rb") as stream:
                first = stream.readline().rstrip(b"\r\n")
        except EnvironmentError as error:
            # Its name is left out: it may be the passphrase itself, given by mistake.
            raise Failure("cannot read the file of --passphrase-file: %s"
                          % os.strerror(error.errno or 0), NO_CONNECTION)
        if not first:
            raise Failure("the first line of the file of --passphrase-file is empty",
                          NO_CONNECTION)
        return first
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
    """Tell whether this process has a terminal to ask on, wherever standard input comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def read_file(name, what, status):
    # type: (str, str, int) -> bytes
    """Return what a file holds.

    :param name: name of the file (str).
    :param what: what it is, for the message of the failure (str).
    :param status: exit status if it cannot be read (int).
    :raises Failure: if it cannot be read.
    """
    try:
        with io.open(name, "rb") as stream:
            return stream.read()
    except EnvironmentError as error:
        raise Failure("cannot read %s %r: %s" % (what, str(name), os.strerror(error.errno or 0)),
                      status)
