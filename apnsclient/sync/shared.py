"""What the handles of a session share."""

from __future__ import absolute_import, division, print_function

import logging
from functools import partial

from .._compat import MYPY
from .._feedback_buffer import FeedbackBuffer
from .._interrupts import is_interrupt
from .._process import this_process
from ..feedback_store import source_of
from ..sending.http2 import Sender
from ..sending.refusals import Refusals
from ._lifetime import Closer
from ._notices import WarnOnce
from ._observing import Observation, count_undelivered
from .gateway import Gateway
from .host import Host
from .lease import GuardedSender, Lease, send_goaway
from .opening import Opener

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple, Union

    from .._timing import Timing
    from ..backends import BaseBackend, BaseConnection
    from ..certificate import BaseCertificate
    from ..events import Event
    from ..feedback_store import FeedbackStore
    from ..provider_token import ProviderToken
    from ..result import Result
    from ..sending.facts import Facts

    Address = Tuple[str, int]
    Credential = Union[BaseCertificate, ProviderToken]

__all__ = ["Shared"]

#: The session speaks through these, wherever in the package that is.
_log = logging.getLogger("apnsclient.transport")


#: How many hosts are kept although nobody uses them.
_MANY_HOSTS = 16


class Settings(object):
    """What a session was told that counts for each call from then on.

    :ivar timing: timeouts and buffer sizes (``Timing``).
    :ivar ping_after: seconds of idleness after which a connection is pinged (float), or None.
    :ivar keep_ids: whether results have the identifiers of what was accepted (bool).
    """

    def __init__(self, timing, ping_after, keep_ids):
        # type: (Timing, Optional[float], bool) -> None
        self.timing = timing
        self.ping_after = ping_after
        self.keep_ids = keep_ids


