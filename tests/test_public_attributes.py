"""Attributes that programs for apns-client 0.2.1 use: read, set, and overridden in a subclass.

Each holds without a network as well as over TLS: old programs do one in their tests and the other
in production.
"""

from __future__ import absolute_import, division, print_function

import datetime
import logging
import time

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.backends import BaseBackend, dummy, stdio
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import ProviderScript, Script
from tables import each

TOKENS = ["%064x" % index for index in range(3)]

#: The timeouts and sizes of a session, with what they are unless something else is said, and
#: another value. None of the times passes here.
SETTINGS = {
    "connect_timeout": (10, 100), "write_buffer_size": (2048, 1), "write_timeout": (20, 101),
    "read_buffer_size": (2048, 7), "read_timeout": (20, 102), "read_tail_timeout": (3, 103),
}
DEFAULTS = dict((name, pair[0]) for name, pair in SETTINGS.items())
OTHERS = dict((name, pair[1]) for name, pair in SETTINGS.items())


def recording(backend):
    """Return a class of back-ends whose connections note what they are asked to do."""
    class Recording(backend):
        def __init__(self, **options):
            super(Recording, self).__init__(**options)
            self.calls, self.connections = [], []

        def get_new_connection(self, address, certificate, timeout=None):
            connection = super(Recording, self).get_new_connection(address, certificate, timeout)
            self.calls.append(("connect", timeout))
            self.connections.append(connection)
            write, read = connection.write, connection.read

            def noted_write(data, timeout):
                self.calls.append(("write", len(data), timeout))
                return write(data, timeout)

            def noted_read(size, timeout):
                self.calls.append(("read", size, timeout))
                return read(size, timeout)

            connection.write, connection.read = noted_write, noted_read
            return connection

    return Recording


class Bed(object):
    """A place to send to: without a network, or over TLS to a simulator.

    :param push: arguments of the back-end for messages.
    :param feedback: those for reading feedback.
    """

    def __init__(self, backend, push, feedback, push_address, feedback_address, cert_string):
        self.backend = backend
        self.push, self.feedback = push, feedback
        self.push_address, self.feedback_address = push_address, feedback_address
        self.cert_string = cert_string

    def connection(self, session, address=None):
        return session.get_connection(address or self.push_address, cert_string=self.cert_string)

    def send(self, session, address=None):
        """Send, which must be refused: so that nobody waits for silence."""
        result = APNs(self.connection(session, address)).send(Message(TOKENS, alert="hello"))
        assert list(result.failed) == TOKENS[:1]
        assert result.retry().tokens == TOKENS[1:]

    def read_feedback(self, session):
        return list(APNs(session.new_connection(
            self.feedback_address, cert_string=self.cert_string)).feedback())


@pytest.fixture(params=["dummy", "TLS"])
def bed(request):
    if request.param == "dummy":
        return Bed(dummy.Backend, {"push": [8] * 9}, {"feedback": 1}, ("localhost", 1),
                   ("localhost", 2), "any")
    simulator = request.getfixturevalue("simulator")
    simulator.devices.bad(TOKENS[0])
    trust = {"ca_string": simulator.ca_string}
    return Bed(stdio.Backend, trust, trust, simulator.gateway_address, simulator.feedback_address,
               simulator.cert_string)


def settings_of(session):
    return dict((name, getattr(session, name)) for name in SETTINGS)


def seen_by(bed, session):
    """Return what a session's timeouts and sizes were for a message that was refused."""
    calls = session.pool.calls
    del calls[:]
    bed.send(session)
    connects, writes, reads = (
        [call for call in calls if call[0] == kind] for kind in ("connect", "write", "read"))
    return ([call[1] for call in connects], len(writes), set(call[2] for call in writes),
            max(call[2] for call in reads))


def test_settings_of_a_session_are_read(bed):
    """Under the names of its arguments, whether they were given or not."""
    assert settings_of(Session(bed.backend, **bed.push)) == DEFAULTS
    assert settings_of(Session(bed.backend, **dict(bed.push, **OTHERS))) == OTHERS


