"""Scripts: how the simulator is to misbehave on one connection. Values without behaviour."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

import six

from ..._compat import MYPY

if MYPY:
    from typing import Any, Dict, Optional, Tuple

__all__ = ["CLOSE", "ERROR", "FeedbackScript", "GARBAGE", "RESET", "SHUTDOWN", "STALL", "Script"]

#: Ways in which a connection ends.
ERROR = "error"
SHUTDOWN = "shutdown"
CLOSE = "close"
STALL = "stall"
RESET = "reset"
GARBAGE = "garbage"

#: Bytes that are no frame of a gateway.
_GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\n"

_ENDINGS = (CLOSE, STALL, RESET, GARBAGE, SHUTDOWN)


class Script(namedtuple("Script", [
        "delay", "hold", "status_at", "close_after", "stall_after", "reset_after", "garbage_after",
        "shutdown_after", "garbage", "refuse", "stall_handshake"])):
    """What the gateway does on one connection, apart from what it always does. Immutable.

    Give the parameters by name. Those that end in ``_after`` take the number of notifications that
    are accepted on the connection until it happens, 0 for at once; at most one of them can be set.
    Notifications that the client sends beyond it are neither accepted nor recorded.

    :param delay: seconds between a bad notification and its error frame (from 0). Meanwhile, as
        ever, what the client sends is read and discarded.
    :param hold: True keeps the error frame back until ``Simulator.release_held()``.
    :param status_at: ``{n: status}``: the n-th notification on the connection, counted from 1, gets
        that status (int, 0 to 255), whatever it is.
    :param close_after: close in an orderly manner, without an error frame.
    :param stall_after: stop reading, and keep the connection open.
    :param reset_after: reset the TCP connection.
    :param garbage_after: send ``garbage`` instead of an error frame, and close.
    :param shutdown_after: send the error frame with status 10, and close.
    :param garbage: what ``garbage_after`` sends (bytes). A part of an error frame will do.
    :param refuse: True resets the connection before the TLS handshake.
    :param stall_handshake: True accepts the connection and says nothing in the TLS handshake.
    :raises ValueError: if a number is out of its range, or parameters exclude one another.
    """

    __slots__ = ()

    def __new__(cls, delay=0.0, hold=False, status_at=None, close_after=None, stall_after=None,
                reset_after=None, garbage_after=None, shutdown_after=None, garbage=_GARBAGE,
                refuse=False, stall_handshake=False):
        # type: (float, bool, Any, Optional[int], Optional[int], Optional[int], Optional[int], Optional[int], bytes, bool, bool) -> Script
        statuses = tuple(sorted(dict(status_at or {}).items()))
        for position, status in statuses:
            _check_count("status_at position", position, 1)
            _check_count("status_at status", status, 0, 255)
        _check_endings([("close_after", close_after), ("stall_after", stall_after),
                        ("reset_after", reset_after), ("garbage_after", garbage_after),
                        ("shutdown_after", shutdown_after)])
        if delay < 0:
            raise ValueError("delay is %r seconds, expected 0 or more" % (delay,))
        if delay and hold:
            raise ValueError("delay and hold exclude one another")
        _check_handshake(refuse, stall_handshake)
        return super(Script, cls).__new__(
            cls, delay, hold, statuses, close_after, stall_after, reset_after, garbage_after,
            shutdown_after, garbage, refuse, stall_handshake)

    @property
    def ending(self):
        # type: () -> Optional[Tuple[str, int]]
        """What happens after how many accepted notifications; None if nothing was scripted."""
        return _ending_of(self, _ENDINGS)

    @property
    def statuses(self):
        # type: () -> Dict[int, int]
        """``status_at`` as a dict of its own."""
        return dict(self.status_at)


class FeedbackScript(namedtuple("FeedbackScript",
                                "close_after stall_after reset_after garbage refuse "
                                "stall_handshake")):
    """How one connection to the feedback service fails. Immutable.

    Give the parameters by name. At most one of those that end in ``_after`` can be set; they count
    bytes of the stream, so that it can end within a row. A row of Apple's has 38 bytes.

    :param close_after: end the stream in an orderly manner after so many bytes.
    :param stall_after: send no more than so many bytes, and keep the connection open.
    :param reset_after: reset the TCP connection after so many bytes.
    :param garbage: what follows the list (bytes), for example ``b"\\0" * 6``, a row of no token.
    :param refuse: True resets the connection before the TLS handshake.
    :param stall_handshake: True accepts the connection and says nothing in the TLS handshake.
    :raises ValueError: if a number is negative, or parameters exclude one another.
    """

    __slots__ = ()

    def __new__(cls, close_after=None, stall_after=None, reset_after=None, garbage=b"",
                refuse=False, stall_handshake=False):
        # type: (Optional[int], Optional[int], Optional[int], bytes, bool, bool) -> FeedbackScript
        _check_endings([("close_after", close_after), ("stall_after", stall_after),
                        ("reset_after", reset_after)])
        _check_handshake(refuse, stall_handshake)
        return super(FeedbackScript, cls).__new__(
            cls, close_after, stall_after, reset_after, garbage, refuse, stall_handshake)

    @property
    def ending(self):
        # type: () -> Optional[Tuple[str, int]]
        """What happens after how many bytes; None if nothing was scripted."""
        return _ending_of(self, (CLOSE, STALL, RESET))


def _ending_of(script, endings):
    # type: (Any, Tuple[str, ...]) -> Optional[Tuple[str, int]]
    for ending in endings:
        count = getattr(script, ending + "_after")
        if count is not None:
            return ending, count
    return None


def _check_endings(counts):
    # type: (Any) -> None
    given = [name for name, count in counts if count is not None]
    for name, count in counts:
        if count is not None:
            _check_count(name, count, 0)
    if len(given) > 1:
        raise ValueError("%s exclude one another" % " and ".join(given))


def _check_handshake(refuse, stall_handshake):
    # type: (bool, bool) -> None
    if refuse and stall_handshake:
        raise ValueError("refuse and stall_handshake exclude one another")


def _check_count(name, count, lowest, highest=None):
    # type: (str, Any, int, Optional[int]) -> None
    fits = isinstance(count, six.integer_types) and not isinstance(count, bool)
    if not fits or count < lowest or (highest is not None and count > highest):
        limit = "%d or more" % lowest if highest is None else "%d to %d" % (lowest, highest)
        raise ValueError("%s is %r, expected an integer, %s" % (name, count, limit))
