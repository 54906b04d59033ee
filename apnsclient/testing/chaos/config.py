"""The configuration file: an ini file that says what the command line says.

::

    [chaos]
    backend = localhost:2195
    behavior = 20:foobar

    [handler:foobar]
    callable = path.to.the.callable
    foo = bar

The first section may also be called ``[vaurien]``. A section ``[handler:NAME]`` has values for the
options of a handler; with ``callable`` it gives the handler of that qualified name another name.
``[protocol:NAME]`` has values for the options of a protocol.
"""

from __future__ import absolute_import, division, print_function

import io

import six
from six.moves import configparser

from ..._compat import MYPY, PY2
from .errors import ConfigurationError

if MYPY:
    from typing import Any, Dict, Iterable

__all__ = ["KEYS", "Configuration", "read_configuration"]

#: What the first section can hold, in the order of the documentation.
KEYS = ("proxy", "backend", "behavior", "protocol", "seed", "http", "timeout", "tls-cert",
        "client-cert", "ca-file")

_SECTIONS = ("chaos", "vaurien")


class Configuration(object):
    """What a configuration file says; all values are text (str).

    :ivar values: what stands in the first section, by key.
    :ivar handlers: values for the options of handlers, by name and option.
    :ivar aliases: the qualified name that a name stands for.
    :ivar protocols: values for the options of protocols, by name and option.
    """

    def __init__(self):
        # type: () -> None
        self.values = {}  # type: Dict[str, str]
        self.handlers = {}  # type: Dict[str, Dict[str, str]]
        self.aliases = {}  # type: Dict[str, str]
        self.protocols = {}  # type: Dict[str, Dict[str, str]]


def read_configuration(name):
    # type: (str) -> Configuration
    """Read a file.

    :param name: its name (str).
    :raises EnvironmentError: if it cannot be read.
    :raises ConfigurationError: if it is no ini file, or has sections or keys that mean nothing.
    """
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    shown = six.ensure_str(name)
    try:
        with io.open(name, encoding="utf-8-sig") as stream:
            _parse(parser, stream)
    except (configparser.Error, UnicodeError) as error:
        raise ConfigurationError("%r cannot be understood: %s" % (
            shown, " ".join(str(error).split())))
    found = Configuration()
    heads = [section for section in parser.sections() if section in _SECTIONS]
    if len(heads) > 1:
        raise ConfigurationError("%r has both a section [chaos] and a section [vaurien]; they mean "
                                 "the same, so keep one" % shown)
    for section in parser.sections():
        values = dict((str(key), six.ensure_str(value)) for key, value in parser.items(section))
        _take_section(found, str(section), values, shown)
    return found


def _parse(parser, stream):
    # type: (Any, Any) -> None
    if PY2:
        parser.readfp(stream)
    else:
        parser.read_file(stream)


def _take_section(found, section, values, shown):
    # type: (Configuration, str, Dict[str, str], str) -> None
    kind, _, name = section.partition(":")
    name = name.strip()
    if section in _SECTIONS:
        _check_keys(values, shown, section)
        found.values = values
    elif kind == "handler" and name:
        if "callable" in values:
            found.aliases[name] = values.pop("callable")
        found.handlers[name] = values
    elif kind == "protocol" and name:
        found.protocols[name] = values
    else:
        raise ConfigurationError("%r has a section [%s]; expected [chaos], [handler:NAME] or "
                                 "[protocol:NAME]" % (shown, section))


def _check_keys(keys, shown, section):
    # type: (Iterable[str], str, str) -> None
    for key in sorted(keys):
        if key not in KEYS:
            raise ConfigurationError("%r, section [%s]: there is no option %r; expected one of %s"
                                     % (shown, section, key, ", ".join(KEYS)))
