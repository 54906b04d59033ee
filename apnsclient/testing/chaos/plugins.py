"""What can be plugged in, handlers and protocols: found by short name or by qualified name.

A plugin is a class with a ``name`` and with ``options``: a mapping from the name of an option to
``(description, type, default)``.
"""

from __future__ import absolute_import, division, print_function

import importlib
import inspect

import six

from ..._compat import MYPY
from .errors import ConfigurationError

if MYPY:
    from typing import Any, Dict, List, Tuple

__all__ = ["Plugins"]


class Plugins(object):
    """The base of a list of plugins; each list is a class of its own, with a table of its own."""

    #: What a plugin of this list is called in messages.
    kind = "plugin"
    #: Package of the modules that come with this library.
    package = ""
    #: Names of these modules; each registers what it defines.
    built_in = ()  # type: Tuple[str, ...]
    #: Name of the method without which a class is no plugin of this list.
    method = "__call__"

    _known = {}  # type: Dict[str, type]

    @classmethod
    def register(cls, plugin):
        # type: (Any) -> Any
        """Add a class to the list. May stand above the class as a decorator.

        :param plugin: class with the attributes ``name`` and ``options``.
        :return: the class.
        :raises ConfigurationError: if the class is no plugin of this kind, or another one has the
            same name.
        """
        cls.check(plugin)
        cls._load()  # First come, first served: those that come along have their names.
        found = cls._known.get(plugin.name)
        if found is not None and _path(found) != _path(plugin):
            raise ConfigurationError("there is a %s %r already, %s; give %s another name" % (
                cls.kind, str(plugin.name), _path(found), _path(plugin)))
        cls._known[str(plugin.name)] = plugin
        return plugin

    @classmethod
    def unregister(cls, name):
        # type: (str) -> None
        """Take a class off the list again; one that is not there is no error."""
        cls._known.pop(name, None)

    @classmethod
    def get(cls, name, may_import=True):
        # type: (str, bool) -> Any
        """Return the class of that name.

        :param name: short name, or module and class joined by dots.
        :param may_import: False finds registered classes only, and executes no code of a module.
        :raises ConfigurationError: if there is none, or it is no plugin of this kind.
        """
        cls._load()
        name = six.ensure_str(name)
        found = cls._known.get(name)
        if found is not None:
            return found
        if "." in name and may_import:
            return cls._import(name)
        raise ConfigurationError("there is no %s %r; expected one of %s, or %s" % (
            cls.kind, name, ", ".join(cls.names()),
            "the qualified name of a class" if may_import else
            "a qualified name that was given at the start: by now no module is imported any more"))

    @classmethod
    def names(cls):
        # type: () -> List[str]
        """Return the short names of the list in alphabetical order."""
        cls._load()
        return sorted(cls._known)

    @classmethod
    def check(cls, plugin):
        # type: (Any) -> None
        """Raise ConfigurationError if a class cannot be a plugin of this kind."""
        problem = None
        if not inspect.isclass(plugin):
            problem = "it is no class"
        elif not _is_text(getattr(plugin, "name", None)):
            problem = "its attribute name is no text"
        elif not _has_method(plugin, cls.method):
            problem = "it has no method %s" % cls.method
        elif not hasattr(plugin, "options"):
            problem = "it has no attribute options; where there are none, it is {}"
        else:
            problem = _problem_of_options(plugin.options)
        if problem is not None:
            raise ConfigurationError("%s is no %s: %s" % (_path(plugin), cls.kind, problem))

    @classmethod
    def _load(cls):
        # type: () -> None
        for name in cls.built_in:
            importlib.import_module("%s.%s" % (cls.package, name))

    @classmethod
    def _import(cls, name):
        # type: (str) -> Any
        module_name, _, attribute = name.rpartition(".")
        try:
            plugin = getattr(importlib.import_module(module_name), attribute)
        except Exception as error:  # Whatever a module does when it is imported.
            raise ConfigurationError("the %s %r cannot be imported: %s; expected module and class, "
                                     "joined by dots" % (cls.kind, name, error))
        cls.check(plugin)
        return plugin


def _has_method(plugin, name):
    # type: (Any, str) -> bool
    # Each class can be called, so the class itself always has __call__.
    return any(callable(vars(base).get(name)) for base in inspect.getmro(plugin))


def _is_text(name):
    # type: (Any) -> bool
    return isinstance(name, six.string_types) and bool(name)


def _problem_of_options(options):
    # type: (Any) -> Any
    """Return what is wrong with the options of a plugin (str), or None."""
    if not isinstance(options, dict):
        return "its attribute options is no mapping"
    for name, option in options.items():
        if not isinstance(option, tuple) or len(option) != 3 or not callable(option[1]):
            return ("its option %r is not (description, type, default)" % (name,))
    return None


def _path(plugin):
    # type: (Any) -> str
    name = getattr(plugin, "__name__", None)
    if name is None:
        return repr(plugin)
    return "%s.%s" % (getattr(plugin, "__module__", "?"), name)
