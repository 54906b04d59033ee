"""The stdio back-end as such: resumed sessions, the pool, what threads and children share."""

from __future__ import absolute_import, division, print_function

import gc
import socket
import threading

import pytest

from apnsclient.backends import BaseConnection, _cache, _sockets
from apnsclient.backends.stdio import Backend, Certificate, Connection
from apnsclient.errors import (
    ConnectError,
    ConnectionLost,
)
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SOON,
    VERSIONS,
    Server,
    discard,
    fails,
    new_backend,
    open_connection,
    over_tls,
    reset,
    server_context,
)

pytestmark = pytest.mark.timeout(240)


@VERSIONS
def test_sessions_are_resumed(version):
    """The second connection to the same address resumes the session of the first."""
    with Server(over_tls(discard, context=server_context(version=version))) as server:
        backend = new_backend()
        reused = []
        for _ in range(3):
            connection = open_connection(server.address, backend=backend)
            reused.append(connection.session_reused)
            connection.write(b"x", SOON)
            connection.close()
        assert reused == [False, True, True]


@pytest.mark.parametrize("is_silent", [False, True])
@VERSIONS
def test_session_of_an_open_connection_is_resumed(version, is_silent):
    """A second connection need not wait until the first is closed: only until data has come over
    it, or it was idle.
    """
    def serve(tls):
        if not is_silent:
            tls.send(b"x")
        discard(tls)

    with Server(over_tls(serve, context=server_context(version=version))) as server:
        backend = new_backend()
        first = open_connection(server.address, backend=backend)
        if not is_silent:
            assert first.read(1, SOON) == b"x"
        else:
            if version == "1.3":  # Its tickets come after the handshake.
                assert first._waiting.wait_for([(first._socket, False)], _sockets.Deadline(SOON))
            assert not first.closed()
        second = open_connection(server.address, backend=backend)
        assert second.session_reused
        second.close()
        first.close()


def test_session_survives_a_connection_that_failed():
    """A connection that is reset does not spoil the session that the next one resumes."""
    contexts = server_context()

    def serve(tls):
        tls.send(b"x")
        tls.recv(1)
        reset(tls._socket)

    with Server(over_tls(serve, context=contexts), ignore=GONE) as server:
        backend = new_backend()
        first = open_connection(server.address, backend=backend)
        assert first.read(1, SOON) == b"x"
        assert not first.closed()
        first.write(b"y", SOON)
        with pytest.raises(ConnectionLost):
            first.read(1, SOON)
        first.close()
        del first
        gc.collect()
        second = open_connection(server.address, backend=backend)
        assert second.session_reused
        second.close()


def use(connection):
    """Write something and close, so that the session is kept."""
    connection.write(b"x", SOON)
    connection.close()


def test_sessions_are_kept_apart():
    """Another certificate, address or trust does not resume a session."""
    with Server(over_tls(discard, context=server_context())) as server:
        backend = new_backend()
        use(open_connection(server.address, backend=backend))
        other = open_connection(server.address, backend=backend, credential=AUTHORITY.issue("b"))
        assert not other.session_reused
        other.close()
        by_name = open_connection(("localhost", server.address[1]), backend=backend)
        assert not by_name.session_reused
        by_name.close()
        elsewhere = open_connection(server.address)
        assert not elsewhere.session_reused
        elsewhere.close()


def test_failed_connect_forgets_the_session():
    """After a failure the next handshake is a full one: the session may have been the reason."""
    rude = []

    def serve(accepted):
        if rude:
            reset(accepted)
        else:
            over_tls(discard, context=context)(accepted)

    context = server_context()
    with Server(serve, ignore=GONE) as server:
        backend = new_backend()
        use(open_connection(server.address, backend=backend))
        rude.append(True)
        fails(ConnectError, server.address, backend=backend)
        del rude[:]
        connection = open_connection(server.address, backend=backend)
        assert not connection.session_reused
        connection.close()


