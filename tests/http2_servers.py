"""HTTP/2 servers that other people wrote, as processes, and what a test does with them.

Each takes a batch of pushes, and reports afterwards which statuses it has sent for which
token; :class:`Tally` compares that with what the client says. Certificates are those of
``stdio_support``. A process is dead when its block ends, and killed when a test hangs.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import io
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from apnsclient import APNs, Session
from apnsclient._compat import monotonic
from net_support import SOON, tokens_of
from stdio_support import AUTHORITY, CLIENT, SERVER, free_port

#: Seconds after which a process is killed: a hang limit, not an expectation.
HANG = 150
#: How many times a message is sent again before something must be wrong.
ROUNDS = 60
#: How many ports are tried; another program may take one before the server does.
PORTS = 10

HOST = "127.0.0.1"
_HERE = os.path.dirname(os.path.abspath(__file__))

_NGINX = """
daemon off;
worker_processes 1;
pid "%(directory)s/nginx.pid";
error_log "%(directory)s/error.log";
events { worker_connections 64; }
http {
    log_format record "$status $uri $http_apns_topic";
    access_log "%(directory)s/access.log" record;
    client_body_temp_path "%(directory)s/body";
    proxy_temp_path "%(directory)s/proxy";
    fastcgi_temp_path "%(directory)s/fastcgi";
    uwsgi_temp_path "%(directory)s/uwsgi";
    scgi_temp_path "%(directory)s/scgi";
    default_type application/json;
    map $uri $verdict { default 200; ~a$ 400; ~b$ 410; }
    server {
        listen %(host)s:%(port)d ssl http2;
        ssl_certificate "%(cert)s";
        ssl_certificate_key "%(key)s";
        ssl_client_certificate "%(ca)s";
        ssl_verify_client on;
        %(options)s
        location /3/device/ {
            add_header apns-id EC1BF194-B3B2-424A-89A9-5A918A6E6B5D always;
            if ($verdict = 400) { return 400 '{"reason":"BadDeviceToken"}'; }
            if ($verdict = 410) {
                return 410 '{"reason":"Unregistered","timestamp":1454402113000}';
            }
            return 200;
        }
    }
}
"""


def program(name):
    """Return the path of a program; without it skip the test, or fail it in CI."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep) + ["/usr/sbin"]
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if os.environ.get("CI"):
        pytest.fail("the program %s is not installed" % name)
    return pytest.skip("the program %s is not installed" % name)


def write_credentials(directory):
    """Write PEM files for servers and clients; return their names by what they are."""
    texts = {"ca": AUTHORITY.ca_string, "cert": SERVER.certificate_string,
             "key": SERVER.key_string, "client": CLIENT.pem}
    names = {}
    for name, text in texts.items():
        names[name] = os.path.join(str(directory), name + ".pem")
        with io.open(names[name], "wb") as stream:
            stream.write(text.encode("ascii"))
    return names


@contextlib.contextmanager
def running(command):
    """Start a process with pipes for what it reads and writes; it is dead when the block ends."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, close_fds=True, preexec_fn=os.setsid)
    watchdog = threading.Timer(HANG, _kill, [process])
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        _kill(process)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _kill(process):
    """Kill a process, and all that it has started, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def listening(make_command):
    """Start a process that cannot choose a port itself.

    :param make_command: called with a port that is free, returns the command.

    Yields the process, and ``(host, port)``, to which it listens.
    """
    said = []
    for _ in range(PORTS):
        port = free_port()
        with running(make_command(port)) as process:
            if _wait_until_listening(process, port):
                yield process, (HOST, port)
                return
            said.append(process.stdout.read())
    pytest.fail("it does not start: %r" % said)


def _wait_until_listening(process, port):
    """Wait until the process listens to the port; return False if it has ended instead."""
    deadline, pause = monotonic() + SOON, threading.Event()
    while process.poll() is None:
        if _is_listening(port):
            return process.poll() is None
        assert monotonic() < deadline, "the server never listens"
        pause.wait(0.01)
    return False


def _is_listening(port):
    """Return True if somebody listens to a port."""
    try:
        socket.create_connection((HOST, port), SOON).close()
        return True
    except socket.error as error:
        if error.errno not in (errno.ECONNREFUSED, errno.ECONNRESET):
            raise
        return False


