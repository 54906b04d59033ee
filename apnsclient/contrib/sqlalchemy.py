"""A feedback store in a database of the application's, through SQLAlchemy 1.4 or newer.

It is for programs on several machines, which cannot share the file of a
:class:`~apnsclient.feedback_store.SQLiteStore`, and for those whose database is backed up and
watched already::

    from sqlalchemy import create_engine
    from apnsclient.contrib.sqlalchemy import SQLAlchemyStore

    session = Session(feedback_store=SQLAlchemyStore(create_engine("postgresql+psycopg://...")))

Rows are only ever inserted, so that those who send never wait for each other. Whoever reads marks
all rows that are there as its own, in one statement, and deletes what it has marked, in the same
transaction: no row comes out twice, and none is lost where a reader fails.
"""

import contextlib
import uuid
from typing import Generator, Iterable, List, Optional, Tuple

from .._extras import not_installed
from ..feedback_store import FeedbackStore

try:
    import sqlalchemy
    from sqlalchemy import exc
except ImportError as error:
    raise not_installed("the feedback store for SQLAlchemy", "sqlalchemy", error)

__all__ = ["SQLAlchemyStore", "feedback_table"]

#: Most rows of a single INSERT.
_BATCH = 1000


def feedback_table(metadata: sqlalchemy.MetaData,
                   name: str = "apns_feedback") -> sqlalchemy.Table:
    """Return the table that a store uses, for programs that create their tables by themselves.

    Add it to the metadata that your migrations are made from, and pass the table to the store.

    :param metadata: the collection of tables that it becomes part of.
    :param name: its name.
    """
    return sqlalchemy.Table(
        name, metadata,
        # SQLite counts by itself where the type is INTEGER, and nowhere else.
        sqlalchemy.Column("id", sqlalchemy.BigInteger().with_variant(
            sqlalchemy.Integer(), "sqlite"), primary_key=True),
        sqlalchemy.Column("source", sqlalchemy.String(255), nullable=False),
        # Apple may make tokens longer than the 32 bytes of today.
        sqlalchemy.Column("token", sqlalchemy.String(512), nullable=False),
        sqlalchemy.Column("timestamp", sqlalchemy.BigInteger(), nullable=False),
        sqlalchemy.Column("reader", sqlalchemy.String(32)),
        sqlalchemy.Index("ix_%s_source_reader" % name, "source", "reader"))


class SQLAlchemyStore(FeedbackStore):
    """Keeps dead tokens in a table of a database, for any number of processes and machines.

    A token that was found several times has as many rows until it is read, and comes out once, with
    the newest timestamp. Each call takes one connection from the engine's pool, and one
    transaction.

    Several threads may use it. A process that is forked must not use connections of its parent: do
    as SQLAlchemy's documentation says of multiprocessing, or have the engine open its first
    connection in the child, as Celery's workers do if nothing uses it before.

    :param engine: the engine (``sqlalchemy.engine.Engine``), not an asynchronous one.
    :param table: the table, of :func:`feedback_table`, which exists. None takes one of the name
        ``apns_feedback``, and creates it unless it is there.
    :raises TypeError: if the engine is not one.
    :raises sqlalchemy.exc.SQLAlchemyError: if the table is not there and cannot be created.
    """

    def __init__(self, engine: sqlalchemy.engine.Engine,
                 table: Optional[sqlalchemy.Table] = None) -> None:
        if not isinstance(engine, sqlalchemy.engine.Engine):
            # Not its repr: a URL may have a password in it.
            raise TypeError("engine is of type %s, expected what sqlalchemy.create_engine() returns"
                            % type(engine).__name__)
        self._engine = engine
        self._table = feedback_table(sqlalchemy.MetaData()) if table is None else table
        if table is None:
            self._create_table()

    def add(self, source: str, rows: Iterable[Tuple[bytes, int]]) -> None:
        """Store dead tokens; see :meth:`apnsclient.feedback_store.FeedbackStore.add`."""
        values = [{"source": source, "token": token.decode("ascii"), "timestamp": timestamp}
                  for token, timestamp in rows]
        if not values:
            return
        with self._transaction() as connection:
            for start in range(0, len(values), _BATCH):
                connection.execute(self._table.insert(), values[start:start + _BATCH])

    def drain(self, source: str) -> List[Tuple[bytes, int]]:
        """Remove and return all tokens of a source, the oldest first; see the base class.

        :raises sqlalchemy.exc.SQLAlchemyError: if the database cannot be used. Nothing has been
            removed then.
        """
        columns, reader = self._table.c, uuid.uuid4().hex
        newest = sqlalchemy.func.max(columns.timestamp)
        with self._transaction() as connection:
            connection.execute(
                self._table.update()
                .where(columns.source == source, columns.reader.is_(None))
                .values(reader=reader))
            mine = sqlalchemy.and_(columns.source == source, columns.reader == reader)
            found = connection.execute(
                sqlalchemy.select(columns.token, newest).where(mine)
                .group_by(columns.token).order_by(newest, columns.token)).fetchall()
            connection.execute(self._table.delete().where(mine))
        return [(token.encode("ascii"), int(timestamp)) for token, timestamp in found]

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlalchemy.engine.Connection, None, None]:
        """Commit at the end, or roll back; texts of errors leave out the tokens."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except exc.StatementError as error:
            error.hide_parameters = True
            raise

    def _create_table(self) -> None:
        try:
            self._table.create(self._engine, checkfirst=True)
        except exc.DBAPIError:
            # Another process may have created it in between.
            if not sqlalchemy.inspect(self._engine).has_table(self._table.name):
                raise

    def __repr__(self) -> str:
        return "<%s: table %s of %s>" % (
            type(self).__name__, self._table.name, self._engine.dialect.name)
