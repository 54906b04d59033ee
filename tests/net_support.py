"""What the tests of the whole client share: tokens, clients, waiting, and peers that misbehave.

A peer that the simulator cannot play is a function of a TLS connection, run by ``Server`` of
``stdio_support``.
"""

from __future__ import absolute_import, division, print_function

import os
import subprocess
import sys
import threading

import six

import apnsclient
from apnsclient import APNs, Message
from apnsclient.backends import stdio
from stdio_support import AUTHORITY, CLIENT, Server, over_tls, wait_for_end

#: Generous limit in seconds for what is expected to happen at once.
SOON = 40
#: Tail wait in seconds where the gateway stays silent, and nothing is lost if it does not.
SILENCE = 0.2

_IGNORED = ("Python 2 is no longer supported", "Support for Python",
            "Python %d.%d is no longer supported" % sys.version_info[:2],
            # What gevent imports on Python 3.7.
            "pkg_resources is deprecated", "Deprecated call to `pkg_resources")


def make_tokens(count, first=0):
    """Return distinct device tokens in lower-case hexadecimal (list of str)."""
    return ["%064x" % number for number in range(first + 1, first + 1 + count)]


def connection_to(session, simulator, **options):
    """Return a pooled handle to the simulator's gateway."""
    options.setdefault("cert_string", simulator.cert_string)
    return session.get_connection(simulator.gateway_address, **options)


def client_of(session, simulator, **options):
    """Return an ``APNs`` for the simulator's gateway."""
    return APNs(connection_to(session, simulator, **options))


def tokens_of(message):
    """Return the tokens of a message; none if it is None."""
    return [] if message is None else list(message.tokens)


def await_accepted(simulator, count):
    """Wait until so many notifications were accepted in all."""
    assert simulator.wait_for(lambda: simulator.accepted_count >= count, SOON), (
        "%d notifications were accepted, expected %d" % (simulator.accepted_count, count))
    assert simulator.accepted_count == count


def await_closed(simulator):
    """Wait until no connection to the gateway is open."""
    assert simulator.wait_for(lambda: simulator.open_connections == 0, SOON)


def await_held(simulator, count=1):
    """Wait until so many error frames are being held back."""
    assert simulator.wait_for(lambda: simulator.held == count, SOON)


class Backend(stdio.Backend):
    """The default back-end; remembers the connections that it made.

    :ivar made: the connections, in order.
    """

    #: What the connections become: a subclass of the back-end's own class.
    connection_class = stdio.Connection

    def __init__(self, **options):
        super(Backend, self).__init__(**options)
        self.made = []

    def get_new_connection(self, address, certificate, timeout=None):
        """Do what the base class does, and remember it."""
        connection = super(Backend, self).get_new_connection(address, certificate, timeout)
        connection.__class__ = self.connection_class
        self.made.append(connection)
        return connection


class Outcome(object):
    """What became of every token, however late it was reported.

    Its method :meth:`late` is for ``on_late_result``. Messages are sent until nothing is left.
    """

    def __init__(self):
        self.failed = {}
        self.errors = []
        self._lock = threading.Lock()
        self._retries = []

    def late(self, result):
        """Note a result; what is to be retried is returned by :meth:`take`."""
        retry = result.retry()
        with self._lock:
            self.failed.update(result.failed)
            self.errors += result.errors
            if retry is not None:
                self._retries.append(retry)

    def take(self):
        """Return the messages that are to be sent again, once."""
        with self._lock:
            retries, self._retries = self._retries, []
            return retries

    def send_all(self, client, messages):
        """Send messages, and again what is to be retried, until nothing is left for now."""
        while messages:
            for result in client.send_many(messages):
                self.late(result)
            messages = self.take()

    def finish(self, client, session, simulator, responses):
        """Go on until the gateway has sent so many error frames, and nothing is left."""
        while True:
            responded = simulator.error_count
            # What is unread on the pooled connections is read before they are closed.
            session.shutdown()
            messages = self.take()
            if messages:
                self.send_all(client, messages)
            elif responded >= responses:
                break
            else:
                # It has got everything, and responds to it.
                assert simulator.wait_for(lambda: simulator.error_count > responded, SOON)
        assert simulator.error_count == responses


class Script(object):
    """A Python program run by this interpreter, with warnings as errors and no silent noise.

    :param text: the program (str).
    :param argv: its arguments, all str.
    """

    def __init__(self, text, *argv):
        self._process = subprocess.Popen(
            interpreter_command() + ["-c", text] + list(argv), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=script_environment())

    def finish(self, limit=SOON * 2):
        """Wait for its end; return exit status, standard output and standard error (text)."""
        watchdog = threading.Timer(limit, self._process.kill)
        watchdog.start()
        try:
            output, errors = self._process.communicate()
        finally:
            watchdog.cancel()
        return self._process.returncode, output.decode("utf-8"), errors.decode("utf-8")


def interpreter_command():
    """Return the command of this interpreter with warnings as errors and no silent noise."""
    command = [sys.executable, "-W", "error"]
    for message in _IGNORED:
        command += ["-W", "ignore:" + message]
    # The debugging allocator of Python 3.8 does not survive a fork, whoever forks.
    if not six.PY2 and sys.version_info[:2] != (3, 8):
        command += ["-X", "dev"]
    return command


def script_environment():
    """Return the environment of such an interpreter, where it finds the client."""
    environment = dict(os.environ)
    home = os.path.dirname(os.path.dirname(os.path.abspath(apnsclient.__file__)))
    environment["PYTHONPATH"] = home
    return environment


def run_script(text, *argv):
    """Run a program that must succeed without a word on standard error; return its output."""
    status, output, errors = Script(text, *argv).finish()
    assert (status, errors) == (0, "")
    return output


class Drip(object):
    """A peer that sends the beginning of a TLS record, then one byte of it at a time.

    Nothing ever becomes whole, while the socket becomes readable again and again.
    """

    PAUSE = 0.02

    def __init__(self):
        self.over = threading.Event()

    def __call__(self, tls):
        raw = tls._socket
        raw.sendall(b"\x17\x03\x03\x3f\x00")
        try:
            while not self.over.wait(self.PAUSE):
                raw.sendall(b"\0")
        except (OSError, IOError):
            pass


__all__ = [
    "AUTHORITY", "Backend", "CLIENT", "Drip", "Message", "Outcome", "SILENCE", "SOON", "Script",
    "Server", "await_accepted", "await_closed", "await_held", "client_of", "connection_to",
    "interpreter_command", "make_tokens", "over_tls", "run_script", "script_environment",
    "tokens_of", "wait_for_end",
]
