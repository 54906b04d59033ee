"""JSON: what it has no way to say is an error, and payloads are encoded fast.

That is NaN and infinity, which Python would write as words that no other parser knows, half of a
surrogate pair, and what is nested too deeply.

``json.dumps`` makes an encoder for each call, and that one another in C. Where messages have a
payload of their own each, it takes as long as the encoding. The one in C is made once here, for the
parameters that nearly all messages have. Its name is not documented: where Python has none, or
another one, the documented way is taken.
"""

from __future__ import absolute_import, division, print_function

import json
import re

import six

from ._compat import MYPY, PY2, as_unicode

if MYPY:
    from typing import Any, Callable, Dict, Text

__all__ = ["PARAMETERS", "decode_json", "encode_json", "encode_usual", "new_encoder",
           "to_utf8"]

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


def encode_json(value, parameters):
    # type: (Any, Dict[str, Any]) -> Text
    """Return a value as JSON text; bytes on Python 2.7 if it is nothing but ASCII.

    :param parameters: arguments of ``json.dumps``. Its ``allow_nan`` is False by default here.
    :raises TypeError, ValueError: if it cannot be expressed in JSON.
    """
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


def new_encoder(make):
    # type: (Any) -> Callable[[Any], Text]
    """Return a function that does what ``json.dumps`` does with the usual parameters.

    :param make: what makes an encoder in C, as ``json.encoder`` has it; None where it has none.
    """
    usual = json.JSONEncoder(allow_nan=False, **PARAMETERS)  # type: ignore[arg-type]
    encode_slowly = usual.encode
    try:
        # The first argument would be where containers are noted that are being encoded, so that one
        # which contains itself is found; several threads cannot share that.
        pieces_of = make(
            None, usual.default, json.encoder.encode_basestring,
            None, usual.key_separator, usual.item_separator, False, False, False)
    except (AttributeError, TypeError):
        return encode_slowly

    def encode_fast(value):
        # type: (Any) -> Text
        try:
            return "".join(pieces_of(value, 0))
        except RuntimeError:
            # It is nested too deeply. If it contains itself, this says so.
            return encode_slowly(value)

    return encode_fast


#: The same as :func:`encode_json` with :data:`PARAMETERS`.
encode_usual = new_encoder(getattr(json.encoder, "c_make_encoder", None))
if PY2:
    _encode_unicode = encode_usual

    def encode_usual(value):
        # type: (Any) -> Text
        """Do it for a value with any ``str`` in it."""
        return _encode_unicode(_with_unicode(value))
