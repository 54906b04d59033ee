"""Runs the command ``apns`` as a process of its own: over pipes, or on a terminal.

For what only a process can show. All else runs in this process: see ``cli_support``.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading

import apnsclient
from cli_support import Ended, environment, set_window_size

#: A hang limit in seconds, not an expectation: the process is killed when it is over.
HANG = 150

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(apnsclient.__file__)))


def command(*arguments):
    return [sys.executable, "-m", "apnsclient.cli"] + [str(argument) for argument in arguments]


@contextlib.contextmanager
def running(arguments, **options):
    """Start a process without a terminal; it is dead when the block ends."""
    options["env"] = dict(options.get("env") or environment(), PYTHONPATH=_ROOT)
    for stream in ("stdin", "stdout", "stderr"):
        options.setdefault(stream, subprocess.PIPE)
    options.setdefault("preexec_fn", os.setsid)
    options.setdefault("close_fds", True)
    process = subprocess.Popen(arguments, **options)
    watchdog = threading.Timer(HANG, abort, (process,))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with ignored_failures():
                    stream.close()
        process.wait()


def abort(process):
    """Kill a process that hangs; Python 3 writes to standard error first where it was."""
    with ignored_failures():
        process.send_signal(signal.SIGABRT)


@contextlib.contextmanager
def ignored_failures():
    try:
        yield
    except (IOError, OSError):
        pass


def finish(process, standard_input=None):
    """Wait for the end of a process, and return what is left of it."""
    out, err = process.communicate(standard_input)
    return Ended(process.returncode, out or b"", err or b"")


def apns_process(*arguments, **options):
    """Run the command to its end; ``standard_input`` (bytes) is what it reads."""
    standard_input = options.pop("standard_input", b"")
    with running(command(*arguments), **options) as process:
        return finish(process, standard_input)


def python(program, *arguments, **options):
    """Run a Python program to its end."""
    with running([sys.executable, "-c", program] + list(arguments), **options) as process:
        return finish(process, b"")


def interrupt_until_ended(process):
    """Press Ctrl-C until the process ends: the second time is when it does not wait."""
    out = []
    reader = threading.Thread(target=lambda: out.append(finish(process)))
    reader.start()
    while reader.is_alive():
        with ignored_failures():
            process.send_signal(signal.SIGINT)
        reader.join(0.2)
    return out[0]


@contextlib.contextmanager
def terminal(arguments, pipes=(), env=None, is_controlling=True, columns=100):
    """Start a process on a terminal of its own; what is in ``pipes`` is a pipe instead.

    Ctrl-C works, and /dev/tty exists, only where the terminal is the controlling one.

    Yields ``(process, file descriptor of the terminal's other end)``.
    """
    ours, theirs = pty.openpty()
    set_window_size(theirs, columns)

    def take_terminal():
        os.setsid()
        if not is_controlling:
            return
        stream = [number for number in range(3) if os.isatty(number)][0]
        fcntl.ioctl(stream, termios.TIOCSCTTY, 0)

    streams = dict((name, subprocess.PIPE if name in pipes else theirs)
                   for name in ("stdin", "stdout", "stderr"))
    try:
        with running(arguments, env=env or environment(), preexec_fn=take_terminal,
                     **streams) as process:
            os.close(theirs)
            theirs = None
            yield process, ours
    finally:
        os.close(ours)
        if theirs is not None:
            os.close(theirs)


def read_terminal(descriptor, until=None):
    """Read what appears on a terminal, up to a text (bytes), or to the end."""
    seen = b""
    while until is None or until not in seen:
        ready = select.select([descriptor], [], [], HANG)[0]
        assert ready, "nothing more came after %r" % seen
        try:
            data = os.read(descriptor, 65536)
        except OSError as error:  # Linux: nobody has the other end open any more.
            assert error.errno == errno.EIO
            data = b""
        if not data:
            assert until is None, "the end came after %r" % seen
            break
        seen += data
    return seen


#: What the interpreter prints of an interrupt that it has swallowed.
_SWALLOWED = re.compile(br"Exception ignored [^\n]*\n(?:Traceback [^\n]*\n(?: [^\n]*\n)*)?"
                        br"KeyboardInterrupt:?[ \r]*\n")


def interrupt_on_terminal(screen):
    """Press Ctrl-C, and return what appears until the end.

    Again and again after a while: the interpreter swallows an exception that a signal handler
    raises while a finalizer happens to run, and a person would press again as well. What it prints
    of that is left out.
    """
    has_ended = threading.Event()

    def press():
        with ignored_failures():
            os.write(screen, b"\x03")
            while not has_ended.wait(5):
                os.write(screen, b"\x03")

    presser = threading.Thread(target=press)
    presser.start()
    try:
        return _SWALLOWED.sub(b"", read_terminal(screen))
    finally:
        has_ended.set()
        presser.join()
