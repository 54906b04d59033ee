"""How a rule is run: watched, on a stage of its own, and only where it applies.

A back-end that hangs must fail the rule, not stop the run. So each rule runs in a thread of its
own, which is given up when its time is over; the message then shows where it stands.
"""

from __future__ import absolute_import, division, print_function

import os
import sys
import threading
import traceback

import six

from ..._compat import MYPY
from ...backends import BaseBackend
from ._stage import Stage

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    Need = Callable[[Any], Optional[str]]

__all__ = ["DoesNotApply", "NO_ATTEMPTS", "Rules", "rule", "skip"]


#: Why rules of start_connecting() may not apply.
NO_ATTEMPTS = "the back-end opens connections only by waiting (start_connecting() returns None)"


class DoesNotApply(Exception):
    """A rule does not apply to the back-end; for whoever calls rules without a test runner."""


def skip(reason):
    # type: (str) -> Any
    """Raise what the test runner that is at work takes for a test that does not apply.

    ``unittest`` is loaded by whoever runs tests with it, and pytest knows its exception. Neither
    is imported here.
    """
    for name in ("unittest", "pytest"):
        if name in sys.modules:
            runner = sys.modules[name]  # type: Any
            kind = runner.SkipTest if name == "unittest" else runner.skip.Exception
            raise kind(reason)
    raise DoesNotApply(reason)


def _needs_network(case):
    # type: (Any) -> Optional[str]
    return None if case.has_network else "the back-end has no network (has_network is False)"


def _needs_alpn(case):
    # type: (Any) -> Optional[str]
    return None if case.new_backend().has_alpn else "the back-end has no ALPN (has_alpn is False)"


def _needs_detection(case):
    # type: (Any) -> Optional[str]
    return (None if case.new_backend().can_detect_close
            else "the back-end does not detect that the peer hangs up (can_detect_close is False)")


def _needs_sharing(case):
    # type: (Any) -> Optional[str]
    return (None if case.new_backend().can_share
            else "the back-end does not wait for several connections (can_share is False)")


def _needs_attempts(case):
    # type: (Any) -> Optional[str]
    kinds = [type(case.new_backend()), BaseBackend]  # type: Any
    methods = [six.get_unbound_function(kind.start_connecting) for kind in kinds]
    return None if methods[0] is not methods[1] else NO_ATTEMPTS


def _needs_switch(case):
    # type: (Any) -> Optional[str]
    return (None if case.unverified is not None
            else "verification cannot be switched off (unverified is None)")


def _needs_fork(case):
    # type: (Any) -> Optional[str]
    return None if hasattr(os, "fork") else "this system has no fork()"


#: What a rule may need, in the order in which it is asked for.
_NEEDS = [
    ("network", _needs_network), ("alpn", _needs_alpn), ("detection", _needs_detection),
    ("sharing", _needs_sharing), ("attempts", _needs_attempts), ("switch", _needs_switch),
    ("fork", _needs_fork)]  # type: List[Tuple[str, Need]]


def rule(*needs):
    # type: (*str) -> Callable[[Callable[[Any, Stage], None]], Callable[[Any], None]]
    """Make a test method of a function of the suite and a stage.

    :param needs: what the back-end must have for the rule to apply: ``"network"``, ``"alpn"``,
        ``"detection"``, ``"sharing"``, ``"attempts"``, ``"switch"``, ``"fork"``.
    """
    def decorate(function):
        # type: (Callable[[Any, Stage], None]) -> Callable[[Any], None]
        def check(self):
            # type: (Any) -> None
            for name, need in _NEEDS:
                reason = need(self) if name in needs else None
                if reason is not None:
                    skip(reason)
            _watch(self, function)

        check.__name__ = function.__name__
        check.__doc__ = function.__doc__
        check.__module__ = function.__module__
        # Where pytest finds the rule: in the order of the source, also on Python 2.7.
        check.place_as = function  # type: ignore[attr-defined]
        return check

    return decorate


