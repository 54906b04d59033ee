"""The sessions of one process: made after the fork, one for each credential and target.

What always holds:

- A session belongs to the process that made it. A forked child makes its own.
- The application is asked for a credential when a session is made, again at an interval, and at
  once when a credential is refused. When it gives another one, that is used from the next task on.
- A session is replaced when it has reached an age, because a connection knows only the applications
  of its first push. The old one is closed when the last task that uses it has ended.
- A credential is in no repr, no log and no error.
"""

import contextlib
import logging
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Callable, Dict, Generator, List, Mapping, Optional, Tuple, Union

from ..._compat import MYPY
from ..._interrupts import is_interrupt
from ..._process import PerProcess
from ...apns import APNs
from ...certificate import BaseCertificate
from ...errors import CertificateError
from ...feedback_store import FeedbackStore, MemoryStore, default_store
from ...transport import Session

if MYPY:
    from ...transport import Connection

__all__ = ["CredentialUnavailable", "Place", "Sessions", "TargetValue"]

_log = logging.getLogger("apnsclient.contrib.celery")

Address = Union[str, Tuple[str, int]]
#: What an application gives for a target: an address, or options of a session with the address.
TargetValue = Union[Address, Mapping[str, Any]]
#: What an application gives for a credential: arguments of ``Session.get_connection()``.
Credential = Union[Mapping[str, Any], BaseCertificate]
#: Names of a credential and of a target.
Place = Tuple[str, str]
Options = Union[Mapping[str, Any], Callable[[], Mapping[str, Any]]]

#: Connections that were not used for so long are closed when another task has ended.
_IDLE = timedelta(minutes=10)
#: Seconds between two looks for such connections.
_LOOK = 60.0


class CredentialUnavailable(Exception):
    """The application's callable raised an exception instead of giving a credential.

    The text has the type of that exception alone, because its own text may have the credential.
    """


class NoStore(FeedbackStore):
    """Keeps nothing, because dead tokens go from the result to the application."""

    def add(self, source: str, rows: Any) -> None:
        """Forget the tokens."""

    def drain(self, source: str) -> List[Tuple[bytes, int]]:
        """Return nothing."""
        return []


class _Lease:
    """A session with its connection, and how many tasks use it."""

    def __init__(self, session: Session, connection: "Connection", now: float) -> None:
        self.session = session
        self.connection = connection
        self.client = APNs(connection)
        self.made_at = self.asked_at = self.looked_at = now
        self.users = 0
        self.is_retired = False


