"""Threads that the tests run beside their own."""

from __future__ import absolute_import, division, print_function

import contextlib
import threading

#: Generous limit in seconds for what is expected to come to an end.
_LIMIT = 150


def run_threads(functions):
    """Run functions at the same time, each in a thread; raise what one of them raised."""
    errors, go = [], threading.Event()

    def run(function):
        go.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.daemon = True
        thread.start()
    go.set()
    for thread in threads:
        thread.join(_LIMIT)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@contextlib.contextmanager
def held_elsewhere(lock):
    """Have another thread hold a lock, as it may do while this one forks."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            is_over.wait(_LIMIT)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_held.wait(_LIMIT)
        yield
    finally:
        is_over.set()
        thread.join(_LIMIT)
