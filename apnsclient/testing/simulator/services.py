"""The services of the binary protocol: what is said, between the policy and the channels.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from binascii import hexlify
from collections import deque

import six

from ..._compat import MYPY
from ...protocols.binary import NotificationParser, encode_error
from ...protocols.feedback import encode_feedback
from .channel import Channel, Handler, close_quietly, refuse
from .policy import SHUT_DOWN, Conversation
from .script import CLOSE, ERROR, GARBAGE, RESET, STALL, FeedbackScript, Script

if MYPY:
    import socket
    from typing import Any, Deque, Iterator, List, Optional, Set

    from .devices import Devices, Row
    from .loop import Loop, Timer
    from .policy import Ending, Limits
    from .record import Record

__all__ = ["FeedbackService", "GatewayService", "ScriptedService", "Service"]

#: Feedback rows that are handed to a channel in one go.
_ROWS_PER_TURN = 1024


class Service(object):
    """What all services need: channels, and scripts for those to come.

    :param loop: the event loop (:class:`.loop.Loop`).
    :param context: SSL.Context of its channels.
    :param record: what happened (:class:`.record.Record`).
    :param devices: registry of devices (:class:`.devices.Devices`).
    :param script: how a connection goes for which there is no other script.
    :param linger: seconds (float) for which a channel that is finished discards what arrives.
    """

    def __init__(self, loop, context, record, devices, script, linger):
        # type: (Loop, Any, Record, Devices, Any, float) -> None
        self.loop = loop
        self.record = record
        self.devices = devices
        self.scripts = deque()  # type: Deque[Any]
        self.channels = set()  # type: Set[Channel]
        self._default_script = script
        self._context = context
        self._linger = linger

    def accept(self, sock):
        # type: (socket.socket) -> None
        """Take a connection that was just accepted."""
        self._serve(sock, self.next_script())

    def next_script(self):
        # type: () -> Any
        """Return the script of the connection that comes next."""
        script = self.scripts.popleft() if self.scripts else None
        return self._default_script if script is None else script

    def _serve(self, sock, script):
        # type: (socket.socket, Any) -> None
        handler = self.new_handler(script)
        self.channels.add(Channel(self.loop, sock, self._context, handler, self._linger))

    def new_handler(self, script):
        # type: (Any) -> Handler
        """Return the handler of a connection with a script."""
        raise NotImplementedError

    def opened(self, channel, **counts):
        # type: (Channel, **int) -> None
        """Count a channel whose handshake is complete."""
        self.record.add(resumed=0 if channel.verified else 1, **counts)

    def closed(self, channel):
        # type: (Channel) -> None
        """Forget a channel that is closed."""
        self.channels.discard(channel)
        if not channel.is_established:
            self.record.add(refused=1)

    def disconnect(self, reset):
        # type: (bool) -> int
        """Close all channels whose handshake is complete; return how many that were."""
        channels = [channel for channel in self.channels if channel.is_established]
        for channel in channels:
            if reset:
                channel.reset()
            else:
                channel.finish()
        return len(channels)

    def close(self):
        # type: () -> None
        """Close all channels at once."""
        for channel in list(self.channels):
            channel.close()

    def abandon(self):
        # type: () -> None
        """Close the descriptors alone: for a forked child."""
        for channel in self.channels:
            channel.abandon()


class ScriptedService(Service):
    """A service whose scripts can have connections refused or left alone before the handshake."""

    def __init__(self, loop, context, record, devices, script, linger):
        # type: (Loop, Any, Record, Devices, Any, float) -> None
        super(ScriptedService, self).__init__(loop, context, record, devices, script, linger)
        self._stalled = []  # type: List[socket.socket]

    def _serve(self, sock, script):
        # type: (socket.socket, Any) -> None
        if script.refuse:
            self.record.add(refused=1)
            refuse(sock)
        elif script.stall_handshake:
            self._stalled.append(sock)
        else:
            super(ScriptedService, self)._serve(sock, script)

    def close(self):
        # type: () -> None
        super(ScriptedService, self).close()
        for sock in self._stalled:
            close_quietly(sock)
        del self._stalled[:]

    def abandon(self):
        # type: () -> None
        super(ScriptedService, self).abandon()
        for sock in self._stalled:
            sock.close()


class GatewayService(ScriptedService):
    """The gateway.

    :param limits: :class:`.policy.Limits`; the other parameters are those of :class:`Service`.
    """

    def __init__(self, loop, context, record, devices, script, linger, limits):
        # type: (Loop, Any, Record, Devices, Script, float, Limits) -> None
        super(GatewayService, self).__init__(loop, context, record, devices, script, linger)
        self.limits = limits
        self.held = []  # type: List[_GatewayHandler]

    def new_handler(self, script):
        # type: (Script) -> Handler
        """Return the handler of a connection; see the base class."""
        return _GatewayHandler(self, script)

    def release_held(self):
        # type: () -> int
        """Send the error frames that are held back; return how many that were."""
        held, self.held = self.held, []
        self.record.add(held=-len(held))
        for handler in held:
            handler.answer()
        return len(held)

    def drop_held(self, handler):
        # type: (_GatewayHandler) -> None
        """Forget the error frame of a connection that is closed."""
        if handler in self.held:
            self.held.remove(handler)
            self.record.add(held=-1)


class _GatewayHandler(Handler):
    """One connection to the gateway."""

    def __init__(self, service, script):
        # type: (GatewayService, Script) -> None
        self._service = service
        self._script = script
        self._parser = NotificationParser()
        self._conversation = Conversation(service.devices, service.limits, script)
        self._channel = None  # type: Optional[Channel]
        self._number = 0
        self._timer = None  # type: Optional[Timer]
        self._ending = None  # type: Optional[Ending]
        self._refused_token = None  # type: Optional[str]

    def opened(self, channel):
        # type: (Channel) -> None
        self._channel = channel
        self._service.opened(channel, connections=1, open_connections=1)
        self._number = self._service.record.connections
        self._end(self._conversation.begin())

    def received(self, channel, data):
        # type: (Channel, bytes) -> None
        if self._ending is not None:
            return
        notifications = self._parser.feed(data)
        accepted, ending = self._conversation.receive(notifications, self._parser.error)
        if accepted:
            self._service.record.accept(self._number, accepted)
        if ending is not None and ending.status not in (None, SHUT_DOWN):
            refused = notifications[len(accepted):len(accepted) + 1]
            self._refused_token = "".join(
                six.ensure_str(hexlify(one.token or b"")) for one in refused) or None
        self._end(ending)

    def ended(self, channel):
        # type: (Channel) -> None
        # An error frame that is on its way still goes out: the client may be reading.
        if self._ending is None:
            channel.finish()

    def closed(self, channel, orderly):
        # type: (Channel, bool) -> None
        if self._timer is not None:
            self._timer.cancel()
        self._service.drop_held(self)
        self._service.closed(channel)
        if channel.is_established:
            self._service.record.add(open_connections=-1)

    def answer(self):
        # type: () -> None
        """Send the error frame, and close."""
        ending, channel = self._ending, self._channel
        if ending is not None and channel is not None:
            self._service.record.answer(self._number, ending.status, ending.identifier,
                                        token=self._refused_token)
            channel.send(encode_error(ending.status, ending.identifier))
            channel.finish()

    def _end(self, ending):
        # type: (Optional[Ending]) -> None
        channel = self._channel
        if ending is None or channel is None:
            return
        self._ending = ending
        if ending.kind == ERROR:
            self._answer_in_time()
        elif ending.kind == STALL:
            channel.pause()
        elif ending.kind == RESET:
            channel.reset()
        else:
            if ending.kind == GARBAGE:
                channel.send(self._script.garbage)
            channel.finish()

    def _answer_in_time(self):
        # type: () -> None
        if self._script.hold:
            self._service.held.append(self)
            self._service.record.add(held=1)
        elif self._script.delay:
            self._timer = self._service.loop.call_later(self._script.delay, self.answer)
        else:
            self.answer()


class FeedbackService(Service):
    """The feedback service: the list at once, then the end of the stream."""

    def new_handler(self, script):
        # type: (FeedbackScript) -> Handler
        """Return the handler of a connection; see the base class."""
        return _FeedbackHandler(self, script)


class _FeedbackHandler(Handler):
    """One connection to the feedback service.

    The rows are taken off the list once the client has read to the end of the stream and has ended
    its own side. A connection that fails takes nothing off the list: what the client has not read
    is there the next time, and what it has read is there again.
    """

    def __init__(self, service, script):
        # type: (FeedbackService, FeedbackScript) -> None
        self._service = service
        self._ending = script.ending[0] if script.ending else CLOSE
        self._limit = script.ending[1] if script.ending else None  # type: Optional[int]
        self._garbage = script.garbage
        self._rows = []  # type: List[Row]
        self._whole = 0

    def opened(self, channel):
        # type: (Channel) -> None
        self._service.opened(channel, feedback_connections=1)
        self._rows = self._service.devices.feedback_rows()
        channel.send_all(self._stream())

    def drained(self, channel):
        # type: (Channel) -> None
        if self._ending == STALL:
            channel.pause()
        elif self._ending == RESET:
            channel.reset()
        else:
            channel.finish()

    def ended(self, channel):
        # type: (Channel) -> None
        # A client may end its side at once: it has nothing to say.
        pass

    def closed(self, channel, orderly):
        # type: (Channel, bool) -> None
        self._service.closed(channel)
        if orderly and channel.is_established:
            self._service.devices.clear_feedback(self._rows[:self._whole])
            self._service.record.add(feedback_count=self._whole)

    def _stream(self):
        # type: () -> Iterator[bytes]
        left = self._limit
        for start in range(0, len(self._rows), _ROWS_PER_TURN):
            encoded = [encode_feedback(when, token)
                       for token, when in self._rows[start:start + _ROWS_PER_TURN]]
            if left is None:
                self._whole += len(encoded)
                yield b"".join(encoded)
                continue
            size = 0
            for row in encoded:
                size += len(row)
                self._whole += size <= left
            if left:
                yield b"".join(encoded)[:left]
            left -= min(left, size)
        garbage = self._garbage[:left]
        if garbage:
            yield garbage
