"""Values for the options of handlers and protocols: their types, and where a text comes from.

The values of an option come from a command line, from an ini file, as JSON, or from Python. Text is
converted by the type of the option; anything else has to be of that type already.
"""

from __future__ import absolute_import, division, print_function

import six

from ..._compat import MYPY
from .errors import ConfigurationError

if MYPY:
    from typing import Any, Dict

__all__ = ["convert", "count", "defaults", "direction", "merge", "rate", "seconds", "size"]

_BOOLEANS = {
    "1": True, "true": True, "yes": True, "on": True, "y": True, "t": True,
    "0": False, "false": False, "no": False, "off": False, "n": False, "f": False,
}
_DIRECTIONS = ("to_backend", "to_client", "both")


# Types of options that more than one handler has. Each takes text or a number, and raises
# ValueError with what was expected.

def direction(value):
    # type: (Any) -> str
    """Type of an option: ``to_backend``, ``to_client`` or ``both``."""
    if value not in _DIRECTIONS:
        raise ValueError("expected to_backend, to_client or both")
    return str(value)


def seconds(value):
    # type: (Any) -> float
    """Type of an option: a time in seconds, 0 or more."""
    return _number(float, value, 0, "expected a number of seconds from 0 up")


def rate(value):
    # type: (Any) -> float
    """Type of an option: a number above 0, for so many a second."""
    number = _number(float, value, 0, "expected a number above 0")
    if not number:
        raise ValueError("expected a number above 0")
    return number


def count(value):
    # type: (Any) -> int
    """Type of an option: a whole number, 0 or more."""
    return int(_number(int, value, 0, "expected a whole number from 0 up"))


def size(value):
    # type: (Any) -> int
    """Type of an option: a whole number, 1 or more."""
    return int(_number(int, value, 1, "expected a whole number from 1 up"))


def _number(kind, value, lowest, expected):
    # type: (Any, Any, int, str) -> Any
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(expected)
    is_whole = isinstance(value, six.string_types) or number == value
    if isinstance(value, bool) or not is_whole or not lowest <= number < 1e18:
        raise ValueError(expected)
    return number


def convert(name, kind, value):
    # type: (str, Any, Any) -> Any
    """Return the value of an option.

    :param name: what the option is called in messages (str).
    :param kind: type of the option: bool, int, float, str or a function of one argument that raises
        ValueError.
    :param value: text, or a value of that type.
    :raises ConfigurationError: if the value is not of the type.
    """
    try:
        if kind is bool:
            return _boolean(value)
        if kind in (int, float):
            return _number(kind, value, -10 ** 18, "expected %s" % (
                "a whole number" if kind is int else "a number"))
        if kind is str:
            if not isinstance(value, six.string_types):
                raise ValueError("expected text")
            return six.ensure_str(value)
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError("%s is %s: %s" % (name, _shown(value), error))


def _boolean(value):
    # type: (Any) -> bool
    if isinstance(value, bool):
        return value
    if isinstance(value, six.string_types) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ValueError("expected true or false, yes or no, on or off, 1 or 0")


def _shown(value):
    # type: (Any) -> str
    if isinstance(value, six.string_types):
        value = six.ensure_str(value, "utf-8", "replace")
    shown = repr(value)
    return shown if len(shown) <= 100 else shown[:97] + "..."


def defaults(plugin):
    # type: (Any) -> Dict[str, Any]
    """Return the options of a plugin with their default values."""
    return dict((name, option[2]) for name, option in plugin.options.items())


def merge(kind, name, plugin, values):
    # type: (str, str, Any, Dict[str, Any]) -> Dict[str, Any]
    """Return values for options of a plugin, converted; what is not among them is left out.

    :param kind: ``"handler"`` or ``"protocol"``, for messages.
    :param name: name that the plugin goes by there.
    :param plugin: its class.
    :param values: values by option.
    :raises ConfigurationError: if there is no such option, or a value is not of its type.
    """
    found = {}
    for option in sorted(values):
        if option not in plugin.options:
            known = sorted(plugin.options)
            raise ConfigurationError("the %s %s has no option %r; %s" % (
                kind, name, six.ensure_str(option),
                "expected one of " + ", ".join(known) if known else "it has none at all"))
        found[option] = convert("option %s of the %s %s" % (option, kind, name),
                                plugin.options[option][1], values[option])
    return found
