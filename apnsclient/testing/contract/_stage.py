"""The stage of one rule: back-ends, peers and helpers, and the end of all of them."""

from __future__ import absolute_import, division, print_function

import _socket
import errno
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
import traceback
import warnings

import six

from ..._compat import MYPY, PY2, monotonic
from ...errors import is_timeout
from ..certs import Authority
from ._peer import HOST, Server, new_context

if MYPY:
    from typing import Any, Callable, List, Optional, Sequence, Tuple

    from ...backends import BaseConnection
    from ..certs import Credential
    from ._peer import Peer

__all__ = ["Aside", "Credentials", "Rescue", "Resolver", "Stage", "credentials", "expect"]

#: Seconds of a timeout that is meant to run out.
SHORT = 0.15


def expect(condition, text, *arguments):
    # type: (Any, str, *Any) -> None
    """Raise an AssertionError with a text that tells what to mend, unless a condition holds."""
    if not condition:
        raise AssertionError(text % arguments if arguments else text)


class Credentials(object):
    """Certificates that all rules use; made once."""

    def __init__(self):
        # type: () -> None
        self.authority = Authority("apnsclient contract authority")
        self.intermediate = Authority("apnsclient contract intermediate", issuer=self.authority)
        self.stranger = Authority("apnsclient contract stranger")
        self.server = self.authority.issue(
            HOST, dns=[HOST], addresses=["127.0.0.1", "::1"], usage="server")
        self.client = self.authority.issue("contract client")
        self.other_client = self.authority.issue("another contract client")


class _Once(object):
    """Makes the credentials when they are asked for first."""

    def __init__(self):
        # type: () -> None
        self._lock = threading.Lock()
        self._made = None  # type: Optional[Credentials]

    def __call__(self):
        # type: () -> Credentials
        with self._lock:
            if self._made is None:
                self._made = Credentials()
            return self._made


credentials = _Once()


class Aside(object):
    """A function that runs in a thread beside the rule."""

    def __init__(self, function, patience):
        # type: (Callable[[], Any], float) -> None
        self._function = function
        self._patience = patience
        self._result = None  # type: Any
        self._problem = None  # type: Optional[BaseException]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()

    def _run(self):
        # type: () -> None
        try:
            self._result = self._function()
        except BaseException as error:
            self._problem = error
        finally:
            self._is_over.set()

    def result(self):
        # type: () -> Any
        """Wait for the function's end; return what it returned, raise what it raised."""
        self._is_over.wait(self._patience * 2)
        expect(self._is_over.is_set(), "what the peer does beside the back-end has not ended")
        if self._problem is not None:
            raise self._problem
        return self._result


class Rescue(object):
    """Does something for a back-end that waits where it must not; a context manager.

    :param action: called after a time that is long enough for any machine, or never, if the block
        ends before.
    :param patience: that time in seconds (float).
    """

    def __init__(self, action, patience):
        # type: (Callable[[], Any], float) -> None
        self._action = action
        self._patience = patience
        self._is_over = threading.Event()
        #: Whether it was needed.
        self.was_needed = False

    def __enter__(self):
        # type: () -> Rescue
        self._thread = threading.Thread(target=self._wait)
        self._thread.daemon = True
        self._thread.start()
        return self

    def _wait(self):
        # type: () -> None
        self._is_over.wait(self._patience)
        if not self._is_over.is_set():
            self.was_needed = True
            self._action()

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self._is_over.set()
        self._thread.join(self._patience)


class Resolver(object):
    """The system's resolver, which knows one more name meanwhile; a context manager.

    :param name: the name (str); it leads to loopback.
    :param is_silent: whether it says nothing of it until :meth:`respond` is called (bool), or until
        the end.

    :ivar asked: how often it was asked for that name.
    """

    #: Where it is found: green libraries ask below the module that programs import.
    _PLACES = (socket, _socket)  # type: Tuple[Any, ...]

    def __init__(self, name, is_silent=False):
        # type: (str, bool) -> None
        self.asked = 0
        self._name = name
        self._may_respond = threading.Event()
        if not is_silent:
            self.respond()
        self._found = []  # type: List[Any]

    def __enter__(self):
        # type: () -> Resolver
        for place in self._PLACES:
            self._found.append(place.getaddrinfo)
            place.getaddrinfo = self._stand_in(place.getaddrinfo)
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self.respond()
        for place, found in zip(self._PLACES, self._found):
            place.getaddrinfo = found

    def respond(self):
        # type: () -> None
        """Respond, also to whoever has asked before."""
        self._may_respond.set()

    def _stand_in(self, found):
        # type: (Callable[..., Any]) -> Callable[..., Any]
        def getaddrinfo(host, port, family=0, *rest, **options):
            # type: (Any, Any, int, *Any, **Any) -> Any
            if host not in (self._name, self._name.encode("ascii")):
                return found(host, port, family, *rest, **options)
            self.asked += 1
            while not self._may_respond.is_set():
                # Where gevent has patched the library, it cannot wait for another thread.
                time.sleep(0.005)
            if family not in (0, socket.AF_INET):
                raise socket.gaierror(socket.EAI_NONAME, "it has an address of version 4")
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "",
                     ("127.0.0.1", int(port)))]

        return getaddrinfo