class Nginx(object):
    """nginx; with the options of its configuration that a test needs.

    :ivar address: ``(host, port)``.
    """

    def __init__(self, process, address, log):
        self.address = address
        self._process = process
        self._log = log

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory, options=""):
        path, names = program("nginx"), write_credentials(directory)
        names.update(directory=str(directory), host=HOST, options=options)
        configuration = os.path.join(str(directory), "nginx.conf")

        def make_command(port):
            with io.open(configuration, "wb") as stream:
                stream.write((_NGINX % dict(names, port=port)).encode("ascii"))
            return [path, "-p", str(directory), "-c", configuration]

        with listening(make_command) as (process, address):
            yield cls(process, address, os.path.join(str(directory), "access.log"))

    def leave(self):
        """Have it shut down as an upgrade does: it accepts no connection any more, and drains."""
        self._process.send_signal(signal.SIGQUIT)
        pause, deadline = threading.Event(), monotonic() + SOON
        while _is_listening(self.address[1]):
            assert monotonic() < deadline, "it goes on accepting connections"
            pause.wait(0.01)

    def statuses(self, count):
        """Return ``{token: [status, ...]}`` once so many requests have been written down."""
        pause, deadline = threading.Event(), monotonic() + SOON
        while True:
            with io.open(self._log, encoding="ascii") as stream:
                lines = stream.read().splitlines()
            if len(lines) >= count:
                break
            assert monotonic() < deadline, "%d requests, expected %d" % (len(lines), count)
            pause.wait(0.01)
        statuses = {}
        for line in lines:
            status, uri, topic = line.split(" ")
            assert topic == "com.example.app"
            statuses.setdefault(str(uri[len("/3/device/"):]), []).append(int(status))
        return statuses


class Node(object):
    """The server of http2_server.js.

    :ivar address: ``(host, port)``.
    """

    def __init__(self, process):
        self._process = process
        line = process.stdout.readline()
        assert line.strip().isdigit(), line + process.stdout.read()
        self.address = HOST, int(line)

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory, **options):
        options.update(write_credentials(directory))
        script = os.path.join(_HERE, "http2_server.js")
        with running([program("node"), script, json.dumps(options)]) as process:
            yield cls(process)

    def statuses(self):
        """Return ``{token: [status, ...]}``."""
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        statuses = json.loads(self._process.stdout.readline().decode("ascii"))
        return dict((str(token), statuses) for token, statuses in statuses.items())


@contextlib.contextmanager
def nghttpd(directory, *options):
    """Start nghttpd; yields its address."""
    path, names = program("nghttpd"), write_credentials(directory)
    with listening(lambda port: [path, "-a", HOST, "-d", str(directory)] + list(options)
                   + [str(port), names["key"], names["cert"]]) as (_, address):
        yield address


@contextlib.contextmanager
def client_of(address, pool_size=5, **credential):
    """Yields an ``APNs`` whose session is shut down in the end; it presents ``CLIENT`` by default.
    """
    session = Session(protocol="http2", ca_string=AUTHORITY.ca_string, pool_size=pool_size)
    try:
        yield APNs(session.get_connection(address, **(credential or {"cert_string": CLIENT.pem})))
    finally:
        session.shutdown()


class Tally(object):
    """What became of each token, according to the client, in one message after the other.

    :ivar accepted: tokens that got their notification (list).
    :ivar failed: tokens that were refused, with the reason (dict).
    :ivar undelivered: tokens that got nothing (list).
    :ivar unknown: tokens that were sent again although they may have been accepted (set).
    :ivar errors: what went wrong otherwise, as it came (list).
    """

    def __init__(self):
        self.accepted = []
        self.failed = {}
        self.undelivered = []
        self.unknown = set()
        self.errors = []

    def deliver(self, client, message):
        """Send a message, and again what is to be retried, until nothing is left."""
        for _ in range(ROUNDS):
            message = self.note(client.send(message))
            if message is None:
                return self
        raise AssertionError("%d tokens are left after %d rounds: %r"
                             % (len(message.tokens), ROUNDS, self.errors[-3:]))

    def note(self, result):
        """Note a result; return the message that is to be sent again, or None."""
        retry = result.retry()
        apart = list(result.failed) + tokens_of(retry) + result.undelivered
        found = set(apart)
        assert len(apart) == len(found), "a token has two outcomes"
        assert found <= set(result.message.tokens)
        self.accepted += [token for token in result.message.tokens if token not in found]
        assert not set(self.failed) & set(result.failed)
        self.failed.update(result.failed)
        self.undelivered += result.undelivered
        self.errors += result.errors
        if any(text.startswith("Unknown") for _, text in result.errors):
            self.unknown.update(tokens_of(retry))
        return retry

    def check(self, tokens, statuses=None):
        """See that each token has one outcome, and the one that the server speaks of.

        :param tokens: tokens of the message.
        :param statuses: ``{token: [status, ...]}``, as the server has it.
        """
        assert sorted(self.accepted + list(self.failed) + self.undelivered) == sorted(tokens)
        if statuses is None:
            return
        assert set(statuses) <= set(tokens)
        for token in self.accepted:
            count = statuses.get(token, []).count(200)
            assert count == 1 or count > 1 and token in self.unknown, (token, count)
        for token, failure in self.failed.items():
            assert statuses[token][-1] == failure.status
            assert 200 not in statuses[token]