class Shared(object):
    """The back-end of a session, who uses it, and what the session was told.

    For the arguments see :class:`~apnsclient.transport.Session`.

    :ivar feedback: keeps dead tokens until the store has them.
    :ivar on_late_result: the argument.
    :ivar observation: tells the observer what happens (:class:`~._observing.Observation`); None if
        there is none.
    :ivar warn: called with what to warn of in a message (str), which is logged once.
    """

    def __init__(self, backend, timing, ping_after, on_late_result, feedback_store, keep_ids,
                 observer=None):
        # type: (BaseBackend, Timing, Optional[float], Optional[Callable[[Result], None]], FeedbackStore, bool, Optional[Callable[[Event], Any]]) -> None  # noqa: E501
        self.observation = None if observer is None else Observation(observer, backend, _log)
        self.feedback = FeedbackBuffer(feedback_store, backend.create_lock, backend.clock)
        self.use(backend)
        self.settings = Settings(timing, ping_after, keep_ids)
        self.warn = WarnOnce(_log)
        self.refusals = Refusals(self.warn)
        self.on_late_result = on_late_result

    def use(self, backend):
        # type: (BaseBackend) -> None
        """Go on with another back-end; what is idle in the pool of the last one is closed."""
        self.backend = backend
        if self.observation is not None:
            self.observation.backend = backend
        # By process, address and credential.
        self._hosts = {}  # type: Dict[Any, Host]
        self._closer = Closer(backend, self.feedback)

    def host(self, address, certificate, is_cached, last=None):
        # type: (Address, Credential, bool, Optional[Host]) -> Host
        """Return what brings callers and connections together.

        Callers share connections where the back-end can wait for several; else each call has what
        it needs for itself. So has one in a signal handler that interrupts another, and a handle
        whose connections are not pooled.

        :param last: what the call had before, if it goes on (:class:`~.host.Host`).
        """
        if last is not None and last.process == this_process():
            return last
        if is_cached and self.backend.can_share:
            host = self._shared_host(address, certificate)
            if not host.is_driven_from_here():
                return host
        return self._new_host(address, certificate, is_cached, False)

    def _shared_host(self, address, certificate):
        # type: (Address, Credential) -> Host
        key = this_process(), address, certificate
        host = self._hosts.get(key)
        if host is None:
            if len(self._hosts) >= _MANY_HOSTS:
                self.forget_idle_hosts()
            host = self._hosts.setdefault(key, self._new_host(address, certificate, True, True))
        return host

    def _new_host(self, address, certificate, is_cached, is_shared):
        # type: (Address, Credential, bool, bool) -> Host
        opener = Opener(self.backend, address, certificate, is_cached, self.settings)
        return Host(self.backend, opener, certificate, self.settings,
                    self.gone_reporter(address, certificate), is_shared, self.observation)

    def forget_idle_hosts(self):
        # type: () -> None
        """Forget hosts that nobody uses. Whoever is about to use one gets another the next time."""
        for key, host in list(self._hosts.items()):
            if host.is_idle or key[0] != this_process():
                self._hosts.pop(key, None)

    def deadline(self, timeout):
        # type: (Optional[float]) -> Optional[float]
        """Return when a call has to be over that may take so many seconds (float), or None."""
        return None if timeout is None else self.backend.clock() + timeout

    def count_callers(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[Credential]) -> int
        """Return how many callers wait: for a connection, or for responses that another takes."""
        waiting = self.backend.waiting_count(address, certificate)
        for key, host in list(self._hosts.items()):
            if address in (None, key[1]) and certificate in (None, key[2]):
                waiting += host.follower_count
        return waiting

    def facts(self, address, protocol):
        # type: (Address, str) -> Optional[Facts]
        """Return what collects facts about an address, or None if there is no observer."""
        return None if self.observation is None else self.observation.facts(address, protocol)

    def close_idle(self, connections, why="idle"):
        # type: (List[BaseConnection], str) -> None
        """Close connections that nobody uses, after what is to be read and said.

        :param why: reason for the observer, see :class:`~apnsclient.events.ConnectionClosed`.
        """
        gateways = []
        try:
            for connection in connections:
                if connection.alpn_protocol is None:
                    # What came in the meantime, or comes at the very end, may be a late frame.
                    gateway = self.gateway(connection)
                    gateway.prepare()
                    gateways.append(gateway)
                elif connection.protocol is not None:
                    sender = Sender(connection.certificate, self.settings.timing)
                    sender.facts = self.facts(connection.address, "http2")
                    guarded = GuardedSender(sender, self.backend.create_lock(), self.backend.clock)
                    lease = Lease(connection, connection.protocol, None)
                    send_goaway(lease, guarded)
                    guarded.note_closed(lease, why)
                    self.gone_reporter(connection.address, connection.certificate)(
                        sender.take_gone())
        finally:
            self.backend.close_all(connections)
        for gateway in gateways:
            gateway.read_after_close()
            gateway.note_closed(why)

    def gateway(self, connection):
        # type: (BaseConnection) -> Gateway
        """Return a connection to a gateway of the binary protocol, for a call."""
        address = connection.address
        return Gateway(connection, self.settings.timing, partial(self.report_late, address),
                       self.facts(address, "binary"))

    def gone_reporter(self, address, certificate):
        # type: (Address, Credential) -> Callable[[List[Tuple[bytes, int]]], None]
        """Return what keeps dead tokens for the store of feedback."""
        feedback, source = self.feedback, source_of(address, certificate)
        return lambda rows: feedback.add(source, rows)

    def report_late(self, address, results):
        # type: (Address, List[Result]) -> None
        """Pass on what became of messages whose results were handed out too early."""
        if self.observation is not None:
            self.observation.add_late(address, results)
        self._pass_on(results, "an error frame came late: %d tokens of %d messages that counted as "
                               "delivered were not; set on_late_result to be told which")

    def report_left(self, results):
        # type: (List[Result]) -> None
        """Pass on results that a caller has left behind, as far as something was not delivered."""
        undelivered = [result for result in results if count_undelivered(result) or result.errors]
        if undelivered:
            self._pass_on(undelivered, "send_many() was left before it could yield that %d tokens "
                                       "of %d messages were not delivered; set on_late_result to "
                                       "be told which")

    def _pass_on(self, results, text):
        # type: (List[Result], str) -> None
        if self.on_late_result is None:
            _log.warning(text, sum(count_undelivered(result) for result in results), len(results))
            return
        for result in results:
            try:
                self.on_late_result(result)
            except Exception:
                if is_interrupt():
                    raise
                _log.exception("on_late_result failed for %r", result)
