"""JSON: what it has no way to say is an error, and payloads are encoded fast.

That is NaN and infinity, which Python would write as words that no other parser knows, half of a
surrogate pair, and what is nested too deeply.

``json.dumps`` makes an encoder for each call. Where messages have a payload of their own each, that
takes as long as the encoding: the one for the parameters that nearly all messages have is kept.
"""

from __future__ import absolute_import, division, print_function

import json
import re

import six

from ._compat import MYPY, PY2, as_unicode

if MYPY:
    from typing import Any, Dict, Text

__all__ = ["PARAMETERS", "decode_json", "encode_json", "to_utf8"]

#: Arguments of ``json.dumps``: no needless space, UTF-8 as it is.
PARAMETERS = {"separators": (",", ":"), "ensure_ascii": False}


def decode_json(text):
    # type: (Any) -> Any
    """Return what JSON text says.

    :param text: str, or bytes in UTF-8.
    :raises ValueError: if it is no JSON text, or nested too deeply for Python.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except RuntimeError:
        six.raise_from(ValueError("it is nested too deeply"), None)
    except UnicodeDecodeError:
        six.raise_from(ValueError("it is not text in UTF-8"), None)


# It does not look for a value that contains itself, which is nested too deeply for it.
_encode = json.JSONEncoder(
    check_circular=False, allow_nan=False, **PARAMETERS).encode  # type: ignore[arg-type]


def encode_json(value, parameters=PARAMETERS):
    # type: (Any, Dict[str, Any]) -> Text
    """Return a value as JSON text; bytes on Python 2.7 if it is nothing but ASCII.

    :param parameters: arguments of ``json.dumps``. Its ``allow_nan`` is False by default here.
    :raises TypeError, ValueError: if it cannot be expressed in JSON.
    """
    if parameters == PARAMETERS:
        try:
            return _encode(value)
        except RuntimeError:
            # If it contains itself, json.dumps says so.
            pass
    return json.dumps(_with_unicode(value), **dict({"allow_nan": False}, **parameters))


#: Halves of surrogate pairs without the other one: Python 2.7 encodes them.
_HALVES = re.compile(u"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def to_utf8(text):
    # type: (Text) -> bytes
    """Return text as bytes.

    :raises UnicodeEncodeError: if half of a surrogate pair is in it; it is a ValueError.
    """
    half = _HALVES.search(text) if PY2 else None
    if half:
        raise UnicodeEncodeError("utf-8", text, half.start(), half.end(), "surrogates not allowed")
    return text.encode("utf-8")


def _with_unicode(value):
    # type: (Any) -> Any
    """Return a value as json understands it on Python 2.7."""
    try:
        return as_unicode(value)
    except RuntimeError:
        # It is nested too deeply, or contains itself: json says which.
        return value


if PY2:
    _encode_unicode = _encode
    _encode_ascii = json.JSONEncoder(
        check_circular=False, allow_nan=False, separators=PARAMETERS["separators"]).encode
    _PLAIN = {bool, bytes, float, int, long, six.text_type, type(None)}  # noqa: F821

    def _encode(value):
        # type: (Any) -> Text
        """Do what its namesake does, for a value with any ``str`` in it, and without delay.

        Python 2.7 escapes what is not ASCII in a tenth of the time that it takes otherwise. Where
        it has found nothing to escape as ``\\u``, either way gives the same. And where all that is
        not ASCII is ``unicode``, the rest need not be.
        """
        try:
            if _is_plain(value):
                text = _encode_ascii(value)
                if "\\u" not in text:
                    return text
                text = _encode_unicode(value)
                if isinstance(text, six.text_type):
                    return text
        except (RuntimeError, TypeError, ValueError):
            # The error is that of the other way.
            pass
        return _encode_unicode(_with_unicode(value))

    def _is_plain(value):
        # type: (Any) -> bool
        """Return True if no number in a value is of a subclass, nor a dict or a list is.

        Of such a number Python 2.7 would write what ``repr()`` says.
        """
        kind = type(value)
        if kind is dict:
            for key, each in six.iteritems(value):
                if type(key) not in _PLAIN or type(each) not in _PLAIN and not _is_plain(each):
                    return False
            return True
        if kind is list or kind is tuple:
            for each in value:
                if type(each) not in _PLAIN and not _is_plain(each):
                    return False
            return True
        return kind in _PLAIN
