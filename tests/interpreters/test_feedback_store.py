"""The stores of dead tokens: each comes out once, whoever asks from wherever."""

from __future__ import absolute_import, division, print_function

import contextlib
import logging
import os
import pickle
import sqlite3
import stat
import threading

import hypothesis
import pytest
from hypothesis import strategies as st

from apnsclient.feedback_store import FeedbackStore, MemoryStore, SQLiteStore
from effort import examples
from threads_support import held_elsewhere, run_threads

pytestmark = pytest.mark.timeout(240)

ROWS = [(b"aa", 1), (b"bb", 2), (b"cc", 3)]


@pytest.fixture
def path(tmpdir):
    return str(tmpdir.join("feedback.db"))


@pytest.fixture(params=["memory", "sqlite"])
def store(request, path):
    return MemoryStore() if request.param == "memory" else SQLiteStore(path)


def make_rows(count, first=0):
    return [(("%08x" % number).encode("ascii"), number) for number in range(first, first + count)]


# What every store does.

def test_what_was_added_comes_out_once(store):
    """The oldest first, as bytes and numbers, and only until it was asked for."""
    assert store.drain("app") == []
    store.add("app", reversed(ROWS))
    store.add("app", [])
    rows = store.drain("app")
    assert rows == ROWS
    assert all(type(token) is bytes and type(when) is int for token, when in rows)
    assert store.drain("app") == []
    store.add("app", ROWS[:1])
    assert store.drain("app") == ROWS[:1]


def test_newest_timestamp_wins(store):
    """In one call or in several, in whatever order they come."""
    store.add("app", [(b"aa", 5), (b"aa", 9), (b"aa", 7)])
    store.add("app", [(b"aa", 8), (b"bb", 1)])
    store.add("app", [(b"bb", 2)])
    assert store.drain("app") == [(b"bb", 2), (b"aa", 9)]


def test_sources_are_kept_apart(store):
    """The tokens of the sandbox are not those of production."""
    store.add("sandbox app", ROWS[:2])
    store.add(u"production app", ROWS[1:])
    assert store.drain("other") == []
    assert store.drain(u"sandbox app") == ROWS[:2]
    assert store.drain("sandbox app") == []
    assert store.drain("production app") == ROWS[1:]


@examples(20)
@hypothesis.given(st.lists(st.one_of(
    st.tuples(st.sampled_from("ab"), st.lists(st.tuples(
        st.sampled_from([b"00", b"01", b"02", b"03"]), st.integers(0, 2 ** 40)))),
    st.sampled_from("ab")), max_size=12))
def test_both_stores_behave_like_a_dict_of_dicts(tmpdir_factory, steps):
    """Whatever is done with them."""
    stores = [MemoryStore(), SQLiteStore(str(tmpdir_factory.mktemp("model").join("db")))]
    model = {}
    for step in steps:
        if isinstance(step, tuple):
            source, rows = step
            for token, when in rows:
                known = model.setdefault(source, {})
                known[token] = max(when, known.get(token, 0))
            for store in stores:
                store.add(source, rows)
        else:
            expected = sorted(model.pop(step, {}).items(), key=lambda row: (row[1], row[0]))
            assert [store.drain(step) for store in stores] == [expected] * 2


def test_threads_share_what_there_is(store):
    """No token is lost, and none comes out twice, while others are being added."""
    over, taken = threading.Event(), []

    def adder(number):
        for start in range(0, 200, 10):
            store.add("app", make_rows(10, 1000 * number + start))

    def drainer():
        while not over.is_set():
            taken.extend(store.drain("app"))

    def add_all():
        try:
            run_threads([lambda number=number: adder(number) for number in range(3)])
        finally:
            over.set()

    run_threads([drainer, drainer, add_all])
    taken.extend(store.drain("app"))
    assert sorted(taken) == sorted(row for number in range(3)
                                   for row in make_rows(200, 1000 * number))


def test_drain_in_the_middle_of_an_add_loses_nothing(store):
    """It waits, or takes what is there; the rest comes out the next time."""
    taken = []
    thread = threading.Thread(target=lambda: taken.extend(store.drain("app")))

    def rows():
        yield ROWS[0]
        thread.start()
        thread.join(0.3)  # A drain that waits goes on afterwards.
        for row in ROWS[1:]:
            yield row

    store.add("app", rows())
    thread.join()
    assert sorted(taken + store.drain("app")) == ROWS


def test_a_finalizer_may_add_in_the_middle_of_another_call(store):
    """The garbage collector runs when it pleases, in the thread that holds the lock."""
    def rows():
        # Stands for a generator of send_many() that is collected just now.
        store.add("app", [(b"0f", 1)])
        yield b"aa", 2

    store.add("app", rows())
    assert store.drain("app") == [(b"0f", 1), (b"aa", 2)]