def test_other_arguments_of_a_session_are_read(simulator, tmpdir):
    """Those that stay what they are, and those of the back-end, without a password."""
    store, ca = MemoryStore(), tmpdir.join("ca.pem")
    ca.write(simulator.ca_string)
    session = Session(protocol="http2", ping_after=7, keep_ids=True, on_late_result=list,
                      feedback_store=store, ca_file=str(ca), verify=False, pool_size=3,
                      proxy="http://user:secret@localhost:8080")
    assert (session.protocol, session.ping_after, session.keep_ids, session.on_late_result,
            session.feedback_store) == ("http2", 7, True, list, store)
    with pytest.raises(AttributeError):
        session.protocol = "binary"
    backend = session.pool
    assert (backend.ca_file, backend.verify, backend.proxy, backend.pool_size) == (
        str(ca), False, "localhost:8080", 3)
    assert (stdio.Backend().ca_file, stdio.Backend().verify, stdio.Backend().proxy) == (
        None, True, None)


def test_settings_of_a_session_count_from_the_next_call_on(bed):
    """Of handles that were made before as well: those of sending."""
    session = Session(recording(bed.backend), use_cache_for_reconnects=False, **bed.push)
    connects, writes, timeouts, tail = seen_by(bed, session)
    assert (connects, writes, timeouts) == ([10], 1, {20})
    assert 2 < tail <= 3
    for name, value in OTHERS.items():
        setattr(session, name, value)
    assert settings_of(session) == OTHERS
    connects, writes, timeouts, tail = seen_by(bed, session)
    assert (connects, writes, timeouts) == ([100], 3, {101})
    assert 3 < tail <= 103


def test_settings_for_feedback_count_from_the_next_call_on(bed):
    """Size and timeout of each read."""
    session = Session(recording(bed.backend), **bed.feedback)
    bed.read_feedback(session)
    assert [call for call in session.pool.calls if call[0] == "read"][0] == ("read", 2048, 20)
    session.read_buffer_size, session.read_timeout = 7, 102
    del session.pool.calls[:]
    bed.read_feedback(session)
    assert [call for call in session.pool.calls if call[0] == "read"][0] == ("read", 7, 102)


def test_a_shorter_wait_for_silence_is_over_sooner(simulator, new_session):
    """A session that would wait for ten minutes does not, once it was told."""
    session = new_session(read_tail_timeout=600)
    session.read_tail_timeout = 0.2
    started = time.time()
    client = APNs(session.get_connection(simulator.gateway_address,
                                         cert_string=simulator.cert_string))
    assert not client.send(Message(TOKENS)).needs_retry()
    assert time.time() - started < 300


@each("name, value", [("connect_timeout", 0), ("write_buffer_size", 0), ("read_timeout", "x"),
                      ("read_tail_timeout", None)])
def test_a_setting_that_cannot_be_kept_is_refused_at_once(name, value):
    """As by the constructor; what was set before stays."""
    session = Session(dummy.Backend, push=[])
    with pytest.raises(ValueError, match="%s is %r" % (name, value)):
        setattr(session, name, value)
    assert settings_of(session) == DEFAULTS


def test_defaults_of_a_session_are_overridden(bed):
    """By a subclass; an argument goes before them."""
    class Own(Session):
        DEFAULT_CONNECT_TIMEOUT = 100
        DEFAULT_WRITE_BUFFER_SIZE = 1
        DEFAULT_WRITE_TIMEOUT = 101
        DEFAULT_READ_BUFFER_SIZE = 7
        DEFAULT_READ_TIMEOUT = 102
        DEFAULT_READ_TAIL_TIMEOUT = 103

    session = Own(recording(bed.backend), **bed.push)
    assert settings_of(session) == OTHERS
    assert seen_by(bed, session)[:3] == ([100], 3, {101})
    assert settings_of(Own(bed.backend, **dict(bed.push, **DEFAULTS))) == DEFAULTS
    for name, value in DEFAULTS.items():
        assert getattr(Session, "DEFAULT_" + name.upper()) == value


