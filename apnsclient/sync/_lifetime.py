"""The end of a session: it is closed when nobody has it any more, and at exit."""

from __future__ import absolute_import, division, print_function

import atexit
import weakref

from .._compat import MYPY

if MYPY:
    from typing import List

    from ..backends import BaseBackend
    from ._feedback_buffer import FeedbackBuffer

__all__ = ["Closer"]


class Closer(object):
    """Closes the pool of a session that is gone, and stores the feedback that is left.

    It is apart from the session, because Python 2.7 does not collect a cycle with a finalizer in
    it, and a session is easily part of one: through ``on_late_result``, for example. There a
    back-end or a store that refers to the session makes it immortal all the same.
    """

    def __init__(self, backend, feedback):
        # type: (BaseBackend, FeedbackBuffer) -> None
        self._backend = backend
        self._feedback = feedback
        _closers.add(self)

    def close(self):
        # type: () -> None
        """Do so without any noise: finalizers have nobody to talk to."""
        try:
            try:
                self._backend.close_idle()
            finally:
                self._feedback.save(True)
        except Exception:
            # At the interpreter's exit modules may be gone already.
            pass

    __del__ = close


#: Those of the sessions that are open when the interpreter exits: what is still referenced then is
#: not collected.
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
            # Another thread made a session just now.
            continue
    for closer in closers:
        closer.close()
