"""The argument types that the commands share, and reading files."""

from __future__ import absolute_import, division, print_function

import argparse
import codecs
import io
import os
import sys

import six

from .._compat import MYPY
from .._files import shown_path
from ._console import Failure

if MYPY:
    from typing import Any, Callable, Tuple, Union

    Address = Union[str, Tuple[str, int]]


def text(value):
    # type: (Any) -> Any
    """Argument type: text. The arguments of Python 2.7 are bytes."""
    try:
        decoded = six.ensure_text(value, sys.getfilesystemencoding() or "utf-8")
        decoded.encode("utf-8")  # Python 3 turns what it could not decode into surrogates.
    except UnicodeError:
        raise argparse.ArgumentTypeError("is not text in the encoding of this system")
    return decoded


def seconds(value):
    # type: (str) -> float
    """Argument type: a time in seconds, above 0."""
    found = pause(value)
    if not found:
        raise argparse.ArgumentTypeError("%r is not a number of seconds above 0" % value)
    return found


def pause(value):
    # type: (str) -> float
    """Argument type: a time in seconds, 0 or more."""
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e9:
        raise argparse.ArgumentTypeError("%r is not a number of seconds from 0 up" % value)
    return found


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


def address(value, lowest=1):
    # type: (str, int) -> Address
    """Argument type: ``host:port``, ``[IPv6 address]:port``, or a name that the session knows.

    :param lowest: lowest port that is allowed (int): 0, which means a free one, for an address to
        listen at.
    """
    host, colon, number = value.rpartition(":")
    if not colon:
        return value
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise argparse.ArgumentTypeError(
            "%r is ambiguous; write an IPv6 address as [address]:port" % value)
    found = int(number) if number.isdigit() else -1
    if host and number.isdigit() and not lowest <= found < 65536:
        raise argparse.ArgumentTypeError(
            "%s is not a port; expected %d to 65535" % (number, lowest))
    if not host or found < 0:
        raise argparse.ArgumentTypeError("%r is not host:port" % value)
    return host, found


def read_file(name, what, status):
    # type: (str, str, int) -> bytes
    """Return the content of a file.

    :param name: name of the file (str).
    :param what: what it is, for the message of the failure (str).
    :param status: exit status if it cannot be read (int).
    :raises Failure: if it cannot be read.
    """
    try:
        with io.open(name, "rb") as stream:
            return stream.read()
    except EnvironmentError as error:
        raise unreadable(name, what, error, status)


def unreadable(name, what, error, status):
    # type: (str, str, EnvironmentError, int) -> Failure
    """Return the failure to read a file; see :func:`read_file`."""
    shown = shown_path(str(name)) or ("(its name is not shown, since it may be the text of one; "
                                      "expected the name of a file)")
    return Failure("cannot read %s %s: %s" % (what, shown, os.strerror(error.errno or 0)), status)


def as_utf8(content):
    # type: (bytes) -> bytes
    """Return text in UTF-8 and without a byte order mark.

    :param content: content of a file (bytes): text with such a mark, in UTF-8 or UTF-16, or
        anything else, which is returned unchanged.
    """
    if content.startswith(codecs.BOM_UTF8):
        return content[len(codecs.BOM_UTF8):]
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode("utf-8")
        except UnicodeError:
            pass
    return content
