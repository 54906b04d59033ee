"""Campaigns: a message for more tokens than one task should have.

The tokens are cut into chunks, each a task of its own. They come from an iterable of the caller's,
which is read as chunks are published, or from a source: a function of the application's that a
worker calls for one piece after the other. No more than a chunk is in memory at a time.

A campaign has no chord. A chord would hold all of its tasks in memory, and count one that is run
again twice. Instead the identifiers of the chunks follow from that of the campaign: a chunk that is
published again is the same task, and a task that collects the counts needs only to know how many
chunks there are.
"""

import logging
import uuid
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from celery import signature, states

from ._counts import Counts, add_counts, count
from ._messages import check_tokens
from ._schedule import back_off
from ._tasks import Machinery, PushTask, go_back, sibling

__all__ = ["Campaign", "chunk_id", "collect", "cut", "read_source"]

_log = logging.getLogger("apnsclient.contrib.celery")

#: Bytes of a token in JSON beside its digits.
_QUOTES = 4
#: How many results are looked at by one run of the collecting task.
_MOST_LOOKS = 500
#: Longest pause between two of its runs, in seconds.
_LONGEST_PAUSE = 30.0
#: How long it waits for results when no chunk can be sent any more, in seconds.
_GRACE = 600.0


@dataclass(frozen=True)
class Campaign:
    """A campaign that was queued.

    :ivar id: its identifier (str). With a callback, it is the one of the task that collects the
        counts: ``app.AsyncResult(campaign.id).get()``.
    :ivar chunks: how many tasks it has (int), or None if a worker reads its source.
    :ivar tokens: how many tokens it has (int), or None likewise.
    """

    id: str
    chunks: Optional[int] = None
    tokens: Optional[int] = None


def chunk_id(campaign: str, name: object) -> str:
    """Return the identifier of a campaign's task.

    :param name: number of a chunk, or name of another task.
    """
    return str(uuid.uuid5(uuid.UUID(campaign), str(name)))


def cut(tokens: Iterable[Any], most_tokens: int, most_bytes: int) -> Iterator[List[str]]:
    """Yield tokens in lists, reading no further than the next list needs.

    :param tokens: str or bytes.
    :param most_tokens: most tokens of a list (int, from 1).
    :param most_bytes: most bytes of a list in JSON, unless a single token is longer (int).
    """
    piece: List[str] = []
    size = 0
    for token in tokens:
        text: str = token.decode("utf-8") if isinstance(token, bytes) else token
        length = len(check_tokens([text])[0]) + _QUOTES
        if piece and (len(piece) >= most_tokens or size + length > most_bytes):
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += length
    if piece:
        yield piece


@dataclass(frozen=True)
class Chunks:
    """Publishes the chunks of a campaign.

    :ivar task: the task of a chunk.
    :ivar state: the message without tokens.
    :ivar options: the other arguments of each chunk.
    :ivar has_results: whether somebody asks for the results.
    """

    task: PushTask
    state: Mapping[str, Any]
    options: Mapping[str, Any]
    has_results: bool

    def publish(self, index: int, tokens: List[str]) -> Any:
        """Publish one chunk; return what Celery returns."""
        return self.task.apply_async(
            (dict(self.state, tokens=tokens),), dict(self.options),
            task_id=chunk_id(self.options["campaign"], index), ignore_result=not self.has_results)


def read_source(task: PushTask, state: Dict[str, Any], source: str, arguments: Dict[str, Any],
                options: Dict[str, Any], callback: Optional[Dict[str, Any]] = None,
                after: str = "", index: int = 0, attempt: int = 0) -> int:
    """Publish the chunks of one piece of a source, and a task for the next; return how many.

    :param state: the message without tokens.
    :param source: name of a source.
    :param arguments: what it is called with, beside ``after`` and ``limit``.
    :param options: the other arguments of each chunk.
    :param after: the last token of the piece before.
    :param index: number of the first chunk.
    """
    machinery, campaign = task.machinery, options["campaign"]
    if callback is not None and is_done(task, task.request.id):
        # It was run to its end, and the broker does not know that.
        return 0
    tokens: List[str] = []
    if machinery.clock() < options["until"]:
        try:
            tokens = list(machinery.sources[source](after, machinery.chunk_tokens, **arguments))
        except Exception as error:
            _log.exception("the source %r of a campaign raised an exception; it is called again",
                           source)
            go_back(task, (state, source, arguments, options, callback, after, index, attempt + 1),
                    {}, back_off(attempt, _half), type(error).__name__)
    if not tokens:
        if callback is not None:
            start_collecting(task, campaign, index, callback, options["until"])
        return 0
    if tokens[-1] == after:
        raise ValueError("the source %r gave the same tokens again, expected those after the one "
                         "that it is called with, in order" % source)
    chunks = Chunks(sibling(task, "send_chunk"), state, options, callback is not None)
    first = index
    for piece in cut(tokens, machinery.chunk_tokens, machinery.chunk_bytes):
        chunks.publish(index, piece)
        index += 1
    task.apply_async(
        (state, source, arguments, options, callback, tokens[-1], index),
        task_id=chunk_id(campaign, "source %d" % index), ignore_result=callback is None)
    return index - first