def test_the_back_end_is_read_from_the_session(bed):
    """It is the object that the session uses."""
    backend = bed.backend(**bed.push)
    assert Session(backend).pool is backend
    session = Session(bed.backend, pool_size=3, **bed.push)
    assert type(session.pool) is bed.backend and session.pool.pool_size == 3
    bed.send(session)
    assert session.pool.get_certificate({"cert_string": bed.cert_string}) == (
        bed.connection(session).certificate)


def test_the_script_of_dummy_is_reached_through_the_session():
    """So the tests of 0.2.1 ask how many connections there were, and choose the next response."""
    session = Session("apnsclient.backends.dummy", push=[None, 8])
    client = APNs(session.get_connection("push_production", cert_string="any"))
    assert (session.pool.new_connections, session.pool.push_result_pos) == (0, -1)
    assert not client.send(Message(TOKENS)).failed
    assert (session.pool.new_connections, session.pool.push_result_pos) == (1, 0)
    session.pool.push_result_pos = 1
    assert client.send(Message(TOKENS)).failed
    assert (session.pool.new_connections, session.pool.push_result_pos) == (1, 1)


def test_a_back_end_that_is_set_is_used_from_the_next_call_on(bed):
    """In whichever form; the connections of the one before are closed."""
    session = Session(recording(bed.backend), **bed.push)
    before = session.pool
    before.store(before.get_new_connection(
        bed.push_address, before.get_certificate({"cert_string": bed.cert_string}), 60))
    session.pool = bed.backend(**bed.push)
    bed.send(session)
    assert session.pool is not before and before.idle_count() == 0
    assert [connection.closed() for connection in before.connections] == [True]
    with pytest.raises(TypeError, match="expected the name of a module"):
        session.pool = object()


def test_the_size_of_a_pool_is_overridden(bed):
    """By a subclass of the back-end; an argument goes before it."""
    class Unpooled(bed.backend):
        DEFAULT_POOL_SIZE = 0

    assert (BaseBackend.DEFAULT_POOL_SIZE, bed.backend(**bed.push).pool_size) == (5, 5)
    assert Unpooled(**bed.push).pool_size == 0
    assert Unpooled(pool_size=2, **bed.push).pool_size == 2
    for kind, kept in ((bed.backend, 1), (Unpooled, 0)):
        backend = kind(**bed.push)
        backend.release(backend.get_new_connection(
            bed.push_address, backend.get_certificate({"cert_string": bed.cert_string}), 60))
        assert backend.idle_count() == kept
        Session(backend).shutdown()


def test_a_handle_says_where_it_leads(bed):
    """Its address, its certificate and its session."""
    session = Session(bed.backend, **bed.push)
    for method in (session.get_connection, session.new_connection):
        connection = method(list(bed.push_address), cert_string=bed.cert_string)
        assert connection.address == bed.push_address
        assert connection.certificate == session.pool.get_certificate(
            {"cert_string": bed.cert_string})
        assert connection.session is session


def test_what_is_set_on_a_handle_counts_from_the_next_call_on(bed):
    """Another address, or another certificate."""
    session = Session(recording(bed.backend), **bed.push)
    connection = bed.connection(session, ("localhost", 9))
    connection.address = bed.push_address
    connection.certificate = certificate = session.pool.get_certificate(
        {"cert_string": bed.cert_string})
    assert APNs(connection).send(Message(TOKENS)).failed
    opened, = session.pool.connections
    assert (opened.address, opened.certificate) == (bed.push_address, certificate)


def test_addresses_have_names(bed):
    """Of the class and of its sessions; what is an address is returned as it is."""
    for owner in Session, Session(bed.backend, **bed.push):
        assert owner.ADDRESSES["push_sandbox"] == ("gateway.sandbox.push.apple.com", 2195)
        assert owner.ADDRESSES["feedback_production"] == ("feedback.push.apple.com", 2196)
        for name, address in owner.ADDRESSES.items():
            assert owner.get_address(name) == address
        assert owner.get_address(("localhost", 7)) == ("localhost", 7)
        with pytest.raises(ValueError, match="push_production"):
            owner.get_address("nowhere")


