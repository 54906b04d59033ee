"""Defaults of arguments that are class attributes, so that a subclass can override them."""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Any

__all__ = ["default", "resolve_default"]


class _Default(object):
    """Represents a class attribute in a signature, where None has a meaning of its own."""

    def __init__(self, name):
        # type: (str) -> None
        self.name = name

    def __repr__(self):
        # type: () -> str
        return self.name


def default(name):
    # type: (str) -> Any
    """Return a default for an argument: the attribute of that name of the owner."""
    return _Default(name)


def resolve_default(owner, value):
    # type: (Any, Any) -> Any
    """Return the value of an argument: the value that was passed, or the owner's attribute."""
    return getattr(owner, value.name) if isinstance(value, _Default) else value
