"""Defaults of arguments that are attributes of the class, so that a subclass overrides them."""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Any

__all__ = ["default", "settle"]


class _Default(object):
    """Stands in a signature for an attribute of the class; None has a meaning of its own there."""

    def __init__(self, name):
        # type: (str) -> None
        self.name = name

    def __repr__(self):
        # type: () -> str
        return self.name


def default(name):
    # type: (str) -> Any
    """Return what an argument defaults to: the attribute of that name, once the owner is known."""
    return _Default(name)


def settle(owner, value):
    # type: (Any, Any) -> Any
    """Return the value of an argument: as it was given, or the owner's attribute."""
    return getattr(owner, value.name) if isinstance(value, _Default) else value