def _watch(case, function):
    # type: (Any, Callable[[Any, Stage], None]) -> None
    """Call ``function(case, stage)`` in a thread; raise what it raises, or that it hangs."""
    stage, outcome, is_over = Stage(case), [], threading.Event()  # type: Stage, List[Any], Any

    def run():
        # type: () -> None
        try:
            try:
                with stage:
                    function(case, stage)
            finally:
                case.end_thread()
        except BaseException:
            outcome.append(sys.exc_info())
        finally:
            is_over.set()

    thread = threading.Thread(target=run, name=function.__name__)
    thread.daemon = True
    thread.start()
    is_over.wait(case.hang_limit)
    if not is_over.is_set():
        where = _describe_stack(thread)
        stage.hang_up()
        raise AssertionError(
            "the rule did not end within %g s (hang_limit): something waits that must not wait, or "
            "not without an end. It stands here:\n%s" % (case.hang_limit, where))
    thread.join(case.hang_limit)
    if outcome:
        kind, value, trace = outcome.pop()
        try:
            six.reraise(kind, value, trace)
        finally:
            del value, trace


def _describe_stack(thread):
    # type: (threading.Thread) -> str
    frames = sys._current_frames()  # type: Dict[Any, Any]
    frame = frames.get(thread.ident)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(unknown)"


class Rules(object):
    """What the author of a back-end declares, and what all rules share."""

    #: The back-end: name of its module (str), a class, or anything that is called with options.
    backend = None  # type: Any

    #: Further options that each back-end is made with (dict).
    options = {}  # type: Dict[str, Any]

    #: Whether the back-end opens connections to servers, with TLS. False leaves the rules about
    #: bytes, servers and the content of certificates out.
    has_network = True

    #: Options that switch off the verification of the server (dict); None where there is no such
    #: switch.
    unverified = {"verify": False}  # type: Optional[Dict[str, Any]]

    #: Seconds (float) that a peer waits for the back-end, and that what is to happen at once may
    #: take on a busy machine. A back-end that keeps the rules never needs them.
    patience = 20.0

    #: Seconds (float) after which a rule counts as hanging, and fails.
    hang_limit = 50.0

    def trusting(self, ca_string):
        # type: (str) -> Dict[str, Any]
        """Return the options for a back-end that trusts an authority, and no other (dict).

        Override it where the option is not called ``ca_string``.

        :param ca_string: certificate of the authority in PEM format (str).
        """
        return {"ca_string": ca_string}

    def spawn(self, function):
        # type: (Callable[[], Any]) -> Any
        """Run a function side by side with others, in whatever the back-end is shared by.

        Threads by default, each of which calls :meth:`end_thread` at its end; a green back-end
        overrides it. The rules call ``join(timeout)`` of what is returned.
        """
        def run():
            # type: () -> None
            try:
                function()
            finally:
                self.end_thread()

        thread = threading.Thread(target=run)
        thread.daemon = True
        thread.start()
        return thread

    def end_thread(self):
        # type: () -> None
        """Give back what the back-end keeps for the thread that calls this, which is about to end.

        Each rule runs in a thread of its own. By default nothing is done; a green back-end whose
        library keeps the event loops of threads that have ended destroys that of this thread.
        """

    def fork(self):
        # type: () -> int
        """Fork the process: ``os.fork()``, unless the back-end needs another function."""
        return os.fork()

    def new_backend(self, **options):
        # type: (**Any) -> Any
        """Return a new back-end, made with :attr:`options` and some more."""
        made = dict(self.options)
        made.update(options)
        return _declared(type(self))(**made)


def _declared(case):
    # type: (type) -> Callable[..., Any]
    """Return what makes the back-end of a suite.

    :raises TypeError: if there is no such thing.
    """
    backend = None  # type: Any
    for each in case.__mro__:
        # Not as an attribute, which would make a method of a function.
        if each.__dict__.get("backend") is not None:
            backend = each.__dict__["backend"]
            break
    if isinstance(backend, (staticmethod, classmethod)):
        backend = backend.__get__(None, case)
    if isinstance(backend, six.string_types):
        __import__(backend)
        module = sys.modules[backend]  # type: Any
        backend = module.Backend
    if not callable(backend):
        raise TypeError("backend of %s is %r; expected the name of a module, a class, or a "
                        "function that returns a back-end" % (case.__name__, backend))
    made = backend  # type: Callable[..., Any]
    return made
