"""Brokers for Celery, and other programs that tests start: on free ports, in a folder of their own.

A program ends with its block. It is killed when it hangs, and on Linux also when the process that
started it dies, however that happens.
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, contextmanager

from http2_servers import program

__all__ = ["HANG", "Program", "rabbitmq", "redis_server"]

#: Seconds after which something hangs: not an expectation.
HANG = 150
#: How many ports are tried; another program may take one before the broker does.
PORTS = 10

_PR_SET_PDEATHSIG = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


class Program:
    """A program in a session of its own; its output, both streams, is read as it comes.

    :param command: list of str.
    :param folder: where it runs.
    :param environment: its environment, as a whole (dict).
    :param limit: seconds after which it is killed, with all that it has started.
    """

    def __init__(self, command, folder, environment=None, limit=HANG):
        self.command = command
        self._lines = []
        self._has_more = threading.Condition()
        self._has_ended = False
        self._process = subprocess.Popen(
            command, cwd=str(folder), env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)
        self._watchdog = threading.Timer(limit, self.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._reader = threading.Thread(target=self._read, name="output of %s" % command[0])
        self._reader.daemon = True
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._has_more:
                self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._has_more.notify_all()
        with self._has_more:
            self._has_ended = True
            self._has_more.notify_all()

    @property
    def pid(self):
        """Number of the process."""
        return self._process.pid

    @property
    def output(self):
        """What it has written until now (str)."""
        with self._has_more:
            return "\n".join(self._lines)

    def mark(self):
        """Return how many lines there are: where a later search may begin."""
        with self._has_more:
            return len(self._lines)

    def find(self, pattern, start=0):
        """Return the matches in the lines that it has written, from one on."""
        with self._has_more:
            return [found for found in (re.search(pattern, line) for line in self._lines[start:])
                    if found]

    def wait_for(self, pattern, start=0, count=1, limit=HANG):
        """Wait until so many lines match, from one on; return the last of these matches."""
        def is_over():
            return self._has_ended or len(self.find(pattern, start)) >= count

        with self._has_more:
            self._has_more.wait_for(is_over, limit)
        found = self.find(pattern, start)
        assert len(found) >= count, "expected %d of %r in the output:\n%s" % (
            count, pattern, self.output)
        return found[count - 1]

    def send_signal(self, number):
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, limit=HANG):
        """Wait for its end; return the exit status."""
        self._reader.join(limit)
        assert not self._reader.is_alive(), "it did not end:\n" + self.output
        return self._process.wait(limit)

    def is_running(self):
        """Return True if it has not ended."""
        return self._process.poll() is None

    def kill(self):
        """Kill it, with all that it has started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def stop(self):
        """Kill it, if need be, and leave nothing of it behind."""
        self._watchdog.cancel()
        self.kill()
        self._process.wait()
        self._reader.join(HANG)
        self._process.stdout.close()


def _die_with_parent():
    os.setsid()
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def running(*arguments, **options):
    """Start a :class:`Program`, which is dead when the block ends."""
    started = Program(*arguments, **options)
    try:
        yield started
    finally:
        started.stop()


def free_port():
    """Return the number of a port of the loopback interface that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _listening(start, is_ready, failure):
    """Start a server on one port after the other until it has one.

    :param start: function of a port; returns a context manager of the program.
    :param is_ready: pattern of the line that says that it listens.
    :param failure: pattern of the line that says that it cannot.
    """
    for _ in range(PORTS):
        port = free_port()
        with ExitStack() as stack:
            server = stack.enter_context(start(port))
            said = server.wait_for("%s|%s" % (is_ready, failure)).group()
            if re.search(is_ready, said):
                yield server, port
                return
    raise AssertionError("the server found no free port in %d attempts" % PORTS)


@contextmanager
def redis_server(folder, limit=HANG):
    """Start Redis, which stores nothing on disk; yield ``redis://host:port``."""
    command = [program("redis-server"), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
               "--dir", str(folder)]
    with _listening(
            lambda port: running(command + ["--port", str(port)], folder, limit=limit),
            "Ready to accept connections", "Address already in use") as (_, port):
        yield "redis://127.0.0.1:%d" % port


@contextmanager
def rabbitmq(folder, limit=HANG):
    """Start RabbitMQ, with a name server of its own for Erlang; yield ``amqp://...``."""
    # What is found by name first may be a wrapper that changes to a user of its own.
    server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    command = [server if os.access(server, os.X_OK) else program("rabbitmq-server"), "-noinput"]
    with _listening(
            lambda port: running([program("epmd"), "-address", "127.0.0.1", "-d", "-d", "-port",
                                  str(port)], folder, limit=limit),
            "entering the main select", "already a epmd") as (_, name_port):
        with _listening(
                lambda port: running(command, folder,
                                     _rabbitmq_environment(folder, port, name_port), limit),
                "Server startup complete", "eaddrinuse|ERROR") as (_, port):
            yield "amqp://guest:guest@127.0.0.1:%d//" % port


def _rabbitmq_environment(folder, port, name_port):
    nowhere = os.path.join(str(folder), "nowhere")
    return dict(
        os.environ, HOME=str(folder), ERL_EPMD_PORT=str(name_port), ERL_EPMD_ADDRESS="127.0.0.1",
        # Run the virtual machine in this process.
        RABBITMQ_ALLOW_INPUT="true",
        RABBITMQ_NODENAME="apnsclient%d@localhost" % port, RABBITMQ_NODE_PORT=str(port),
        RABBITMQ_NODE_IP_ADDRESS="127.0.0.1", RABBITMQ_DIST_PORT=str(free_port()),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        RABBITMQ_MNESIA_BASE=str(folder), RABBITMQ_LOG_BASE=str(folder), RABBITMQ_LOGS="-",
        RABBITMQ_CONFIG_FILE=nowhere, RABBITMQ_CONF_ENV_FILE=nowhere,
        RABBITMQ_ENABLED_PLUGINS_FILE=nowhere)