def _half() -> float:
    return 0.5


def is_done(task: PushTask, identifier: Optional[str]) -> bool:
    """Return True if a task has ended, according to the result back-end."""
    return identifier is not None and task.AsyncResult(identifier).state == states.SUCCESS


def start_collecting(task: PushTask, campaign: str, chunks: int, callback: Mapping[str, Any],
                     until: float) -> None:
    """Queue the task that collects the counts of a campaign."""
    sibling(task, "collect").apply_async(
        (campaign, [[0, chunks]], count(), dict(callback), until), task_id=campaign, countdown=1,
        ignore_result=False)


def collect(task: PushTask, campaign: str, pending: List[List[int]], counts: Counts,
            callback: Dict[str, Any], until: float, pause: float = 1.0) -> Counts:
    """Add up what became of the chunks; when all have ended, call back and return the counts.

    :param pending: ranges of the numbers of chunks that have not ended: ``[first, behind last]``.
    :param counts: of those that have.
    :param callback: signature of the task that is called with the counts.
    :param until: when no chunk is sent any more, in seconds since 1970.
    :param pause: seconds since the run before.
    """
    left, found = _look(task, campaign, pending)
    for each in found:
        counts = add_counts(counts, each)
    if left and task.machinery.clock() < until + _GRACE:
        pause = 1.0 if found else min(pause * 2, _LONGEST_PAUSE)
        go_back(task, (campaign, left, counts, callback, until, pause), {}, pause,
                "%d chunks have not ended" % sum(end - start for start, end in left))
    missing = sum(end - start for start, end in left)
    if missing:
        _log.error("%d chunks of campaign %s have left no result", missing, campaign)
        counts = add_counts(counts, count(failed_chunks=missing))
    signature(callback, app=task.app).apply_async(
        (counts,), task_id=chunk_id(campaign, "callback"))
    return counts


def _look(task: PushTask, campaign: str, pending: List[List[int]]
          ) -> Tuple[List[List[int]], List[Counts]]:
    """Return the ranges of chunks that have not ended, and the counts of the others."""
    left: List[List[int]] = []
    found: List[Counts] = []
    looks = 0
    for start, end in pending:
        for index in range(start, end):
            looks += 1
            counts = _result(task, chunk_id(campaign, index)) if looks <= _MOST_LOOKS else None
            if counts is not None:
                found.append(counts)
            elif left and left[-1][1] == index:
                left[-1][1] = index + 1
            else:
                left.append([index, index + 1])
    return left, found


def _result(task: PushTask, identifier: str) -> Optional[Counts]:
    """Return the counts of a chunk, or None if it has not ended."""
    result = task.AsyncResult(identifier)
    state = result.state
    if state == states.SUCCESS:
        counts: Any = result.result
        return add_counts(count(), counts)
    return count(failed_chunks=1) if state in states.READY_STATES else None


def sum_of_eager(results: Iterable[Any]) -> Counts:
    """Return the counts of chunks that ran where they were queued."""
    counts = count()
    for result in results:
        counts = add_counts(counts, result.result if result.state == states.SUCCESS
                            else count(failed_chunks=1))
    return counts


def pieces_of(machinery: Machinery, source: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield all tokens of a source, in this process."""
    after = ""
    while True:
        tokens = list(machinery.sources[source](after, machinery.chunk_tokens, **arguments))
        if not tokens or tokens[-1] == after:
            return
        yield from tokens
        after = tokens[-1]
