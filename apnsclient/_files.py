"""Certificates and keys, given as text or by the name of a file that has it.

What names a file goes into messages, but for what may be the text itself, which somebody took for
the name of its file: that may be a private key.
"""

from __future__ import absolute_import, division, print_function

import io
import re

import six

from ._compat import MYPY, PY2
from .errors import CertificateError

if MYPY:
    from typing import Any, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["is_given", "plain_path", "read_source", "shown_path", "to_bytes"]

#: How Python 3 gives back what was not text in the environment, or an argument.
_ESCAPED = "strict" if PY2 else "surrogateescape"
#: Most characters of a file's name that a message repeats.
_LONGEST_NAME = 100
#: The inside of a key in PEM format; the name of a file is shorter, or has a dot or so in it.
_MAY_BE_KEY = re.compile(u"[A-Za-z0-9+/=\\s\\\\]{40,}\\Z")


def is_given(value):
    # type: (Any) -> bool
    """Return True unless an argument is None or an empty text, which mean "not given"."""
    return value is not None and not (isinstance(value, (six.text_type, bytes)) and not value)


def read_source(name, text, path):
    # type: (str, Optional[Text], Any) -> Tuple[bytes, str]
    """Return what ``<name>_file`` or ``<name>_string`` holds, and which it was, for messages.

    :param text: the text (str or bytes), where it is not in a file.
    :param path: name of the file, which counts where both are given.
    :raises ~apnsclient.errors.CertificateError: if it cannot be read.
    """
    if not is_given(path):
        return to_bytes(name + "_string", text), name + "_string"
    source = _file_source(name, path)
    try:
        with io.open(plain_path(path), "rb") as stream:
            return stream.read(), source
    except (IOError, OSError) as error:
        reason = error.strerror or "cannot be opened"
    except (TypeError, ValueError):
        reason = "not the name of a file"
    raise CertificateError("%s cannot be read: %s" % (source, reason))


def _file_source(name, path):
    # type: (str, Any) -> str
    """Return ``<name>_file`` and the file's name, as far as it may be repeated, for messages.

    :raises ~apnsclient.errors.CertificateError: if it is PEM text.
    """
    argument = name + "_file"
    if "-----BEGIN" in repr(plain_path(path)):
        raise CertificateError("%s holds PEM text, expected the name of a file; give it as "
                               "%s_string" % (argument, name))
    return ("%s %s" % (argument, shown_path(path))).rstrip()


def shown_path(path):
    # type: (Any) -> str
    """Return the name of a file, in quotes and not too long, for messages.

    Nothing is returned where it may be a key, or a token, that somebody gave in place of a file.
    """
    path = plain_path(path)
    shown = repr(path)
    text = path.decode("latin-1") if isinstance(path, bytes) else path
    if (not isinstance(text, six.text_type) or len(text.splitlines()) > 1
            or "-----BEGIN" in shown or _MAY_BE_KEY.match(text)):
        return ""
    return shown if len(shown) <= _LONGEST_NAME else shown[:_LONGEST_NAME] + "..."


def plain_path(path):
    # type: (Any) -> Any
    """Return the name of a file as text or bytes, where it is a path of ``pathlib``."""
    return getattr(path, "__fspath__", lambda: path)()


def to_bytes(name, value):
    # type: (str, Any) -> bytes
    """Return text as bytes.

    :param name: what messages call it (str).
    :raises ~apnsclient.errors.CertificateError: if it is something else.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, six.text_type):
        try:
            return value.encode("utf-8", _ESCAPED)
        except UnicodeError:
            pass  # It has the whole text in it. Raised below, where nothing is chained.
        raise CertificateError("%s has half of a surrogate pair in it, which is no text" % name)
    raise CertificateError(
        "%s is of type %s; expected str or bytes" % (name, type(value).__name__))
