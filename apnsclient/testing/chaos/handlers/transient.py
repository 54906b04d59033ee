"""The handler ``transient``: another fault, but only at first."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from ..errors import ConfigurationError
from . import Handler
from .base import BaseHandler

if MYPY:
    from typing import Any, Dict

    from ..proxy import ChaosProxy
    from ..sockets import Stream

__all__ = ["Transient"]


@Handler.register
class Transient(BaseHandler):
    """Leaves the first connections, or those of the first seconds, to another handler.

    All later ones pass unharmed. It is decided once for each connection. The other handler has the
    options that are set for it under its own name.
    """

    name = "transient"
    options = {
        "handler": ("Name of the handler that the fault is left to.", str, "reset"),
        "connections": ("How many connections are faulty, of those that get this handler.",
                        settings.count, 1),
        "seconds": ("Seconds after the start of the proxy in which all of them are faulty.",
                    settings.seconds, 0.0),
    }

    _other = None  # type: Any

    @classmethod
    def check_settings(cls, proxy, values):
        # type: (ChaosProxy, Dict[str, Any]) -> None
        """Reject a handler that does not exist, and one that would never come to a fault."""
        name = values.get("handler", "reset")
        if issubclass(proxy.handler_class(name), Transient):
            raise ConfigurationError("option handler of the handler transient is %r: expected the "
                                     "name of another handler" % str(name))

    def _choose(self):
        # type: () -> Any
        """Return the handler that serves this connection."""
        if self._other is None:
            is_faulty = (self.connection.position <= self.option("connections")
                         or self.proxy.uptime < self.option("seconds"))
            self._other = self.delegate(self.option("handler") if is_faulty else "dummy")
        return self._other

    def _call(self, method, *arguments):
        # type: (str, *Any) -> Any
        """Call a method that a handler need not have."""
        found = getattr(self._choose(), method, None)
        return True if found is None else found(*arguments)

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Leave it to the other handler."""
        return self._choose()(client_sock, backend_sock, to_backend)

    def on_accept(self, client_sock):
        # type: (Stream) -> Any
        """Leave it to the other handler."""
        return self._call("on_accept", client_sock)

    def on_connect(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Leave it to the other handler."""
        return self._call("on_connect", client_sock, backend_sock)

    def on_take_over(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Leave it to the other handler."""
        return self._call("on_take_over", client_sock, backend_sock)

    def on_timer(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Leave it to the other handler."""
        return self._call("on_timer", client_sock, backend_sock)

    def on_close(self):
        # type: () -> None
        """Leave it to the other handler."""
        if self._other is not None:
            self._call("on_close")
