"""Runs the command ``apns`` in this process, through ``main``.

What it reads and writes is in memory, or goes over pipes and terminals of the test's making. What
only a process can show is in ``tests/processes``, with ``cli_processes``.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time

import six

from apnsclient._compat import PY2
from apnsclient.cli import chaos, main, simulator
from apnsclient.cli._stop import Stop
from net_support import await_accepted

#: A hang limit in seconds, not an expectation: less than the limit of a test.
HANG = 60

#: What the notifications over HTTP/2 are for.
TOPIC = "com.example.app"

#: Arguments for a gateway that has nothing to say: its silence is not to be awaited for long.
QUIET = ["--tail-timeout", "0.1"]


def token(number):
    """Return a device token of our own numbering."""
    return "%064x" % number


#: How the library calls what the commands have options for.
LIBRARY_TERM = re.compile(r"\b(?:(?:cert|key|ca)_(?:file|string)|(?:key|team|apns)_id|apns_[a-z_]+|"
                      r"[a-z]+_timeout|pool_size|feedback_store|on_late_result|verify=|protocol=|"
                      r"session's|Session\()|\(host, port\)")


class Ended(object):
    """What is left of a command: exit status, and what it wrote."""

    def __init__(self, status, out, err=b"", shown=b""):
        self.status = status
        self.out = out.decode("utf-8")
        self.err = err.decode("utf-8")
        #: What appeared on the terminal (bytes).
        self.shown = shown

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def rows(self):
        return [line.split("\t") for line in self.out.splitlines()]


def environment(**changes):
    """Return the environment for a command: ours, with changes; None takes a variable away."""
    variables = dict(os.environ, TERM="xterm", COLUMNS="100", PYTHONFAULTHANDLER="1")
    for name in ("APNS_PASSPHRASE", "APNS_PROXY", "NO_COLOR", "PYTHONUNBUFFERED"):
        variables.pop(name, None)
    for name, value in changes.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return variables


def apns(*arguments, **options):
    """Run the command to its end.

    :param standard_input: what it reads (bytes).
    :param stdin, stdout, stderr: descriptors in place of what is in memory.
    :param terminal: names of those that are a terminal instead, for example ``["stderr"]``.
    :param env: its environment (dict).
    :param meanwhile: function that is called with a :class:`Running`, in a thread, while the
        command runs. What it raises interrupts the command, and is raised here. Standard output is
        a pipe then, unless it is something else by the other parameters.
    """
    descriptors = dict((name, options.pop(name, None)) for name in ("stdin", "stdout", "stderr"))
    names, meanwhile = options.pop("terminal", ()), options.pop("meanwhile", None)
    content, env = options.pop("standard_input", b""), options.pop("env", None)
    assert not options
    screen = Screen() if names else None
    descriptors.update((name, screen.theirs) for name in names)
    pipe = Pipe() if meanwhile is not None and descriptors["stdout"] is None else None
    if pipe is not None:
        descriptors["stdout"] = pipe.writer
    ends = [each for each in (pipe, screen) if each is not None]
    running = Running(screen, pipe)
    try:
        with _variables(env), _interrupts_restored(), running.beside(meanwhile):
            streams = _Streams(content, **descriptors)
            try:
                with streams.standing_in():
                    status = _status_of(arguments)
            finally:
                running.has_ended.set()
                for each in ends:
                    each.close()
                # As the interpreter does at exit: what fails only here is the command's fault, too.
                streams.close()
    finally:
        rest = [each.rest() for each in ends]
    out = rest[0] if pipe is not None else streams.out
    ended = Ended(status, out, streams.err, rest[-1] if screen is not None else b"")
    found = LIBRARY_TERM.search(ended.err)
    assert found is None, "it speaks of %s: %s" % (found.group(), ended.err)
    return ended


def _status_of(arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return ended.code


class _Streams(object):
    """Standard input, output and error of a command: in memory, or behind descriptors."""

    def __init__(self, content=b"", stdin=None, stdout=None, stderr=None):
        self._out, self._err = io.BytesIO(), io.BytesIO()
        self._streams = (_open(stdin, "r", io.BytesIO(content)), _open(stdout, "w", self._out),
                         _open(stderr, "w", self._err, is_buffered=False))
        #: What was written to memory, once it is closed.
        self.out = self.err = b""

    @contextlib.contextmanager
    def standing_in(self):
        """Have them in the places of ours, and warnings shown as with the option -W."""
        before = sys.stdin, sys.stdout, sys.stderr, sys.warnoptions
        sys.stdin, sys.stdout, sys.stderr = self._streams
        sys.warnoptions = ["error"]  # What the filters of the tests make of it counts.
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr, sys.warnoptions = before

    def close(self):
        self.out, self.err = self._out.getvalue(), self._err.getvalue()
        for stream in self._streams:
            stream.close()


def _open(descriptor, mode, memory, is_buffered=True):
    """Return a stream as the interpreter makes them."""
    if descriptor is None:
        return memory if PY2 else io.TextIOWrapper(memory, "utf-8")
    descriptor = os.dup(descriptor)
    if PY2:
        return os.fdopen(descriptor, mode, -1 if is_buffered else 0)
    return io.open(descriptor, mode, -1 if is_buffered else 1, "utf-8")


@contextlib.contextmanager
def _variables(wanted):
    before, wanted = dict(os.environ), wanted or environment()
    os.environ.clear()
    os.environ.update(wanted)
    time.tzset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        time.tzset()


@contextlib.contextmanager
def _interrupts_restored():
    """Handle signals as before in the end: one that has interrupted a command is ignored for good.

    A process that a later test forks would ignore SIGTERM, too, and could not be ended by it.
    """
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    except KeyboardInterrupt:
        raise AssertionError("an interruption came while the command did not handle it")
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class Running(object):
    """A command that runs in the main thread, for what goes on meanwhile."""

    def __init__(self, screen, output):
        #: The terminal, if there is one (:class:`Screen`).
        self.screen = screen
        #: Standard output (:class:`Pipe`).
        self.output = output
        #: Set when it runs no longer.
        self.has_ended = threading.Event()
        self._has_handled = threading.Event()
        self._failure = None

    def interrupt(self):
        """Send SIGINT, as Ctrl-C does."""
        os.kill(os.getpid(), signal.SIGINT)

    def interrupt_once(self):
        """Send it, and return when the interpreter has handled it.

        It does not notice a signal that comes just before the main thread waits in a system call,
        until that has waited for as long as it likes. A further signal ends the wait. The handlers
        of both are called then, in the order of the signals' numbers.
        """
        self.interrupt()
        while not (self._has_handled.is_set() or self.has_ended.is_set()):
            os.kill(os.getpid(), signal.SIGUSR1)
            self._has_handled.wait(0.1)

    def interrupt_until_ended(self):
        """Send it, and again after a while as long as the command runs.

        The interpreter swallows an exception that a signal handler raises while a finalizer happens
        to run, and a person would press again as well.
        """
        self.interrupt()
        while not self.has_ended.wait(5):
            self.interrupt()

    @contextlib.contextmanager
    def beside(self, meanwhile):
        """Call a function in a thread as long as the block runs; None is nothing to call."""
        if meanwhile is None:
            yield
            return
        before = signal.signal(signal.SIGUSR1, lambda number, frame: self._has_handled.set())
        thread = threading.Thread(target=self._call, args=(meanwhile,))
        thread.start()
        try:
            yield
        finally:
            _join(thread)
            signal.signal(signal.SIGUSR1, before)
        if self._failure is not None:
            six.reraise(*self._failure)

    def _call(self, meanwhile):
        try:
            meanwhile(self)
        except BaseException:
            self._failure = sys.exc_info()
            if not self.has_ended.is_set():
                self.interrupt()


class Pipe(object):
    """A pipe that a command writes to."""

    def __init__(self):
        reader, self.writer = os.pipe()
        self._reader = io.open(reader, "rb")

    def close(self):
        """Close our copy of the end that is written to."""
        os.close(self.writer)

    def read(self, size):
        """Return so many bytes."""
        return self._reader.read(size)

    def readline(self):
        """Return the next line (text)."""
        return self._reader.readline().decode("utf-8")

    def stop_reading(self):
        """Close the end that is read from."""
        self._reader.close()

    def rest(self):
        """Return what has not been read (bytes), and close the end that it is read from."""
        if self._reader.closed:
            return b""
        with self._reader:
            return self._reader.read()


def _join(thread):
    thread.join(HANG)  # Without a time Python 2.7 is deaf to signals meanwhile.
    assert not thread.is_alive()


def set_window_size(descriptor, columns=100):
    """Make a terminal so many characters wide."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))