def test_a_subclass_has_more_addresses(bed):
    """It extends the dict, or overrides the method."""
    class Own(Session):
        ADDRESSES = dict(Session.ADDRESSES, ours=bed.push_address, push_sandbox=bed.push_address)

    class Looking(Session):
        @classmethod
        def get_address(cls, address):
            return bed.push_address if address == "looked up" else (
                super(Looking, cls).get_address(address))

    for session, names in ((Own(bed.backend, **bed.push), ["ours", "push_sandbox"]),
                           (Looking(bed.backend, **bed.push), ["looked up", bed.push_address])):
        for name in names:
            bed.send(session, name)
    assert Own.get_address("ours") == bed.push_address
    with pytest.raises(ValueError, match="ours"):
        Own(bed.backend, **bed.push).get_connection("theirs", cert_string=bed.cert_string)
    assert "ours" not in Session.ADDRESSES


def test_defaults_of_a_message_are_overridden(simulator, new_session):
    """What is sent has them; arguments go before them, also where they are 0."""
    class Own(Message):
        DEFAULT_EXPIRY = datetime.timedelta(hours=1)
        DEFAULT_PRIORITY = 5

    client = APNs(new_session(read_tail_timeout=0.2).get_connection(
        simulator.gateway_address, cert_string=simulator.cert_string))
    before = int(time.time())
    client.send(Own(TOKENS[0], alert="hello"))
    client.send(Own(TOKENS[1], alert="hello", expiry=0, priority=10))
    assert simulator.wait_for(lambda: simulator.accepted_count == 2, 60)
    first, second = simulator.accepted
    assert before + 3600 <= first.expiry <= time.time() + 3600
    assert (first.priority, second.expiry, second.priority) == (5, 0, 10)
    copy = Own(**Own(TOKENS, expiry=7, priority=1).__getstate__())
    assert (copy.expiry, copy.priority) == (7, 1)
    assert (Message.DEFAULT_EXPIRY, Message.DEFAULT_PRIORITY) == (datetime.timedelta(days=1), 10)


@each("expiry, expected", [
    (datetime.timedelta(0), 0), (datetime.timedelta(days=2), 2 * 86400)])
def test_the_default_expiry_is_of_any_kind(expiry, expected):
    """Of those that the argument may be of; here without a network."""
    class Own(Message):
        DEFAULT_EXPIRY = expiry

    class Later(Own):
        DEFAULT_EXPIRY = datetime.datetime.fromtimestamp(2000000000)

    class At(Own):
        DEFAULT_EXPIRY = 2000000000

    client = APNs(Session(dummy.Backend, push=[8]).get_connection(cert_string="any"))
    now = int(time.time())
    message = Own(TOKENS, alert="hello")
    assert 0 <= message.expiry - now - expected < 100
    assert client.send(message).retry().expiry == message.expiry
    assert Later(TOKENS).expiry == At(TOKENS).expiry == 2000000000


@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_lost_connections_are_logged_for_the_back_end(simulator, new_session, protocol, caplog):
    """Under its name, where programs of 0.2.1 have set handlers and levels."""
    session = new_session(protocol=protocol)
    address = simulator.gateway_address
    if protocol == "http2":
        address = simulator.provider_address
        simulator.script_provider(ProviderScript(close_after=0))
    else:
        simulator.script(Script(close_after=0))
    caplog.set_level(logging.DEBUG, "apnsclient.backends.stdio")
    result = APNs(session.get_connection(address, cert_string=simulator.cert_string)).send(
        Message(TOKENS, alert="hello"))
    assert result.needs_retry()
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert said and all(record.name == "apnsclient.backends.stdio.connection" for record in said)


def test_the_logger_of_a_connection_is_that_of_its_module():
    """Of a back-end of one's own, which may set another one."""
    connection = dummy.Backend(push=[]).get_new_connection(("localhost", 1), None)
    assert connection.logger.name == "apnsclient.backends.dummy"