@pytest.mark.parametrize("method", ["add", "drain"])
def test_the_base_class_says_what_is_missing(method):
    """An author of a store is told its name."""
    class Mine(FeedbackStore):
        pass

    with pytest.raises(NotImplementedError, match=r"Mine must implement %s\(\)" % method):
        getattr(Mine(), method)(*["app", []][:2 if method == "add" else 1])


# In memory.

def test_memory_is_bounded(caplog):
    """A program that never asks is told so, once, and loses what it has had for longest."""
    store = MemoryStore(size=3)
    with caplog.at_level(logging.WARNING):
        store.add("app", make_rows(3))
        assert not caplog.records
        store.add("app", make_rows(3, 3))
        store.add("app", make_rows(1, 6))
        store.add("other", make_rows(3))
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == (
        "more than 3 dead tokens of app wait for feedback() to be called; the oldest ones are "
        "dropped")
    assert repr(store) == "<MemoryStore: 6 tokens>"
    assert store.drain("app") == make_rows(3, 4)
    assert store.drain("other") == make_rows(3)


def test_memory_of_no_size_is_refused():
    """It could keep nothing, and nobody would notice."""
    with pytest.raises(ValueError, match="size is 0, expected 1 or more"):
        MemoryStore(0)


def test_forked_child_begins_with_an_empty_memory(in_forked_child):
    """Its parent reports what it had found; a thread of the parent's may hold the lock."""
    store = MemoryStore()
    store.add("app", ROWS)

    def child():
        assert store.drain("app") == []
        store.add("app", ROWS[:1])
        assert store.drain("app") == ROWS[:1]

    with held_elsewhere(store._content().lock):
        in_forked_child(child)
    assert store.drain("app") == ROWS


# In a file.

