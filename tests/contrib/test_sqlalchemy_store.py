"""The feedback store in a database of the application's, in SQLite and in PostgreSQL."""

import contextlib
import os
import threading

import pytest

from apnsclient import APNs, Message, Session
from postgresql import find_postgresql, postgresql
from threads_support import run_threads

sqlalchemy = pytest.importorskip("sqlalchemy")

from apnsclient.contrib.sqlalchemy import SQLAlchemyStore, feedback_table  # noqa: E402

pytestmark = [
    pytest.mark.timeout(240),
    # What SQLAlchemy or a driver says of an interpreter that is newer than itself.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ROWS = [(b"aa", 1), (b"bb", 2), (b"cc", 3)]


@pytest.fixture(scope="module")
def server():
    if find_postgresql() is None and "CI" not in os.environ:
        pytest.skip("there is no PostgreSQL")
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield "sqlite:///%s" % tmp_path.joinpath("database.sqlite")
        return
    found = request.getfixturevalue("server")
    yield found
    with engine_of(found) as engine:
        metadata = sqlalchemy.MetaData()
        metadata.reflect(engine)
        metadata.drop_all(engine)


@contextlib.contextmanager
def engine_of(url):
    # SQLite waits for others for so many seconds.
    options = {"connect_args": {"timeout": 120}} if url.startswith("sqlite") else {}
    engine = sqlalchemy.create_engine(url, **options)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def engine(url):
    with engine_of(url) as found:
        yield found


def make_rows(count, first=0):
    return [(("%08x" % number).encode("ascii"), number) for number in range(first, first + count)]


def test_what_was_added_comes_out_once(engine):
    """The oldest first, as bytes and numbers; the newest timestamp of a token; by source."""
    store = SQLAlchemyStore(engine)
    assert store.drain("app") == []
    store.add("app", reversed(ROWS))
    store.add("app", [])
    store.add("app", iter([(b"aa", 9), (b"aa", 7)]))
    store.add("app", [(b"aa", 8)])
    store.add("other", [(b"aa", 4000000000000)])
    rows = store.drain("app")
    assert rows == [(b"bb", 2), (b"cc", 3), (b"aa", 9)]
    assert all(type(token) is bytes and type(when) is int for token, when in rows)
    assert store.drain("app") == []
    assert store.drain("other") == [(b"aa", 4000000000000)]
    store.add("app", ROWS[:1])
    assert store.drain("app") == ROWS[:1]


def test_many_rows_are_added_at_once(engine):
    """More than a database takes in one statement."""
    store = SQLAlchemyStore(engine)
    store.add("app", make_rows(5500))
    assert store.drain("app") == make_rows(5500)


def test_no_row_is_lost_or_comes_twice_whoever_adds_and_reads(url):
    """Each thread has an engine of its own, as another process would have."""
    found, count, is_over = [], 40, threading.Event()

    def add(number):
        with engine_of(url) as engine:
            store = SQLAlchemyStore(engine)
            for part in range(count):
                store.add("app", make_rows(5, (number * count + part) * 5))

    def read():
        with engine_of(url) as engine:
            store = SQLAlchemyStore(engine)
            while not is_over.is_set():
                found.extend(store.drain("app"))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        run_threads([lambda number=number: add(number) for number in range(3)])
    finally:
        is_over.set()
        for reader in readers:
            reader.join(120)
    with engine_of(url) as engine:
        found.extend(SQLAlchemyStore(engine).drain("app"))
    assert sorted(found) == make_rows(3 * count * 5)


def test_a_reader_that_fails_has_removed_nothing(engine):
    """The connection breaks when the rows are to be deleted."""
    store = SQLAlchemyStore(engine)
    store.add("app", ROWS)

    def fail(connection, cursor, statement, *rest):
        if statement.startswith("DELETE"):
            raise OSError("the connection is lost")

    sqlalchemy.event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(OSError):
        store.drain("app")
    sqlalchemy.event.remove(engine, "before_cursor_execute", fail)
    assert store.drain("app") == ROWS


def test_the_table_is_created_once_whoever_is_first(url):
    """Processes that start together all find that it is not there."""
    barrier = threading.Barrier(4)

    def create():
        with engine_of(url) as engine, engine.connect():
            barrier.wait(60)
            SQLAlchemyStore(engine).add("app", [(b"aa", 1)])

    run_threads([create] * 4)
    with engine_of(url) as engine:
        assert SQLAlchemyStore(engine).drain("app") == [(b"aa", 1)]


def test_a_program_may_create_the_table_itself(engine):
    """With its own metadata, under a name of its own; the store creates nothing then."""
    metadata = sqlalchemy.MetaData()
    table = feedback_table(metadata, "dead_tokens")
    store = SQLAlchemyStore(engine, table)
    assert not sqlalchemy.inspect(engine).has_table("dead_tokens")
    metadata.create_all(engine)
    store.add("app", ROWS)
    assert not sqlalchemy.inspect(engine).has_table("apns_feedback")
    assert store.drain("app") == ROWS
    assert repr(store) == "<SQLAlchemyStore: table dead_tokens of %s>" % engine.dialect.name


def test_errors_name_no_token(engine):
    """The text goes into logs; the statement alone says enough."""
    store = SQLAlchemyStore(engine, feedback_table(sqlalchemy.MetaData(), "missing"))
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError) as caught:
        store.add("app", [(b"0123456789abcdef", 1)])
    assert "0123456789abcdef" not in str(caught.value) and "missing" in str(caught.value)


