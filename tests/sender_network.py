"""Time, and connections in it, for tests of the sender: what is sent arrives half a trip later.

The time is a number that goes on from one event to the next, so that nothing here waits.
"""

from __future__ import absolute_import, division, print_function

import heapq
import itertools
import sys
from collections import deque

from apnsclient.errors import ConnectError
from apnsclient.protocols.http2.frames import SETTINGS_ACK
from apnsclient.sending.http2_connection import SenderConnection
from sender_peer import ScriptedServer, Tap

__all__ = ["START", "Line", "Network", "failure_of"]

ADDRESS = ("api.push.apple.com", 443)
#: The time at the beginning: clocks do not start at 0.
START = 1024.0


class Network(object):
    """Time, and what happens in it.

    :ivar now: the time in seconds.
    :ivar has_news: whether anything has happened that the shell waits for; the shell resets it.
    """

    def __init__(self):
        self.now = START
        self.has_news = False
        self._events, self._counter = [], itertools.count()

    def after(self, seconds, function):
        """Have a function called later."""
        heapq.heappush(self._events, (self.now + seconds, next(self._counter), function))

    @property
    def next_at(self):
        """When the next thing happens, or None."""
        return self._events[0][0] if self._events else None

    def step(self):
        """Go on to the next thing that happens."""
        at, _, function = heapq.heappop(self._events)
        self.now = max(self.now, at)
        function()

    def pass_until(self, moment):
        """Let time pass."""
        while self._events and self._events[0][0] <= moment:
            self.step()
        self.now = max(self.now, moment)


class Line(object):
    """A connection between a shell and a server.

    :param script: :class:`~sender_peer.Script` of the server.
    :param world: has ``network``, ``trip``, ``credential``, ``flights`` and ``processed``.

    :ivar state: what the sender knows of it.
    :ivar inbox: what has come and was not read: bytes, None for the end, or a refusal, which is the
        ``sys.exc_info()`` of it.
    :ivar faults: what is to happen to the next writes: "break", "interrupt", "no write".
    """

    def __init__(self, script, world):
        self._network, self._way, self._cuts = world.network, world.trip / 2, script.cuts
        self.state = SenderConnection(ADDRESS, world.credential, world.network.now)
        self.tap = Tap(world.flights)
        self.inbox, self.faults, self._coming = deque(), [], deque()
        self._is_refusing, self._has_said_all = script.opening == "alert", False
        self.server = ScriptedServer(
            script, world.network, world.processed, self._tell, self.faults)

    def greet(self, sender, now):
        """Have both sides say their first words, as soon as there is a connection."""
        data = self.state.output(now)
        self.tap.write(data, now)
        self.server.connection.receive(data)
        said = self.server.connection.take_output()
        if self._is_refusing:
            # It has read nothing, and acknowledges nothing.
            said = said.replace(SETTINGS_ACK, b"")
        sender.receive(self.state, said, now)
        self.server.receive(b"")

    def transmit(self, data):
        """Send bytes to the server."""
        if data:
            self._network.after(self._way, lambda: self._arrive(data))

    def _arrive(self, data):
        if self._is_refusing:
            self._say([failure_of(ConnectError("alert"))])
            self._is_refusing, self._has_said_all = False, True
        elif not self._has_said_all:
            self.server.receive(data)

    def _tell(self):
        """Send to the client what the server has to say."""
        if self._has_said_all:
            return
        data = self.server.connection.take_output()
        self._has_said_all = self.server.has_last_word
        pieces = list(_cut(data, self._cuts)) + [None] * self._has_said_all
        if pieces:
            self._say(pieces)

    def _say(self, pieces):
        self._coming.extend(pieces)
        for _ in pieces:
            self._network.after(self._way, self._reach)

    def _reach(self):
        self.inbox.append(self._coming.popleft())
        self._network.has_news = True

    def close(self):
        """Have the client forget it; what is on its way to the server arrives."""
        self.inbox.clear()
        now = self._network.now
        self.tap.write(self.state.output(now), now)
        self.tap.end()


def failure_of(error):
    """Return the ``sys.exc_info()`` of an exception."""
    try:
        raise error
    except type(error):
        return sys.exc_info()


def _cut(data, sizes):
    """Yield the pieces of data of these sizes, all over again."""
    sizes, position = itertools.cycle(sizes or [len(data) or 1]), 0
    while position < len(data):
        size = next(sizes)
        yield data[position:position + size]
        position += size