def test_session_cache_is_bounded():
    """The sessions used least recently are forgotten."""
    class Small(Backend):
        session_cache_size = 1

    backend = Small(ca_string=AUTHORITY.ca_string)
    with Server(over_tls(discard, context=server_context())) as server:
        for host, is_reused in (("127.0.0.1", False), ("127.0.0.1", True), ("localhost", False),
                                ("127.0.0.1", False)):
            connection = open_connection((host, server.address[1]), backend=backend)
            assert connection.session_reused == is_reused
            connection.write(b"x", SOON)
            connection.close()


def test_pool_reuses_the_connection():
    """The base's pool works with this back-end: released is what comes back."""
    with Server(over_tls(discard)) as server:
        backend = new_backend(pool_size=1)
        certificate = backend.get_certificate({"cert_string": CLIENT.pem})
        first = backend.get_cached_connection(server.address, certificate, SOON)
        assert isinstance(first, Connection) and isinstance(first, BaseConnection)
        backend.release(first)
        same = backend.get_certificate({"cert_string": CLIENT.certificate_string,
                                        "key_string": CLIENT.key_string})
        assert backend.get_cached_connection(server.address, same, SOON) is first
        first.close()
        assert backend.can_detect_close


def test_certificate_of_another_back_end_is_a_type_error():
    """A certificate that this back-end did not make cannot be used with it."""
    with pytest.raises(TypeError) as caught:
        new_backend().get_new_connection(("127.0.0.1", 1), object(), SOON)
    assert "expected apnsclient.backends.stdio.Certificate" in str(caught.value)


def test_unknown_option_is_a_type_error():
    """Options are those of this class and of the base class."""
    with pytest.raises(TypeError):
        Backend(no_such_option=1)
    with pytest.raises(TypeError):
        new_backend().get_certificate({"no_such_parameter": 1})


def test_lock_works_in_a_with_statement():
    """create_lock() gives a lock of its own each time, which its owner may take again."""
    lock = new_backend().create_lock()
    taken = []
    with lock, lock:
        other = threading.Thread(target=lambda: taken.append(lock.acquire(False)))
        other.start()
        other.join()
    assert taken == [False]
    assert new_backend().create_lock() is not lock


def test_keep_alive_is_on_and_nagle_off():
    """Idle connections are probed, small writes go out at once, nothing is inherited by exec."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        get = connection._socket.getsockopt
        assert get(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert get(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert get(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == _sockets.KEEPALIVE_IDLE
        import fcntl
        assert fcntl.fcntl(connection._socket.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        connection.close()


def test_threads_share_one_context():
    """However many threads begin at once, the context is built once and all connections work."""
    built = []

    class Counted(Certificate):
        def get_context(self, trust=None):
            context = super(Counted, self).get_context(trust)
            built.append(context)
            return context

    certificate = Counted(cert_string=CLIENT.pem)
    backend = new_backend()
    failures = []

    def connect():
        try:
            connection = backend.get_new_connection(server.address, certificate, SOON)
            connection.write(b"x", SOON)
            connection.close()
        except Exception as error:
            failures.append(error)

    with Server(over_tls(discard)) as server:
        threads = [threading.Thread(target=connect) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(set(built)) == 1 and len(built) == 20


def test_cache_begins_empty_in_a_forked_child(in_forked_child):
    """A lock that another thread held during the fork does not block the child."""
    cache = _cache.Cache(2)
    cache.put("a", 1)
    lock = cache._store()[0]

    def child():
        assert cache.get("a") is None
        assert cache.get_or_make("a", lambda: 2) == 2
        assert cache._store()[0] is not lock

    with lock:
        in_forked_child(child)
    assert cache.get("a") == 1


def test_cache_keeps_nothing_when_making_fails():
    """An error while making passes through and is not remembered."""
    cache = _cache.Cache(1)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("a", lambda: 1 // 0)
    assert cache.get_or_make("a", lambda: 2) == 2
    cache.discard("a")
    cache.discard("a")
    assert cache.get("a") is None