class Stage(object):
    """Back-ends and peers of one rule; a context manager that ends all of them.

    :param case: the suite, with what the author of the back-end has declared.
    """

    def __init__(self, case):
        # type: (Any) -> None
        self._case = case
        self.patience = case.patience  # type: float
        self._servers = []  # type: List[Server]
        self._connections = []  # type: List[BaseConnection]
        self._folders = []  # type: List[str]

    def __enter__(self):
        # type: () -> Stage
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self.hang_up()
        for connection in self._connections:
            try:
                connection.close()
            except Exception:
                pass  # There are rules for that, and this one is over.
        for server in self._servers:
            server.close()
        for folder in self._folders:
            shutil.rmtree(folder, True)

    def hang_up(self):
        # type: () -> None
        """Have all peers hang up, so that nobody goes on waiting for them."""
        for server in list(self._servers):
            server.hang_up()

    # Back-ends, certificates, connections.

    def backend(self, **options):
        # type: (**Any) -> Any
        """Return a new back-end that trusts the peers' authority."""
        if self._case.has_network:
            trust = self._case.trusting(credentials().authority.ca_string)
            options = dict(trust, **options)
        return self._case.new_backend(**options)

    def certificate(self, backend, credential=None):
        # type: (Any, Optional[Credential]) -> Any
        """Return a certificate of a back-end; the one that the peers expect by default."""
        credential = credentials().client if credential is None else credential
        return backend.get_certificate({"cert_string": credential.pem})

    def address(self):
        # type: () -> Tuple[str, int]
        """Return an address that connections can be opened to; their peer stays silent."""
        return self.server().address if self._case.has_network else (HOST, 1)

    def keep(self, connection):
        # type: (Any) -> Any
        """Close a connection in the end; return it."""
        self._connections.append(connection)
        return connection

    def open(self, server=None, backend=None, timeout=None, alpn=()):
        # type: (Optional[Server], Any, Optional[float], Tuple[str, ...]) -> Tuple[Any, Peer]
        """Open a connection; return it and its peer."""
        server = self.server() if server is None else server
        backend = self.backend() if backend is None else backend
        connection = self.connect(server.address, backend, timeout, alpn)
        return connection, server.peer()

    def connect(self, address, backend=None, timeout=None, alpn=()):
        # type: (Tuple[str, int], Any, Optional[float], Tuple[str, ...]) -> Any
        """Open a connection to an address; raise what the back-end raises."""
        backend = self.backend() if backend is None else backend
        options = {"alpn": alpn} if alpn else {}
        return self.keep(backend.get_new_connection(
            address, self.certificate(backend),
            self.patience * 2 if timeout is None else timeout, **options))

    def folder(self):
        # type: () -> str
        """Return the name of an empty folder."""
        self._folders.append(tempfile.mkdtemp(prefix="apnsclient-contract-"))
        return self._folders[-1]

    # Peers.

    def server(self, credential=None, is_required=True, alpn=(), tls_1_3=True,
               receive_buffer=None):
        # type: (Optional[Credential], bool, Sequence[str], bool, Optional[int]) -> Server
        """Return a new server that speaks TLS; see :func:`._peer.new_context`."""
        made = credentials()
        context, offers = new_context(
            made.server if credential is None else credential, made.authority, is_required, alpn,
            tls_1_3)
        return self._add(Server(context, self.patience, receive_buffer, offers))

    def plain_server(self):
        # type: () -> Server
        """Return a new server that accepts connections and does nothing further."""
        return self._add(Server(None, self.patience))

    def _add(self, server):
        # type: (Server) -> Server
        self._servers.append(server)
        return server

    # Doing things.

    def rescue(self, action):
        # type: (Callable[[], Any]) -> Rescue
        """Return a :class:`Rescue` with the patience of this stage."""
        return Rescue(action, self.patience)

    def aside(self, function):
        # type: (Callable[[], Any]) -> Aside
        """Run a function of the peer's in a thread."""
        return Aside(function, self.patience)

    def until(self, condition, text):
        # type: (Callable[[], Any], str) -> Any
        """Call a function again and again until it returns a true value; return that."""
        deadline = monotonic() + self.patience
        while True:
            result = condition()
            if result:
                return result
            expect(monotonic() < deadline, "%s; waited %g s", text, self.patience)
            time.sleep(0.005)

    def peek(self, connection, size):
        # type: (Any, int) -> Optional[bytes]
        """Call ``peek()`` until it returns anything but None; return None if it never does."""
        deadline = monotonic() + self.patience
        while True:
            data = connection.peek(size)  # type: Optional[bytes]
            if data is not None or monotonic() > deadline:
                return data
            time.sleep(0.005)

    def attempt(self, function, *arguments):
        # type: (Callable[..., Any], *Any) -> Any
        """Return what a function returns, or the exception that it raises.

        For what may do either, or is the subject of another rule. A method that is missing does
        neither.
        """
        try:
            return function(*arguments)
        except NotImplementedError:
            raise
        except Exception as error:
            if not PY2:
                error.__traceback__ = None
            return error

    def raises(self, kinds, what, function, *arguments):
        # type: (Any, str, Callable[..., Any], *Any) -> Exception
        """Call a function that has to raise; return the exception.

        :param kinds: exception type, or tuple of them, that is expected.
        :param what: the call in words, for the message.
        """
        try:
            result = function(*arguments)
        except NotImplementedError:
            raise
        except kinds as error:
            if not PY2:
                error.__traceback__ = None  # It would keep the frames alive.
            expected = error  # type: Exception
            return expected
        except Exception as error:
            raise AssertionError("%s raised %s: %s; expected %s" % (
                what, type(error).__name__, error, _names(kinds)))
        if hasattr(result, "closed"):
            self.keep(result)
        raise AssertionError("%s returned %.60r; it has to raise %s" % (
            what, result, _names(kinds)))

    def times_out(self, what, rescue, function, *arguments):
        # type: (str, Rescue, Callable[..., Any], *Any) -> None
        """Call a function whose last argument is a timeout that has to run out."""
        begin, timeout = monotonic(), arguments[-1]
        error = self.attempt(function, *arguments)
        lasted = monotonic() - begin
        expect(not rescue.was_needed, "%s did not end when its timeout of %g s was over: it holds "
               "for the whole call, however often the call waits", what, timeout)
        expect(isinstance(error, Exception), "%s with a timeout of %g s returned %.60r before its "
               "peer had sent, or taken, what that needs; it has to raise a timeout",
               what, timeout, error)
        expect(is_timeout(error), "%s raised %s: %s when its time was over; expected "
               "apnsclient.errors.Timeout, or socket.timeout without an errno",
               what, type(error).__name__, error)
        expect(lasted > timeout * 0.8, "%s raised a timeout after %.3f s; its timeout was %g s",
               what, lasted, timeout)

    def side_by_side(self, functions):
        # type: (Sequence[Callable[[], Any]]) -> None
        """Run functions side by side; raise what the first of them that failed has raised."""
        problems, ended = [], []  # type: List[BaseException], List[None]

        def guarded(function):
            # type: (Callable[[], Any]) -> Callable[[], None]
            def run():
                # type: () -> None
                try:
                    function()
                except BaseException as error:
                    problems.append(error)
                finally:
                    ended.append(None)
            return run

        spawned = [self._case.spawn(guarded(function)) for function in functions]
        for each in spawned:
            each.join(self.patience * 2)
        if problems:
            raise problems[0]
        expect(len(ended) == len(spawned), "%d of %d that use the back-end side by side hang",
               len(spawned) - len(ended), len(spawned))

    def in_child(self, function):
        # type: (Callable[[], Any]) -> None
        """Call a function in a forked child; raise an AssertionError if it fails or hangs there.

        The child begins when ``fork()`` has returned here as well: gevent's may begin to watch for
        ends of children after it has forked, and one that is over by then would be missed.
        """
        reading, writing = os.pipe()
        starting, start = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 and later warn of forking with threads, which is what this is about.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = self._case.fork()
        if child == 0:
            _be_the_child(lambda: self._play_in_child(function), starting, writing)
        os.write(start, b"go")
        for end in (writing, starting, start):
            os.close(end)
        try:
            is_over, report = _read_report(reading, monotonic() + self.patience)
        finally:
            os.close(reading)
        if not is_over:
            os.kill(child, signal.SIGKILL)
        _reap(child)
        expect(is_over, "the forked child hangs")
        expect(report == b"done", "in the forked child:\n%s", report.decode("utf-8", "replace"))

    def _play_in_child(self, function):
        # type: (Callable[[], Any]) -> None
        for server in self._servers:
            server.abandon()
        function()


def _be_the_child(function, starting, writing):
    # type: (Callable[[], Any], int, int) -> None
    """Call the function when a byte has come over one pipe, and report over the other."""
    report = b"the child ended early"
    try:
        os.read(starting, 1)
        function()
        report = b"done"
    except BaseException:
        report = six.ensure_binary(traceback.format_exc())
    finally:
        os.write(writing, report[-30000:])
        os._exit(0)


def _reap(child):
    # type: (int) -> None
    try:
        os.waitpid(child, 0)
    except OSError as error:
        # SIGCHLD is ignored, or an event loop looks after all children: it is reaped.
        if error.errno != errno.ECHILD:
            raise


def _read_report(reading, deadline):
    # type: (int, float) -> Tuple[bool, bytes]
    """Return whether the other end was closed in time, and what came."""
    report = b""
    while True:
        ready = select.select([reading], [], [], max(deadline - monotonic(), 0))[0]
        if not ready:
            return False, report
        data = os.read(reading, 65536)
        if not data:
            return True, report
        report += data


def _names(kinds):
    # type: (Any) -> str
    return " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