def test_file_is_for_its_owner_alone(path):
    """Whatever the umask says; the permissions of a file that is there are left alone."""
    before = os.umask(0)
    try:
        store = SQLiteStore(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    os.chmod(path, 0o640)
    store.add("app", ROWS)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_file_outlives_the_store(path):
    """Another store with the same file has the tokens."""
    SQLiteStore(path).add("app", ROWS)
    assert SQLiteStore(path).drain("app") == ROWS


def test_file_may_be_read_with_other_tools(path):
    """One table, with text and numbers in it."""
    SQLiteStore(path).add("app", ROWS[:1])
    database = sqlite3.connect(path)
    try:
        assert database.execute("SELECT source, token, timestamp FROM feedback").fetchall() == [
            (u"app", u"aa", 1)]
    finally:
        database.close()


def test_file_that_was_deleted_is_made_anew(path):
    """Somebody may tidy up."""
    store = SQLiteStore(path)
    os.remove(path)
    store.add("app", ROWS)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert store.drain("app") == ROWS


def test_relative_path_stays_what_it_was(tmpdir):
    """A daemon changes its working directory."""
    with tmpdir.as_cwd():
        store = SQLiteStore(u"feedback.db")
    store.add("app", ROWS)
    assert SQLiteStore(str(tmpdir.join("feedback.db"))).drain("app") == ROWS


def test_path_may_be_of_any_kind(tmpdir):
    """Text, bytes, or an object that stands for a path."""
    path = tmpdir.join(u"f\xfc.db")
    SQLiteStore(path).add("app", ROWS[:1])
    SQLiteStore(str(path) if str is not bytes else path.strpath).add("app", ROWS[1:2])
    if str is not bytes:
        SQLiteStore(os.fsencode(str(path))).add("app", ROWS[2:])
    assert SQLiteStore(path).drain("app") == ROWS[:3 if str is not bytes else 2]


@pytest.mark.parametrize("name", ["", ":memory:", b":memory:"])
def test_name_of_no_file_is_refused(name):
    """Each call opens the file anew, so that nothing would ever be found."""
    with pytest.raises(ValueError, match="expected the name of a file; a MemoryStore"):
        SQLiteStore(name)


def test_folder_that_is_missing_is_named(tmpdir):
    """It is not made: whoever misspelt its name is told."""
    with pytest.raises((IOError, OSError)) as caught:
        SQLiteStore(str(tmpdir.join("missing", "feedback.db")))
    assert "missing" in str(caught.value)


def test_other_files_are_left_alone(path):
    """The text of the error names the file."""
    with open(path, "wb") as stream:
        stream.write(b"something else, and long enough to look like a database: " * 100)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        SQLiteStore(path)
    assert "feedback.db" in str(caught.value)
    with open(path, "rb") as stream:
        assert stream.read(14) == b"something else"


def test_wait_for_another_process_is_bounded(path):
    """Then it is an error of SQLite's, and nothing has been taken out."""
    store = SQLiteStore(path, timeout=0.05)
    store.add("app", ROWS)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        for call in (lambda: store.drain("app"), lambda: store.add("app", [(b"dd", 4)])):
            with pytest.raises(sqlite3.OperationalError, match="feedback.db.*locked"):
                call()
    finally:
        other.close()
    assert store.drain("app") == ROWS


class Observed(SQLiteStore):
    """A store that tells when it has found the file locked, and waits."""

    def __init__(self, path, timeout):
        self.is_waiting = threading.Event()
        super(Observed, self).__init__(path, timeout)

    def _attempt(self, connect, work):
        try:
            return super(Observed, self)._attempt(connect, work)
        except sqlite3.OperationalError:
            self.is_waiting.set()
            raise


@contextlib.contextmanager
def waiting_for_another_process(path):
    """While this lasts a thread waits for the file; afterwards it goes on, and adds its rows."""
    store = Observed(path, timeout=100)
    other = sqlite3.connect(path, isolation_level=None)
    thread = threading.Thread(target=store.add, args=("app", ROWS))
    try:
        other.execute("BEGIN IMMEDIATE")
        thread.start()
        assert store.is_waiting.wait(60)
        yield
        assert thread.is_alive()
    finally:
        other.close()
        thread.join()
    assert store.drain("app") == ROWS


def test_a_locked_file_holds_up_no_other_file(path, tmpdir):
    """Each has a gate of its own, and nobody waits for another process behind it."""
    with waiting_for_another_process(path):
        other = SQLiteStore(str(tmpdir.join("other.db")))
        other.add("app", ROWS)
        assert other.drain("app") == ROWS


def test_a_call_in_the_middle_of_one_holds_up_no_other_file(path, tmpdir):
    """A disk may be slow."""
    other = SQLiteStore(str(tmpdir.join("other.db")))
    SQLiteStore(path)._work(lambda database: run_threads([lambda: other.add("app", ROWS)]))
    assert other.drain("app") == ROWS


def test_a_locked_file_holds_up_no_fork(path, in_forked_child):
    """Nobody is inside SQLite while it is waited for."""
    with waiting_for_another_process(path):
        in_forked_child(lambda: None)


def test_what_a_finalizer_added_is_kept_until_it_can_be_written(path):
    """The next call may fail."""
    store = SQLiteStore(path, timeout=0.05)
    store._work(lambda database: store.add("app", ROWS[:2]))
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.add("app", [(b"ff", 9)])
    finally:
        other.close()
    store.add("app", ROWS[2:])
    assert store.drain("app") == ROWS


def test_a_finalizer_that_drains_in_the_middle_of_a_call_is_told(path, tmpdir):
    """It would wait for its own thread; or, with another file, a fork might wait for it."""
    store, other = SQLiteStore(path), SQLiteStore(str(tmpdir.join("other.db")))
    for each in store, other:
        with pytest.raises(sqlite3.OperationalError, match="db'.*during another call"):
            store._work(lambda database, each=each: each.drain("app"))


def test_nobody_else_writes_from_the_beginning_of_a_transaction(path):
    """Two that had read before they write would be in each other's way, and one would fail."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)

    def work(database):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        return "done"

    try:
        assert SQLiteStore(path)._work(work) == "done"
    finally:
        other.close()


def test_failure_in_the_middle_leaves_everything_as_it_was(path):
    """A drain that does not come to its end takes nothing out."""
    store = SQLiteStore(path)
    store.add("app", ROWS)

    def work(database):
        database.execute("DELETE FROM feedback")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store._work(work)
    assert store.drain("app") == ROWS


def test_what_a_finalizer_adds_during_a_transaction_is_written_later(path):
    """It neither waits for the lock of the file, which its own thread holds, nor gets lost."""
    store = SQLiteStore(path, timeout=0.05)
    store._work(lambda database: store.add("app", ROWS))
    assert store.drain("app") == ROWS


def test_store_may_be_pickled(path):
    """It is a name of a file and nothing else."""
    SQLiteStore(path).add("app", ROWS)
    store = pickle.loads(pickle.dumps(SQLiteStore(path), 2))
    assert "feedback.db" in repr(store)
    assert store.drain("app") == ROWS


def test_forked_child_may_use_the_store_of_its_parent(path, in_forked_child):
    """They share the file, not a connection to it."""
    store = SQLiteStore(path)
    store.add("app", ROWS[:1])

    def child():
        store.add("app", ROWS[1:])

    in_forked_child(child)
    assert store.drain("app") == ROWS


@pytest.mark.skipif(not hasattr(os, "register_at_fork"),
                    reason="os.register_at_fork() came with Python 3.7")
def test_fork_waits_for_a_thread_in_a_transaction(path, in_forked_child):
    """A child that was forked in the middle of one would take the file for locked, for ever."""
    store = SQLiteStore(path, timeout=5)
    inside, forking = threading.Event(), threading.Event()

    def work(database):
        inside.set()
        # Long enough for a fork that does not wait; one that does goes on afterwards.
        forking.wait(0.3)
        database.execute("INSERT INTO feedback VALUES ('app', 'aa', 1)")

    thread = threading.Thread(target=store._work, args=(work,))
    thread.start()
    inside.wait(60)
    in_forked_child(lambda: store.add("app", ROWS[1:]))
    thread.join()
    assert store.drain("app") == ROWS