class _Content:
    """What one process has."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.leases: Dict[Place, _Lease] = {}


@dataclass(frozen=True)
class Lifetimes:
    """How long what a session has is used, in seconds (float).

    :ivar credential: after how long the application is asked again for a credential.
    :ivar session: after how long a session is replaced by a new one.
    """

    credential: float
    session: float


class Sessions:
    """The sessions of this process, by credential and target.

    :param credentials: called with the name of a credential, returns it.
    :param targets: addresses and options by name.
    :param options: options of each session, or a function that returns them in each process.
    :param lifetimes: the :class:`Lifetimes`.
    :param on_change: called with the place when the application has given another credential.
    :param has_receiver: whether dead tokens are given to the application, and need not be stored.
    :param clock: monotonic, in seconds.
    """

    def __init__(self, credentials: Callable[[str], Credential], targets: Mapping[str, TargetValue],
                 options: Options, lifetimes: Lifetimes, on_change: Callable[[Place], object],
                 has_receiver: bool,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._credentials = credentials
        self._targets = dict(targets)
        self._options = options
        self._lifetimes = lifetimes
        self._on_change = on_change
        self._has_receiver = has_receiver
        self._clock = clock
        self._contents = PerProcess()

    @contextlib.contextmanager
    def client(self, place: Place, is_fresh: bool = False) -> Generator[APNs, None, None]:
        """Lend the client for a credential and a target, as long as the block runs.

        :param is_fresh: whether the application is asked for the credential in any case.
        :raises CredentialUnavailable: if the application gave none.
        :raises ~apnsclient.errors.CertificateError: if it cannot be used.
        """
        content = self._content()
        with content.lock:
            lease = self._current(content, place, is_fresh)
            lease.users += 1
        try:
            yield lease.client
        finally:
            with content.lock:
                lease.users -= 1
                is_over = lease.is_retired and not lease.users
                now = self._clock()
                is_due = now >= lease.looked_at + _LOOK
                if is_due:
                    lease.looked_at = now
            if is_over:
                lease.session.shutdown()
            elif is_due:
                lease.session.outdate(_IDLE)

    def has_other_credential(self, place: Place) -> bool:
        """Ask the application for a credential that was refused; return True if it gave another.

        The next task uses it.
        """
        content = self._content()
        with content.lock:
            before = content.leases.get(place)
            return before is not None and self._current(content, place, True) is not before

    def close(self) -> None:
        """Close all sessions of this process; those in use when their tasks have ended."""
        content = self._content()
        with content.lock:
            leases = list(content.leases.values())
            content.leases.clear()
        for lease in leases:
            self._retire(lease)

    def _content(self) -> _Content:
        content: _Content = self._contents.get(_Content)
        return content

    def _current(self, content: _Content, place: Place, is_fresh: bool) -> _Lease:
        """Return the lease to use; the lock is held."""
        lease, now = content.leases.get(place), self._clock()
        if lease is not None and now < lease.made_at + self._lifetimes.session:
            if not is_fresh and now < lease.asked_at + self._lifetimes.credential:
                return lease
            if not self._is_outdated(lease, place, now):
                return lease
        new = self._make(place, now)
        content.leases[place] = new
        if lease is not None:
            self._retire(lease)
            if new.connection.certificate != lease.connection.certificate:
                self._on_change(place)
        return new

    def _is_outdated(self, lease: _Lease, place: Place, now: float) -> bool:
        """Return True if the application gives another credential than the one in use."""
        lease.asked_at = now
        try:
            given = self._connect(lease.session, place).certificate
        except (CertificateError, CredentialUnavailable) as error:
            _log.warning("the credential %r in use is kept: %s", place[0], error)
            return False
        return bool(given != lease.connection.certificate)

    def _make(self, place: Place, now: float) -> _Lease:
        options: Dict[str, Any] = {"pool": _default_back_end()}
        store = default_store()
        if self._has_receiver and isinstance(store, MemoryStore):
            options["feedback_store"] = NoStore()
        options.update(self._options() if callable(self._options) else self._options)
        target = self._targets[place[1]]
        if isinstance(target, Mapping):
            options.update(target)
            options.pop("address")
        session = Session(**options)
        return _Lease(session, self._connect(session, place), now)

    def _connect(self, session: Session, place: Place) -> "Connection":
        name, target = place
        value = self._targets[target]
        address = value["address"] if isinstance(value, Mapping) else value
        given = self._ask(name)
        if isinstance(given, BaseCertificate):
            return session.get_connection(address, certificate=given)
        return session.get_connection(address, **given)

    def _ask(self, name: str) -> Credential:
        failure: Optional[str] = None
        try:
            given = self._credentials(name)
            if isinstance(given, (Mapping, BaseCertificate)):
                return given
            failure = ("gave a value of type %s, expected a dict of arguments of Session"
                       ".get_connection(), or a ProviderToken," % type(given).__name__)
        except Exception as error:
            if is_interrupt():
                raise
            failure = "raised %s" % type(error).__name__
        # Outside of the handler: the application's exception is not to be part of this one.
        raise CredentialUnavailable("the callable for credentials %s when it was asked for %r"
                                    % (failure, name))

    @staticmethod
    def _retire(lease: _Lease) -> None:
        """Close a session that is not given to tasks any more, at once or when it is not used."""
        lease.is_retired = True
        if not lease.users:
            lease.session.shutdown()


def _default_back_end() -> str:
    """Return the back-end for this process: in a worker of greenlets, the one for greenlets."""
    patched = sys.modules.get("gevent.monkey")
    is_patched = patched is not None and patched.is_module_patched("socket")
    return "apnsclient.backends.gevent" if is_patched else "apnsclient.backends.stdio"