class Screen(object):
    """A terminal, and what appears on it."""

    def __init__(self):
        self._ours, self.theirs = pty.openpty()
        set_window_size(self.theirs)
        #: What has appeared so far (bytes).
        self.shown = b""
        self._is_over = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        while not self._is_over:
            try:
                data = os.read(self._ours, 65536)
            except OSError as error:  # Linux: nobody has the other end open any more.
                assert error.errno == errno.EIO
                data = b""
            with self._changed:
                self.shown += data
                self._is_over = not data
                self._changed.notify_all()

    def await_text(self, text):
        """Wait until a text (bytes) has appeared."""
        with self._changed:
            while text not in self.shown:
                before = self.shown
                assert not self._is_over, "the end came after %r" % before
                self._changed.wait(HANG)
                assert self._is_over or self.shown != before, "nothing came after %r" % before

    def close(self):
        """Close our copy of the command's end."""
        os.close(self.theirs)

    def rest(self):
        """Return all that was written (bytes), once it has appeared."""
        _join(self._reader)
        os.close(self._ours)
        return self.shown


class _StopByTest(Stop):
    """Ends the waiting when the test says so: signals are handled in the main thread alone."""

    signals = ()

    def __init__(self):
        self.has_begun = threading.Event()
        self._ending = threading.Lock()
        self._is_over = False

    def __enter__(self):
        super(_StopByTest, self).__enter__()
        self.has_begun.set()
        return self

    def end_once(self):
        """End the waiting, unless it is over already."""
        with self._ending:
            if not self._is_over:
                self.end()

    def __exit__(self, *exception):
        with self._ending:
            self._is_over = True
            super(_StopByTest, self).__exit__(*exception)


