"""What becomes of connections: which handlers there are, with which options, and who gets which."""

from __future__ import absolute_import, division, print_function

import threading

import six

from ..._compat import MYPY
from .behavior import Behavior
from .handlers import Handler
from .protocols import Protocol
from .randomness import Dice
from .settings import defaults, merge

if MYPY:
    from typing import Any, Dict, List, Mapping, Optional, Tuple

    Settings = Mapping[str, Mapping[str, Any]]

__all__ = ["Plan"]


class Plan(object):
    """Behavior, handlers, and protocol of a proxy. May be used from many threads.

    :param proxy: what handlers have as their attribute ``proxy``; it is only handed on.
    :param seed: seed of the draws (int or str).
    :param aliases: further names for handlers: by name, the short or qualified name that is meant.
    :param protocol: short or qualified name of the protocol.
    :param protocol_settings: values for its options (mapping).
    :raises ConfigurationError: if there is no such protocol or option, or no such value.

    :ivar drawn: how many connections have drawn which handler (dict by name).
    """

    def __init__(self, proxy, seed, aliases, protocol, protocol_settings):
        # type: (Any, Any, Mapping[str, str], str, Mapping[str, Any]) -> None
        self._proxy = proxy
        self._seed = seed
        self._aliases = dict(aliases)
        #: Handlers that were asked for by qualified name.
        self._qualified = {}  # type: Dict[str, Any]
        self._may_import = True
        self._protocol = Protocol.get(protocol)
        self._protocol_settings = defaults(self._protocol)
        self._protocol_settings.update(
            merge("protocol", protocol, self._protocol, dict(protocol_settings)))
        #: Guards the rest.
        self._lock = threading.Lock()
        self._behavior = Behavior()
        self._settings = {}  # type: Dict[str, Dict[str, Any]]
        self.drawn = {}  # type: Dict[str, int]

    # Handlers and their options.

    def handler_names(self):
        # type: () -> List[str]
        """Return the short names and aliases of the handlers that there are."""
        return sorted(set(Handler.names()) | set(self._aliases))

    def handler_class(self, name):
        # type: (str) -> Any
        """Return the class of a handler.

        :param name: its short or qualified name, or an alias.
        :raises ConfigurationError: if there is none.
        """
        name = six.ensure_str(self._aliases.get(name, name))
        found = self._qualified.get(name)
        if found is None:
            found = Handler.get(name, self._may_import)
            if "." in name:
                self._qualified[name] = found
        return found

    def stop_importing(self):
        # type: () -> None
        """Have no more handlers imported: from here on, only those named by now are found.

        And those that are registered. It is for good, because what has been asked for may be looked
        up much later: a handler may leave connections to another one, which its options name.

        :raises ConfigurationError: if an alias stands for a handler that there is not.
        """
        for name in self._aliases:
            self.handler_class(name)
        self._may_import = False

    def settings(self, name):
        # type: (str) -> Dict[str, Any]
        """Return the values of all options of a handler."""
        values = defaults(self.handler_class(name))
        with self._lock:
            values.update(self._settings.get(name, {}))
        return values

    # Changes.

    @property
    def behavior(self):
        # type: () -> Behavior
        """Which handlers serve how many connections of a hundred."""
        return self._behavior

    def change(self, behavior=None, settings=None):
        # type: (Optional[str], Optional[Settings]) -> None
        """Change behavior and settings together, or with an exception nothing at all.

        :param behavior: the new behavior (str); None leaves it as it is.
        :param settings: values by handler and option, beside those that were set before.
        :raises ConfigurationError: if something of it cannot be used.
        """
        wanted = None if behavior is None else self._check_behavior(behavior)
        found = dict((name, self._check_settings(name, values))
                     for name, values in (settings or {}).items())
        with self._lock:
            for name, values in found.items():
                self._settings.setdefault(name, {}).update(values)
            if wanted is not None:
                self._behavior = wanted

    def _check_behavior(self, text):
        # type: (str) -> Behavior
        behavior = Behavior(text)
        for name in behavior.names:
            self.handler_class(name)
        return behavior

    def _check_settings(self, name, values):
        # type: (str, Mapping[str, Any]) -> Dict[str, Any]
        """Return values for options of a handler, converted."""
        handler = self.handler_class(name)
        found = merge("handler", name, handler, dict(values))
        if hasattr(handler, "check_settings"):
            handler.check_settings(self._proxy, found)
        return found

    # For a connection.

    def draw(self, number):
        # type: (int) -> Tuple[str, int]
        """Draw the handler of a connection.

        :param number: number of the connection (int).
        :return: name of the handler, and how many connections have drawn it by now.
        """
        with self._lock:
            name = self._behavior.choose(Dice(self._seed, number).random())
            self.drawn[name] = position = self.drawn.get(name, 0) + 1
        return name, position

    def new_handler(self, name, options, connection):
        # type: (str, Mapping[str, Any], Any) -> Any
        """Return a new handler for a connection, with the attributes that each one has.

        :param name: its short or qualified name, or an alias (str).
        :param options: values in place of those that were set, by option.
        :param connection: the connection, which has a ``number``; apart from that it is only handed
            on.
        :raises ConfigurationError: if there is no such handler or option.
        """
        found = self.handler_class(name)
        handler = found()
        handler.settings = dict(self.settings(name),
                                **merge("handler", name, found, dict(options)))
        handler.proxy = self._proxy
        handler.connection = connection
        handler.random = Dice(self._seed, connection.number, name)
        return handler

    def new_protocol(self, connection):
        # type: (Any) -> Any
        """Return a new protocol for a connection, which is only handed on."""
        made = self._protocol()
        made.settings = dict(self._protocol_settings)
        made.connection = connection
        return made