def test_what_is_no_engine_is_said_without_its_password():
    """Somebody passes the address."""
    with pytest.raises(TypeError) as caught:
        SQLAlchemyStore("postgresql://me:secret@host/db")
    assert str(caught.value) == (
        "engine is of type str, expected what sqlalchemy.create_engine() returns")


def test_a_session_stores_what_apple_declares_dead(simulator, engine):
    """Another session, of another process, reads it."""
    tokens = ["%064x" % number for number in range(3)]
    simulator.devices.uninstall(tokens[1], 1700000000)
    options = {"ca_string": simulator.ca_string, "protocol": "http2",
               "feedback_store": SQLAlchemyStore(engine)}
    with contextlib.closing(_Client(simulator, options)) as client:
        client.send(Message(tokens, alert="hello", apns_topic="com.example.app"))
    with contextlib.closing(_Client(simulator, options)) as client:
        assert [token for token, _ in client.feedback()] == [tokens[1].encode("ascii")]
        assert list(client.feedback()) == []


class _Client(APNs):
    """A client with a session of its own."""

    def __init__(self, simulator, options):
        self._session = Session(**options)
        super().__init__(self._session.get_connection(
            simulator.provider_address, cert_string=simulator.cert_string))

    def close(self):
        self._session.shutdown()


def test_the_applications_rule_is_one_statement(engine):
    """A token goes unless the device has registered it again since; the table is in UTC."""
    devices = sqlalchemy.Table(
        "devices", sqlalchemy.MetaData(), sqlalchemy.Column("token", sqlalchemy.String(200)),
        sqlalchemy.Column("registered_at", sqlalchemy.BigInteger()))
    devices.create(engine)
    store = SQLAlchemyStore(engine)
    with engine.begin() as connection:
        connection.execute(devices.insert(), [
            {"token": "aa", "registered_at": 1}, {"token": "bb", "registered_at": 3},
            {"token": "dd", "registered_at": 0}])
    store.add("app", ROWS)
    with engine.begin() as connection:
        for token, when in store.drain("app"):
            connection.execute(devices.delete().where(
                devices.c.token == token.decode("ascii"), devices.c.registered_at <= when))
        left = [row[0] for row in connection.execute(
            sqlalchemy.select(devices.c.token).order_by(devices.c.token))]
    assert left == ["bb", "dd"]
