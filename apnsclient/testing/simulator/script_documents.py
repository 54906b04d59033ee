"""Scripts as JSON documents, for those who write them in another language.

A document is an object with the parameters of the script by name. Numbers of requests are strings
in it, because JSON knows no other keys; bytes are text, or ``{"base64": "..."}``; a response that
Apple does not document is ``{"status": 503, "reason": "Maintenance"}``; settings and the codes of
RST_STREAM and GOAWAY have the names that RFC 9113 gives them, or numbers.
"""

from __future__ import absolute_import, division, print_function

import base64
import re

import six

from ..._compat import MYPY
from ...protocols.http2 import frames
from .provider_script import SETTING_NAMES, ProviderScript
from .request_script import RequestScript
from .script import FeedbackScript, Script

if MYPY:
    from typing import Any, Callable, Dict, Type

__all__ = ["SCRIPTS", "script_from_document", "script_to_document"]

#: The class of scripts, by what they are for.
SCRIPTS = {
    "gateway": Script, "feedback": FeedbackScript, "provider": ProviderScript,
    "channels": ProviderScript, "requests": RequestScript,
}  # type: Dict[str, Type[Any]]

_CODES = dict((name, getattr(frames, name)) for name in (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED "
    "FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM "
    "INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split() if hasattr(frames, name))
_is_number = re.compile(r"[0-9]{1,9}\Z").match
_SETTINGS = dict((number, name) for name, number in SETTING_NAMES.items())


def script_from_document(kind, document):
    # type: (str, Any) -> Any
    """Return the script that a document describes.

    :param kind: name of a service, or ``"requests"``.
    :param document: what JSON has (dict).
    :raises ValueError: if it is none. The text names the field, what it is and what was expected.
    """
    cls = SCRIPTS[kind]
    if not isinstance(document, dict):
        raise ValueError("a script is %s, expected an object" % _show(document))
    usual, options = cls(), {}
    for name, value in document.items():
        if name not in cls._fields:
            raise ValueError("there is no field %s, expected one of: %s"
                             % (_show(name), ", ".join(sorted(cls._fields))))
        if value is not None:
            default = getattr(usual, name)
            options[str(name)] = _READERS.get(name, _reader_of(default))(name, value)
    return cls(**options)


def script_to_document(script):
    # type: (Any) -> Dict[str, Any]
    """Return the document of a script: what is not as usual of it (dict)."""
    usual = type(script)()
    return dict(
        (name, _WRITERS.get(name, _write)(value))
        for name, value, default in zip(script._fields, script, usual) if value != default)


# Reading.


def _reader_of(default):
    # type: (Any) -> Callable[[str, Any], Any]
    """Return the function that reads a field whose usual value is known."""
    if isinstance(default, bool):
        return _read_flag
    return _read_number if isinstance(default, float) else _read_integer


def _read_flag(name, value):
    # type: (str, Any) -> bool
    if isinstance(value, bool):
        return value
    raise _unexpected(name, value, "true or false")


def _read_integer(name, value):
    # type: (str, Any) -> int
    if isinstance(value, six.integer_types) and not isinstance(value, bool):
        return int(value)
    raise _unexpected(name, value, "an integer")


def _read_number(name, value):
    # type: (str, Any) -> float
    is_number = isinstance(value, six.integer_types + (float,)) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1e9:
        return float(value)
    raise _unexpected(name, value, "a number, 0 to 1e9")


def _read_text(name, value):
    # type: (str, Any) -> str
    if _is_text(value):
        return six.ensure_str(value)
    raise _unexpected(name, value, "a string")


def _is_text(value):
    # type: (Any) -> bool
    """Return True if a value is a text that can be encoded; JSON has half characters, too."""
    if not isinstance(value, six.string_types):
        return False
    try:
        value.encode("utf-8")
    except UnicodeError:
        return False
    return True


def _read_bytes(name, value):
    # type: (str, Any) -> bytes
    if _is_text(value):
        return six.ensure_binary(value)
    if isinstance(value, dict) and set(value) == {"base64"} and _is_text(value["base64"]):
        encoded = six.ensure_binary(value["base64"])
        try:
            decoded = base64.b64decode(encoded)
        except (TypeError, ValueError):
            decoded = b""
        # The decoder leaves out what is not of its alphabet.
        if base64.b64encode(decoded) == encoded:
            return decoded
    raise _unexpected(name, value, 'a string, or {"base64": "..."}')


def _read_code(name, value):
    # type: (str, Any) -> int
    if isinstance(value, six.string_types):
        if value in _CODES:
            return int(_CODES[value])
        raise _unexpected(name, value, "a number, or one of: %s" % ", ".join(sorted(_CODES)))
    return _read_integer(name, value)


def _read_response(name, value):
    # type: (str, Any) -> Any
    if _is_text(value):
        return six.ensure_str(value)
    if isinstance(value, dict) and set(value) <= {"status", "reason"} and "status" in value:
        reason = value.get("reason")
        return (_read_integer(name + ".status", value["status"]),
                None if reason is None else _read_text(name + ".reason", reason))
    raise _unexpected(name, value, 'a reason, or {"status": ..., "reason": ...}')


def _read_settings(name, value):
    # type: (str, Any) -> Dict[Any, int]
    if not isinstance(value, dict):
        raise _unexpected(name, value, "an object")
    settings = {}  # type: Dict[Any, int]
    for key, number in value.items():
        settings[int(key) if _is_number(key) else _setting_of(key)] = _read_integer(
            "%s.%s" % (name, key), number)
    return settings


def _setting_of(name):
    # type: (str) -> str
    """Return the name of a setting as scripts have it; RFC 9113 writes SETTINGS_ENABLE_PUSH."""
    lower = name.lower()
    return lower[len("settings_"):] if lower.startswith("settings_") else lower


def _by_number(read):
    # type: (Callable[[str, Any], Any]) -> Callable[[str, Any], Dict[int, Any]]
    def read_all(name, value):
        # type: (str, Any) -> Dict[int, Any]
        if not isinstance(value, dict):
            raise _unexpected(name, value, "an object by the number of the request")
        found = {}
        for key, one in value.items():
            if not _is_number(key):
                raise _unexpected(name, key, "the number of a request as the name of each member")
            found[int(key)] = read("%s.%s" % (name, key), one)
        return found
    return read_all


def _read_numbers(name, value):
    # type: (str, Any) -> Any
    if not isinstance(value, list):
        raise _unexpected(name, value, "an array of integers")
    return [_read_integer(name, each) for each in value]


_READERS = {
    "settings": _read_settings, "settings_at": _by_number(_read_settings),
    "response": _read_response, "response_at": _by_number(_read_response),
    "reset": _read_code, "reset_at": _by_number(_read_code), "goaway_code": _read_code,
    "delay_at": _by_number(_read_number), "limit_after_errors": _by_number(_read_integer),
    "status_at": _by_number(_read_integer), "no_response_at": _read_numbers,
    "garbage": _read_bytes, "goaway_reason": _read_text, "token": _read_text, "topic": _read_text,
}  # type: Dict[str, Callable[[str, Any], Any]]


def _unexpected(name, value, expected):
    # type: (str, Any, str) -> ValueError
    return ValueError("%s is %s, expected %s" % (name, _show(value), expected))


def _show(value):
    # type: (Any) -> str
    """Return a value from outside, bounded, for a message."""
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


# Writing.


def _write(value):
    # type: (Any) -> Any
    return value


def _write_pairs(write):
    # type: (Callable[[Any], Any]) -> Callable[[Any], Any]
    return lambda pairs: dict((str(number), write(value)) for number, value in pairs)


def _write_response(response):
    # type: (Any) -> Any
    return None if response is None else {"status": response[0], "reason": response[1]}


def _write_settings(settings):
    # type: (Any) -> Any
    return dict((_SETTINGS.get(number, str(number)), value) for number, value in settings)


def _write_bytes(value):
    # type: (bytes) -> Any
    return {"base64": six.ensure_str(base64.b64encode(value))}


_WRITERS = {
    "settings": _write_settings, "settings_at": _write_pairs(_write_settings),
    "response": _write_response, "response_at": _write_pairs(_write_response),
    "reset_at": _write_pairs(_write), "delay_at": _write_pairs(_write),
    "limit_after_errors": _write_pairs(_write), "status_at": _write_pairs(_write),
    "no_response_at": sorted, "garbage": _write_bytes,
}  # type: Dict[str, Callable[[Any], Any]]
