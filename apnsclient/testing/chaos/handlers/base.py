"""What handlers are made of; nobody has to derive from it, but it makes most faults short."""

from __future__ import absolute_import, division, print_function

import socket

from ...._compat import MYPY
from .. import settings, sockets

if MYPY:
    from typing import Any, Dict, FrozenSet, List, Optional, Tuple, cast

    from ..connection import Connection
    from ..proxy import ChaosProxy
    from ..randomness import Dice
    from ..sockets import Stream

__all__ = ["BaseHandler", "DIRECTION"]

#: The option ``direction``, for the mapping ``options`` of a handler that acts one way or both.
DIRECTION = ("Which way it acts: to_backend, to_client or both.", settings.direction, "both")


class BaseHandler(object):
    """A handler that passes everything on, and the tools to do something else.

    There is a new handler for each connection, so that its attributes are about that connection
    alone, and all of its methods are called by the connection's own thread.

    :cvar name: short name (str).
    :cvar options: by name, ``(description, type, default)``. A type is ``bool``, ``int``,
        ``float``, ``str``, or a function that returns the value or raises ValueError.
    :ivar settings: values of the options by name.
    :ivar proxy: the proxy (:class:`.ChaosProxy`).
    :ivar connection: the connection
        (:class:`~apnsclient.testing.chaos.connection.Connection`).
    :ivar random: random numbers that are the same for the same seed (:class:`.Dice`).
    """

    name = ""
    options = {}  # type: Dict[str, Tuple[str, Any, Any]]

    settings = None  # type: Any
    _noted = frozenset()  # type: FrozenSet[str]
    if MYPY:
        # There before anything else of a handler is called.
        proxy = cast(ChaosProxy, None)
        connection = cast(Connection, None)
        random = cast(Dice, None)

    # What a handler defines.

    @classmethod
    def check_settings(cls, proxy, values):
        # type: (ChaosProxy, Dict[str, Any]) -> None
        """Check options when they are set, for what their types alone cannot check.

        :param proxy: the proxy that the options are set of.
        :param values: the options that are set, converted already.
        :raises ConfigurationError: if they cannot be used; nothing is set then.
        """

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Called whenever data, or the end of the stream, can be read on one side.

        What is not read here is passed on unchanged by the proxy, unless :meth:`pause` was called.

        :param client_sock: stream to the client.
        :param backend_sock: stream to the backend.
        :param to_backend: True if there is something on the client's side, which is supposed to go
            to the backend, False for the other way.
        :return: something true to go on, something false to close the connection.
        """
        self.forward(client_sock, backend_sock, to_backend)
        return True

    def on_accept(self, client_sock):
        # type: (Stream) -> Any
        """Called when a client has connected, before there is a connection to the backend, and TLS.

        :return: something true to go on, something false to close the connection.
        """
        return True

    def on_connect(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Called when both sides are connected, and with TLS both handshakes are complete.

        :return: something true to go on, something false to close the connection.
        """
        return True

    def on_take_over(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Called in place of the two above when an open connection gets this handler.

        :return: something true to go on, something false to close the connection.
        """
        return True

    def on_timer(self, client_sock, backend_sock):
        # type: (Stream, Stream) -> Any
        """Called when the time is up that was given to ``self.connection.set_timer()``.

        :return: something true to go on, something false to close the connection.
        """
        return True

    def on_close(self):
        # type: () -> None
        """Called when the connection is about to be closed, whatever the reason."""

    # What it is made with.

    def option(self, name):
        # type: (str) -> Any
        """Return the value of an option.

        :raises KeyError: if the handler has no such option.
        """
        values = self.settings or {}
        return values[name] if name in values else self.options[name][2]

    def applies(self, to_backend):
        # type: (bool) -> bool
        """Return True if the option ``direction`` includes a direction; True if there is none."""
        if "direction" not in self.options:
            return True
        return self.option("direction") in ("both", direction_name(to_backend))

    @staticmethod
    def source(client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Stream
        """Return the side that the data come from."""
        return client_sock if to_backend else backend_sock

    @staticmethod
    def destination(client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Stream
        """Return the side that they are supposed to go to."""
        return backend_sock if to_backend else client_sock

    def read(self, client_sock, backend_sock, to_backend, size=sockets.CHUNK):
        # type: (Stream, Stream, bool, int) -> bytes
        """Read what has come, up to ``size`` bytes; the end of the stream is empty."""
        return self.source(client_sock, backend_sock, to_backend).recv(size)

    def _get_data(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> bytes
        """Do what :meth:`read` does."""
        return self.read(client_sock, backend_sock, to_backend)

    def write(self, client_sock, backend_sock, to_backend, data):
        # type: (Stream, Stream, bool, bytes) -> None
        """Send ``data`` where they are supposed to go; nothing stands for the end of the stream."""
        destination = self.destination(client_sock, backend_sock, to_backend)
        if data:
            destination.sendall(data)
        else:
            destination.shutdown(socket.SHUT_WR)

    def forward(self, client_sock, backend_sock, to_backend, size=sockets.CHUNK):
        # type: (Stream, Stream, bool, int) -> bytes
        """Read up to ``size`` bytes and pass them on, or the end of the stream; return the bytes.

        The other direction stays as it is at the end of the stream.
        """
        data = self.read(client_sock, backend_sock, to_backend, size)
        self.write(client_sock, backend_sock, to_backend, data)
        return data

    def pause(self, to_backend, seconds=None):
        # type: (bool, Optional[float]) -> None
        """Leave one direction alone for a while; the other one goes on.

        What was not read is still there afterwards, and the handler is called for it.

        :param to_backend: the direction.
        :param seconds: time in seconds; None until the handler is changed.
        """
        self.connection.pause(to_backend, seconds)

    def sleep(self, seconds):
        # type: (float) -> None
        """Wait, for both directions; unlike ``time.sleep``, stopping the proxy ends it."""
        self.connection.sleep(seconds)

    def note(self, text):
        # type: (str) -> None
        """Put a fault into the record of the connection, in a few words (str)."""
        self.connection.add_fault(text)

    def note_once(self, text):
        # type: (str) -> None
        """Put a fault into the record, unless this handler has put it there before.

        For a fault that strikes with all that passes.

        :param text: what was done, in a few words (str).
        """
        if text not in self._noted:
            self._noted |= frozenset([text])
            self.note(text)

    def frame_ends(self, data, to_backend):
        # type: (bytes, bool) -> List[int]
        """Return where in ``data`` a frame of the proxy's protocol ends.

        To be called once with all that is read in a direction, in order: it keeps count of frames
        that come in several pieces.

        :return: numbers from 1 to ``len(data)``, in ascending order.
        """
        return self.connection.protocol.frame_ends(data, to_backend)

    def delegate(self, name, **options):
        # type: (str, **Any) -> Any
        """Return another handler for the same connection, whose methods this one may call.

        :param name: its short or qualified name.
        :param options: values for its options, in place of those that the proxy has for it.
        :raises ConfigurationError: if there is no such handler or option.
        """
        return self.connection.new_handler(name, **options)


def direction_name(to_backend):
    # type: (bool) -> str
    """Return the name of a direction."""
    return "to_backend" if to_backend else "to_client"
