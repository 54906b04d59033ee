"""The options of ``apns chaos`` that depend on the handlers and protocols in use.

``--handler-NAME-OPTION`` exists for each option of each handler: those of this package, those that
the behavior gives by qualified name, and those in the configuration file. So these options are
added when the arguments are known, just before they are parsed.
"""

from __future__ import absolute_import, division, print_function

import argparse
import os
import sys

from .._compat import MYPY

if MYPY:
    from typing import Any, Dict, Iterator, List, Tuple

__all__ = ["add_plugin_arguments", "import_chaos"]


def import_chaos():
    # type: () -> Any
    """Return the package, after making the current directory a place to import handlers from."""
    from ..testing import chaos

    # At the end, so that no file there hides an installed package.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    return chaos


class _Store(argparse.Action):
    """Collects ``(name of the handler, option, value)``."""

    def __call__(self, parser, namespace, values, option_string=None):
        # type: (Any, Any, Any, Any) -> None
        target, keys = self.const
        found = list(getattr(namespace, target))
        found += [(name, option, values) for name, option in keys]
        setattr(namespace, target, found)


def add_plugin_arguments(parser, arguments):
    # type: (argparse.ArgumentParser, List[str]) -> None
    """Add the options of handlers and protocols to a parser.

    Errors in the behavior and in the configuration are not reported here, but when they are used.
    """
    for kind, title, plugins in _plugins(arguments):
        group = parser.add_argument_group(title)
        target = kind + "_options"
        parser.set_defaults(**{target: []})
        table = _table(kind, plugins)
        for flag in sorted(table):
            spellings, keys, (what, _, default) = table[flag]
            group.add_argument(
                *spellings, metavar="VALUE", action=_Store, const=(target, keys),
                dest="plugin_option", default=argparse.SUPPRESS, help=_help(what, default))


def _plugins(arguments):
    # type: (List[str]) -> Iterator[Tuple[str, str, Dict[str, Any]]]
    """Yield kind, title, and classes by the name that their options are kept under."""
    import_chaos()
    from ..testing.chaos.behavior import Behavior
    from ..testing.chaos.config import Configuration, read_configuration
    from ..testing.chaos.errors import ConfigurationError
    from ..testing.chaos.handlers import Handler
    from ..testing.chaos.protocols import Protocol

    given = _scan(arguments)
    config = Configuration()
    if given.config is not None:
        try:
            config = read_configuration(given.config)
        except (EnvironmentError, ConfigurationError):
            pass
    try:
        names = Behavior(given.behavior or config.values.get("behavior", "")).names
    except ConfigurationError:
        names = []
    names += [name for name in config.aliases if name not in names]
    yield "handler", "options of handlers", _find(
        Handler, Handler.names() + names, config.aliases, ConfigurationError)
    protocol = given.protocol or config.values.get("protocol")
    yield "protocol", "options of protocols", _find(
        Protocol, Protocol.names() + ([protocol] if protocol else []), {}, ConfigurationError)


def _scan(arguments):
    # type: (List[str]) -> argparse.Namespace
    """Return the arguments that name handlers and protocols."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("--behavior", "--config", "--protocol"):
        parser.add_argument(name, nargs="?")
    return parser.parse_known_args([each for each in arguments if not each.startswith((
        "--handler-", "--protocol-"))])[0]


def _find(plugins, names, aliases, error):
    # type: (Any, List[str], Dict[str, str], Any) -> Dict[str, Any]
    found = {}
    for name in names:
        try:
            found[name] = plugins.get(aliases.get(name, name))
        except error:
            pass  # It is reported when it is used.
    return found


def _table(kind, plugins):
    # type: (str, Dict[str, Any]) -> Dict[str, Any]
    """Return, by flag, its spellings, the options that it sets, and a description of one of them.

    A class that is given by its qualified name has its short name in the flag.
    """
    table = {}  # type: Dict[str, Any]
    for name in sorted(plugins):
        short = plugins[name].name if "." in name else name
        for option, description in plugins[name].options.items():
            flag = "--%s-%s-%s" % (kind, short, option)
            other = flag.replace("_", "-")
            entry = table.setdefault(other, (
                [flag] if flag == other else [other, flag], [], description))
            entry[1].append((name, option))
    return table


def _help(what, default):
    # type: (str, Any) -> str
    text = what.rstrip(".").replace("%", "%%")
    shown = "%s" % (default,)
    if default is None or isinstance(default, bool):
        shown = shown.lower()  # As on the command line and in a file.
    return "%s (default: %s)" % (text[:1].lower() + text[1:], shown.replace("%", "%%"))
