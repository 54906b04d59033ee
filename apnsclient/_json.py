"""JSON that every parser accepts, encoded fast.

What JSON cannot express raises an error: NaN and infinity, for which Python writes words of its
own, half of a surrogate pair, and values that are nested too deeply.

``json.dumps`` makes an encoder for each call. With a payload of its own for each message that takes
as long as the encoding, so the encoder for the usual parameters is kept.
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
    """Return the value of JSON text.

    :param text: str, or bytes in UTF-8.
    :raises ValueError: if it is not JSON, or is nested too deeply for Python.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except RuntimeError:
        six.raise_from(ValueError("it is nested too deeply"), None)
    except UnicodeDecodeError:
        six.raise_from(ValueError("it is not text in UTF-8"), None)


# It does not keep track of containers: one that contains itself is nested too deeply for it.
_encode = json.JSONEncoder(
    check_circular=False, allow_nan=False, **PARAMETERS).encode  # type: ignore[arg-type]


def encode_json(value, parameters=PARAMETERS):
    # type: (Any, Dict[str, Any]) -> bytes
    """Return a value as JSON text in UTF-8 (bytes).

    :param parameters: arguments of ``json.dumps``. Its ``allow_nan`` is False by default here.
    :raises TypeError, ValueError: if it cannot be expressed in JSON.
    """
    if parameters == PARAMETERS:
        try:
            return to_utf8(_encode(value))
        except RuntimeError:
            # If it contains itself, json.dumps raises the error that says so.
            pass
    return to_utf8(json.dumps(_with_unicode(value), **dict({"allow_nan": False}, **parameters)))


#: Halves of surrogate pairs without the other half: Python 2.7 would encode them.
_HALVES = re.compile(u"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def to_utf8(text):
    # type: (Any) -> bytes
    """Return text encoded as UTF-8, and bytes as they are.

    :raises UnicodeEncodeError: (a ValueError) if there is half of a surrogate pair in it.
    """
    if isinstance(text, bytes):
        return text
    half = _HALVES.search(text) if PY2 else None
    if half:
        raise UnicodeEncodeError("utf-8", text, half.start(), half.end(), "surrogates not allowed")
    return text.encode("utf-8")


def _with_unicode(value):
    # type: (Any) -> Any
    """Return a value with text as ``unicode``, which json needs on Python 2.7."""
    try:
        return as_unicode(value)
    except RuntimeError:
        # It is nested too deeply, or contains itself: json raises the error that says which.
        return value


if PY2:
    _encode_unicode = _encode
    _encode_ascii = json.JSONEncoder(
        check_circular=False, allow_nan=False, separators=PARAMETERS["separators"]).encode
    _PLAIN = {bool, bytes, float, int, long, six.text_type, type(None)}  # noqa: F821

    def _encode(value):
        # type: (Any) -> Text
        """Encode a value whose text may be ``str`` as well as ``unicode``.

        Python 2.7 has a fast encoder only for JSON with escapes. Where that has written no ``\\u``,
        the other one would write the same. If it has, ``str`` need not become ``unicode`` as long
        as it is ASCII.
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
            # The slow way raises the error.
            pass
        return _encode_unicode(_with_unicode(value))

    def _is_plain(value):
        # type: (Any) -> bool
        """Return True if nothing in a value is of a subclass of JSON's types.

        Python 2.7 would write the ``repr()`` of such a number.
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
