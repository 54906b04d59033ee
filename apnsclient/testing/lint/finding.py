"""What lint says, the rules that say it, and their sources."""

from __future__ import absolute_import, division, print_function

import json
from collections import namedtuple

import six

from ..._compat import MYPY

if MYPY:
    from typing import Any, Dict, Iterable, List

__all__ = ["ERROR", "Finding", "NOTE", "Place", "Rule", "WARNING", "apply_rules", "is_number",
           "is_text", "show"]

#: Apple rejects it, or it cannot work.
ERROR = "error"
#: It will not do what was meant.
WARNING = "warning"
#: Worth a look.
NOTE = "note"

#: Characters of a value in a message, at most.
_MOST_CHARACTERS = 60


class Finding(namedtuple("Finding", "rule severity message source field")):
    """Something about a notification that is wrong, or worth a look.

    :ivar rule: name of the rule (str), such as ``"missing-push-type"``.
    :ivar severity: ``"error"`` (Apple rejects it, or it cannot work), ``"warning"`` (it will not do
        what was meant) or ``"note"`` (str).
    :ivar message: what it is, and what to do (str). It is ASCII, and bounded: what it quotes of the
        notification has escapes.
    :ivar source: Apple's page by its title, or where it has been seen (str).
    :ivar field: which part it is about (str): a header field, or a key such as ``"aps.badge"``.
    """

    __slots__ = ()

    def as_dict(self):
        # type: () -> Dict[str, str]
        """Return it as a plain dict, as the HTTP API has it."""
        return dict(self._asdict())


class Place(namedtuple("Place", "field message")):
    """One of several things that a rule finds, each in a field of its own."""

    __slots__ = ()


class Rule(namedtuple("Rule", "name severity find field source")):
    """One thing that can be wrong.

    :ivar name: its name (str).
    :ivar severity: as a finding has it.
    :ivar find: function that returns what is wrong: a message (str), a list of :class:`Place`, or
        something that is false.
    :ivar field: which part it is about (str), unless ``find`` says so.
    :ivar source: as a finding has it.
    """

    __slots__ = ()


def apply_rules(rules, subject, findings):
    # type: (Iterable[Rule], Any, List[Finding]) -> None
    """Add what rules find to a list."""
    for name, severity, find, field, source in rules:
        found = find(subject)  # type: Any
        if not found:
            continue
        if isinstance(found, six.string_types):
            findings.append(Finding(name, severity, str(found), source, field))
        else:
            findings.extend(
                Finding(name, severity, place.message, source, place.field) for place in found)


def is_number(value):
    # type: (Any) -> bool
    """Return True for a number of JSON; ``true`` is none."""
    return isinstance(value, six.integer_types + (float,)) and not isinstance(value, bool)


def is_text(value):
    # type: (Any) -> bool
    """Return True for a string of JSON."""
    return isinstance(value, six.string_types)


def show(value):
    # type: (Any) -> str
    """Return a value of a notification as it may stand in a message: short, and ASCII."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if is_text(value):
        return str(json.dumps(_shorten(value)))
    if is_number(value):
        return _shorten(repr(value).rstrip("L"))
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return {True: "true", False: "false"}.get(value, "null")


def _shorten(text):
    # type: (Any) -> Any
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