class Serving(object):
    """A command that serves, such as ``apns simulator``, in a thread."""

    def __init__(self, arguments, streams, stop, output):
        self._arguments = arguments
        self._streams = streams
        self._stop = stop
        #: Standard output (:class:`Pipe`).
        self.output = output
        self._failure = None
        self._ended = None
        self._status = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            try:
                self._status = _status_of(self._arguments)
            finally:
                self._stop.has_begun.set()
                self._streams.close()
        except BaseException:
            self._failure = sys.exc_info()

    def readline(self):
        """Return the next line of its output (text)."""
        return self.output.readline()

    def read_document(self):
        """Return what the next line of its output says in JSON."""
        return json.loads(self.readline())

    def await_end(self):
        """Wait until it has ended by itself, and return what is left."""
        if self._ended is None:
            out = self.output.rest()
            _join(self._thread)
            if self._failure is not None:
                six.reraise(*self._failure)
            self._ended = Ended(self._status, out, self._streams.err)
        return self._ended

    def end(self):
        """End it as a signal does; return what is left, with the rest of the output."""
        self._stop.end_once()
        return self.await_end()


@contextlib.contextmanager
def serving(*arguments):
    """Run a command until the block, or :meth:`Serving.end`, ends it; yield a :class:`Serving`."""
    output, stop = Pipe(), _StopByTest()
    with _stopped_by(stop):
        streams = _Streams(stdout=output.writer)
        output.close()
        with streams.standing_in():
            command = Serving(arguments, streams, stop, output)
            assert stop.has_begun.wait(HANG)  # By then it has taken its streams.
        try:
            yield command
        finally:
            command.end()


@contextlib.contextmanager
def _stopped_by(stop):
    before = chaos.Stop, simulator.Stop
    chaos.Stop = simulator.Stop = lambda: stop
    try:
        yield
    finally:
        chaos.Stop, simulator.Stop = before


def assert_wrong_usage(cases, lines=None):
    """See that each ``(arguments, complaint)`` ends with status 2, and says just that.

    :param lines: how many lines that takes; None for any number.
    """
    wrong = []
    for arguments, complaint in cases:
        ended = apns(*arguments)
        said = ended.err.replace("u'", "'")
        if (ended.status, ended.out) != (2, "") or complaint not in said \
                or lines not in (None, said.count("\n")):
            wrong.append((arguments, complaint, ended.status, ended.out, ended.err))
    assert wrong == []


@contextlib.contextmanager
def unread_pipe():
    """A descriptor that can be written to, and whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def write_file(path, content):
    """Write a file (``py.path`` or ``pathlib``); return its name as str."""
    with io.open(str(path), "wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


class Bed(object):
    """A simulator, and the arguments that lead to it."""

    def __init__(self, simulator, directory):
        self.simulator = simulator
        self.directory = directory
        self.ca = write_file(directory / "ca.pem", simulator.ca_string)
        self.cert = write_file(directory / "client.pem", simulator.cert_string)

    @property
    def where(self):
        return ["send", "--address", "%s:%d" % self.simulator.gateway_address,
                "--ca-file", self.ca, "--cert", self.cert]

    def arguments(self, *more):
        """The arguments for sending; QUIET among them is for where the gateway stays silent."""
        return self.where + ["--tail-timeout", "1", "--retry-delay", "0.05"] + list(more)

    def send(self, *more, **options):
        return apns(*self.arguments(*more), **options)

    def accepted_tokens(self, count):
        """Return the tokens that were accepted, once there are so many."""
        await_accepted(self.simulator, count)
        return self.simulator.accepted_tokens()

    def file(self, name, content):
        return write_file(self.directory / name, content)

    # The same over HTTP/2.

    @property
    def provider(self):
        return ["--address", "%s:%d" % self.simulator.provider_address, "--ca-file", self.ca]

    @property
    def token(self):
        """The arguments for a provider token."""
        return ["--key-id", self.simulator.key_id, "--team-id", self.simulator.team_id,
                "--key", self.file("key.p8", self.simulator.key_string)]

    def arguments2(self, *more):
        """The arguments for sending over HTTP/2 with a provider token."""
        return (["send"] + self.provider + self.token + ["--topic", TOPIC, "--retry-delay", "0.05"]
                + list(more))

    def send2(self, *more, **options):
        """Send over HTTP/2 with a provider token."""
        return apns(*self.arguments2(*more), **options)

    def send_with(self, certificate, *more, **options):
        """Send over HTTP/2 with a certificate (PEM text)."""
        cert = self.file("http2.pem", certificate)
        return apns("send", "--http2", "--cert", cert, *(self.provider + list(more)), **options)
