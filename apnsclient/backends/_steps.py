"""The way to a server, one step at a time, for whoever wants to know how far it leads.

The steps are taken by the code that opens connections, so that they prove what a connection can do.
What a step has opened is closed again at once.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..errors import ConnectError
from ._connect import Race, look_up
from ._names import display
from ._proxy import Tunnel

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

    from ._proxy import Proxy
    from ._waiting import Waiting

    Address = Tuple[str, int]
    Candidate = Tuple[int, int, int, Any]

__all__ = ["Steps"]


class _Reached(object):
    """Takes the place of a TLS handshake where there is to be none: it is complete at once."""

    progress = "accepted"

    def __init__(self, connected):
        # type: (Any) -> None
        self.handshake = self.engine = self

    def step(self):
        # type: () -> None
        """Return None, which is what a handshake that is complete does."""

    def feed(self, data):
        # type: (bytes) -> None
        """Ignore what came behind the proxy's response."""


class Steps(object):
    """The steps before TLS: the name lookup, TCP, and the tunnel through the proxy.

    :param address: ``(host, port)`` of the server.
    :param where: name of the server in messages (str).
    :param proxy: the Proxy, or None.
    :param waiting: how to wait.

    :ivar target: ``(host, port)`` that is connected to: that of the proxy, if there is one.
    """

    def __init__(self, address, where, proxy, waiting):
        # type: (Address, str, Optional[Proxy], Waiting) -> None
        self.target = address if proxy is None else proxy.address
        self._address = address
        self._where = where
        self._proxy = proxy
        self._waiting = waiting

    def look_up(self, timeout):
        # type: (Optional[float]) -> List[Candidate]
        """Look the target up.

        :param timeout: longest wait in seconds (float).
        :return: ``(family, kind, protocol, socket address)`` of each address, in the order in which
            they are tried.
        :raises ~apnsclient.errors.ConnectError: if it cannot be looked up.
        """
        deadline = self._waiting.deadline(timeout)
        return look_up(
            self.target, lambda: self._waiting.resolve(self.target[0], self.target[1], deadline),
            deadline, "" if self._proxy is None else "the proxy ")

    def connect(self, candidates, timeout):
        # type: (List[Candidate], Optional[float]) -> List[Optional[ConnectError]]
        """Connect to all addresses at once, each by itself.

        :param candidates: what :meth:`look_up` has returned.
        :param timeout: longest wait in seconds (float).
        :return: for each of them None, or why it cannot be connected to.
        """
        deadline = self._waiting.deadline(timeout)
        races = dict(
            (index, Race(display(one[3][:2]), [one], _Reached, deadline, self._waiting))
            for index, one in enumerate(candidates))
        problems = [None] * len(candidates)  # type: List[Optional[ConnectError]]
        try:
            while races:
                self._advance(races, problems)
                if races:
                    self._waiting.wait_for(
                        [each for race in races.values() for each in race.interests()], deadline)
        finally:
            for race in races.values():
                race.close()
        return problems

    def _advance(self, races, problems):
        # type: (Dict[int, Race], List[Optional[ConnectError]]) -> None
        """Go on with all races, and remove those that are over."""
        for index, race in list(races.items()):
            try:
                reached = race.advance()
            except ConnectError as error:
                problems[index] = error
                race.close()
            else:
                if reached is None:
                    continue
                reached[0].close()
            del races[index]

    def open_tunnel(self, candidates, timeout):
        # type: (List[Candidate], Optional[float]) -> None
        """Have the proxy open a tunnel to the server.

        :param candidates: addresses of the proxy, from :meth:`look_up`.
        :param timeout: longest wait in seconds (float).
        :raises ~apnsclient.errors.ConnectError: if it does not.
        """
        proxy = self._proxy
        if proxy is None:
            raise ValueError("there is no proxy to open a tunnel")
        request = proxy.request(self._address)

        def new_tunnel(connected):
            # type: (Any) -> Tunnel
            return Tunnel(connected, proxy, self._address, request, _Reached)

        Race(self._where, candidates, new_tunnel, self._waiting.deadline(timeout),
             self._waiting).run()[0].close()
