"""Closes a session when it is garbage collected, and at exit."""

from __future__ import absolute_import, division, print_function

import atexit
import weakref

from .._compat import MYPY

if MYPY:
    from typing import List

    from .._feedback_buffer import FeedbackBuffer
    from ..backends import BaseBackend

__all__ = ["Closer"]


class Closer(object):
    """Closes the pool of a session that has been collected, and stores the remaining feedback.

    It is separate from the session, because Python 2.7 does not collect a cycle that has a
    finalizer, and a session is easily part of one: through ``on_late_result``, for example. There a
    back-end or a store that refers to the session keeps it alive nevertheless.
    """

    def __init__(self, backend, feedback):
        # type: (BaseBackend, FeedbackBuffer) -> None
        self._backend = backend
        self._feedback = feedback
        _closers.add(self)

    def close(self):
        # type: () -> None
        """Do it and ignore errors, which a finalizer cannot report."""
        try:
            try:
                self._backend.close_idle()
            finally:
                self._feedback.save(True)
        except Exception:
            # At the interpreter's exit modules may have been cleared already.
            pass

    __del__ = close


#: Sessions that are still referenced when the interpreter exits are not collected, and closed by
#: :func:`_close_sessions`.
_closers = weakref.WeakSet()  # type: weakref.WeakSet[Closer]


@atexit.register
def _close_sessions():
    # type: () -> None
    closers = []  # type: List[Closer]
    for _ in range(100):
        try:
            closers = list(_closers)
            break
        except RuntimeError:
            # Another thread has created a session meanwhile.
            continue
    for closer in closers:
        closer.close()
