"""JSON that every parser accepts, encoded fast.

What JSON cannot express raises an error: NaN and infinity, for which Python writes words of its
own, half of a surrogate pair, and values that are nested too deeply.

``json.dumps`` makes an encoder for each call. With a payload of its own for each message that takes
as long as the encoding, so the encoder for the usual parameters is kept. It makes another one for
each call itself, in C, so payloads that are at hand are encoded in one call.
"""

from __future__ import absolute_import, division, print_function

import json
import marshal
import re

import six

from ._compat import MYPY, PY2, as_unicode
from ._interrupts import is_interrupt

if MYPY:
    from typing import Any, Dict, List, Optional

__all__ = ["PARAMETERS", "decode_json", "encode_dicts", "encode_json", "to_utf8"]

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


#: What stands between dicts that are encoded together: an empty string. One of its quotes is never
#: found inside of a string, where it would be escaped.
_BETWEEN = b'},"",{'


def encode_dicts(values):
    # type: (List[Dict[Any, Any]]) -> Optional[List[bytes]]
    """Return dicts as JSON text in UTF-8, the same as :func:`encode_json` returns of each.

    :param values: at least one dict.
    :return: list of bytes, or None if this cannot be done with all of them together: they are to be
        encoded one by one then, and one of them may raise an error.
    """
    row = [""] * (2 * len(values) - 1)  # type: List[Any]
    row[::2] = values
    try:
        pieces = to_utf8(_encode(row))[2:-2].split(_BETWEEN)
    except Exception:
        if is_interrupt():
            raise
        return None
    # There may be lists in them with the same thing between dicts.
    return [b"{%s}" % piece for piece in pieces] if len(pieces) == len(values) else None


#: Halves of surrogate pairs without the other half: Python 2.7 would encode them.
_HALVES = re.compile(u"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def to_utf8(text):
    # type: (Any) -> bytes
    """Return text encoded as UTF-8, and bytes as they are.

    :raises UnicodeEncodeError: (a ValueError) if there is half of a surrogate pair in it.
    """
    if isinstance(text, bytes):
        return text
    if PY2:
        half = _HALVES.search(text)
        if half:
            raise UnicodeEncodeError(
                "utf-8", text, half.start(), half.end(), "surrogates not allowed")
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
    # Python 2.7 has a fast encoder only for JSON with escapes.
    _encode_escaped = json.JSONEncoder(
        check_circular=False, allow_nan=False, separators=PARAMETERS["separators"]).encode
    #: What remains escaped: backslashes, and control characters, which begin like this.
    _KEPT = ("\\\\", "\\u000", "\\u001")

    def _encode(value):
        # type: (Any) -> bytes
        """Encode a value whose text may be ``str``, which holds UTF-8, as well as ``unicode``."""
        text = _encode_escaped(value)
        try:
            # It takes nothing but the very types of JSON. Of a subclass of a number json writes the
            # repr().
            marshal.dumps(value)
        except ValueError:
            text = _encode_escaped(_with_unicode(value))
        return _unescape(text) if "\\u" in text else text

    def _unescape(text):
        # type: (bytes) -> bytes
        """Return JSON text with characters that are not ASCII as they are."""
        has_surrogates = "\\ud" in text
        # No control character is in it, so that these can stand for something else meanwhile.
        for number, kept in enumerate(_KEPT):
            text = text.replace(kept, chr(number))
        # No other backslash than those of "\\u" is to be taken for an escape.
        decoded = text.replace("\\", "\\\\").replace("\\\\u", "\\u").decode("unicode_escape")
        text = to_utf8(decoded) if has_surrogates else decoded.encode("utf-8")
        for number, kept in enumerate(_KEPT):
            text = text.replace(chr(number), kept)
        return text
