"""Certificates and keys that are passed as text or as the name of a file.

Messages have the name of the file, unless it may be the text itself, passed by mistake: that may be
a private key.
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

#: How Python 3 encodes again what it could not decode in the environment or in an argument.
_ESCAPED = "strict" if PY2 else "surrogateescape"
#: Most characters of a file's name in a message.
_LONGEST_NAME = 100
#: The content of a PEM block; the name of a file is shorter, or has other characters, like a dot.
_MAY_BE_KEY = re.compile(u"[A-Za-z0-9+/=\\s\\\\]{40,}\\Z")


def is_given(value):
    # type: (Any) -> bool
    """Return False if an argument is None or an empty text, which mean "not given"."""
    return value is not None and not (isinstance(value, (six.text_type, bytes)) and not value)


def read_source(name, text, path):
    # type: (str, Optional[Text], Any) -> Tuple[bytes, str]
    """Return the content of ``<name>_file`` or ``<name>_string``, and its name for messages.

    :param text: the text (str or bytes), if it is not in a file.
    :param path: name of the file, which takes precedence.
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
    """Return ``<name>_file`` and, unless it may be secret, the name of the file, for messages.

    :raises ~apnsclient.errors.CertificateError: if the name is PEM text.
    """
    argument = name + "_file"
    if "-----BEGIN" in repr(plain_path(path)):
        raise CertificateError("%s holds PEM text, expected the name of a file; give it as "
                               "%s_string" % (argument, name))
    return ("%s %s" % (argument, shown_path(path))).rstrip()


def shown_path(path):
    # type: (Any) -> str
    """Return the name of a file for messages, quoted and shortened.

    It is empty if it may be a key, or a token, that was passed in place of the name of a file.
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
    """Return the name of a file, converting a path of ``pathlib`` to text or bytes."""
    return getattr(path, "__fspath__", lambda: path)()


def to_bytes(name, value):
    # type: (str, Any) -> bytes
    """Return text as bytes.

    :param name: its name in messages (str).
    :raises ~apnsclient.errors.CertificateError: if it is not text.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, six.text_type):
        try:
            return value.encode("utf-8", _ESCAPED)
        except UnicodeError:
            pass  # It contains the whole text. Raised below, so that it is not chained.
        raise CertificateError("%s has half of a surrogate pair in it, so it is not text" % name)
    raise CertificateError(
        "%s is of type %s; expected str or bytes" % (name, type(value).__name__))
