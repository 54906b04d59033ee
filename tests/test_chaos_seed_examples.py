"""The examples of the documents that the proxy was made from run as they stand.

They are the code, the command lines and the ini file of the page on extending, with the name of the
package and that of the command replaced. What a reader has to put in stands beside them: a module
for ``path.to.the.callable``, and servers in place of the ones named.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import io
import json
import socket
import sys

import pytest

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.handlers import Handler
from chaos_support import await_end, connected, echo, exchange, read_to_end
from cli_support import serving
from stdio_support import SOON, Server

HANDLER = u'''\
from apnsclient.testing.chaos.handlers import Handler

class MySuperHandler(object):

    name = 'super'
    options = {}

    def __call__(self, client_sock, backend_sock, to_backend):
        # do something here
        return True


Handler.register(MySuperHandler)
'''

FULL_EXAMPLE = u'''\
from apnsclient.testing.chaos.handlers.base import BaseHandler


class Dummy(BaseHandler):
    """Dummy handler.

    Every incoming data is passed to the backend with no alteration,
    and vice-versa.
    """
    name = 'dummy'
    options = {'keep_alive': ("Keep-alive protocol",
                            bool, False),
            'reuse_socket': ("If True, the socket is reused.",
                                bool, False)}

    def __call__(self, client_sock, backend_sock, to_backend):
        data = self._get_data(client_sock, backend_sock, to_backend)
        if data:
            dest = to_backend and backend_sock or client_sock
            source = to_backend and client_sock or backend_sock
            dest.sendall(data)

            # If we are not keeping the connection alive
            # we can suck the answer back and close the socket
            if not self.option('keep_alive'):
                data = ''
                while True:
                    data = dest.recv(1024)

                    if data == '':
                        break
                    source.sendall(data)
                dest.close()
                dest._closed = True
        elif not to_backend:
            # We want to close the socket if the backend sock is empty
            if not self.option('reuse_socket'):
                backend_sock.close()
                backend_sock._closed = True

        return data != ''
'''

COMMAND = u"""\
apns chaos --proxy localhost:8000 --backend google.com:80 \\
        --behavior 20:path.to.the.callable \\
        --handler-delay-sleep 2
"""

CONFIG = u"""\
[vaurien]
behavior = 20:foobar

[handler:foobar]
callable = path.to.the.callable
foo=bar
"""

WITH_CONFIG = u"apns chaos --config config.ini"

#: What somebody has at that place.
CALLABLE = u'''\
from apnsclient.testing.chaos.handlers.base import BaseHandler


class callable(BaseHandler):
    name = 'mine'
    options = {'foo': ('Something.', str, 'default')}

    def on_connect(self, client_sock, backend_sock):
        self.note('foo is ' + self.option('foo'))
        return True
'''


def run(text):
    """Run an example, and return what it defines."""
    names = {"__name__": "example"}
    exec(compile(text, "example", "exec", 0, True), names)
    return names


def _write(folder, *files):
    for name, text in files:
        with io.open(str(folder.join(*name.split("/")).ensure()), "w") as stream:
            stream.write(text)


@pytest.fixture
def module(tmpdir, monkeypatch):
    """A module with the full example, which can be imported."""
    _write(tmpdir, ("seed_example.py", FULL_EXAMPLE))
    monkeypatch.syspath_prepend(str(tmpdir))


@pytest.fixture
def folder(tmpdir, monkeypatch):
    """The current directory has config.ini, and path.to.the, which nobody has imported yet."""
    _write(tmpdir, ("path/__init__.py", u""), ("path/to/__init__.py", u""),
           ("path/to/the.py", CALLABLE), ("config.ini", CONFIG))
    monkeypatch.chdir(str(tmpdir))
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    yield
    for name in ("path", "path.to", "path.to.the"):
        sys.modules.pop(name, None)


def test_the_first_handler_passes_traffic():
    """It reads nothing and says True; the proxy does the rest, without going in circles."""
    handler = run(HANDLER)["MySuperHandler"]
    calls = []
    call = handler.__call__
    handler.__call__ = lambda self, *arguments: calls.append(1) or call(self, *arguments)
    try:
        with Server(echo) as backend, ChaosProxy(backend.address, "100:super") as proxy:
            with connected(proxy) as client:
                for _ in range(3):
                    client.sendall(b"hello")
                    assert client.recv(5) == b"hello"
                client.shutdown(socket.SHUT_WR)
                assert read_to_end(client) == b""
            assert await_end(proxy).handler == "super"
    finally:
        Handler.unregister("super")
    assert len(calls) == 8  # Three times there and back, and both ends.


def test_the_full_example_passes_an_exchange(module):
    """A request and its response up to the end of the stream; on Python 3 that ends as well."""
    def serve(accepted):
        assert accepted.recv(100) == b"GET /"
        for _ in range(3):
            accepted.sendall(b"x" * 1500)

    with Server(serve) as backend, ChaosProxy(
            backend.address, "100:seed_example.Dummy", timeout=SOON) as proxy:
        with connected(proxy) as client:
            client.sendall(b"GET /")
            assert read_to_end(client) == b"x" * 4500
        record = await_end(proxy)
    assert (record.error, record.bytes_to_backend, record.bytes_to_client) == (None, 5, 4500)


@pytest.mark.parametrize("keep_alive", ["yes", True])
def test_the_full_example_keeps_a_connection_alive(module, keep_alive):
    """By its option; then both directions go on until one of them ends."""
    settings = {"seed_example.Dummy": {"keep_alive": keep_alive}}
    with Server(echo) as backend, ChaosProxy(
            backend.address, "100:seed_example.Dummy", settings) as proxy:
        with connected(proxy) as client:
            for _ in range(3):
                client.sendall(b"hello")
                assert client.recv(5) == b"hello"
        assert await_end(proxy).error is None


class _Started(object):
    """The command of an example, up and running."""

    def __init__(self, command):
        self._command = command
        self.ready = command.read_document()

    @property
    def address(self):
        host, port = self.ready["proxy"].rsplit(":", 1)
        return host, int(port)

    def stop(self):
        ended = self._command.end()
        assert (ended.status, ended.err) == (0, "")
        return [json.loads(line) for line in ended.out.splitlines()]


@contextlib.contextmanager
def start(text, *more):
    """Run a command line in the current directory. What is added says how it can be tested."""
    words = text.replace("\\\n", " ").split()
    assert words.pop(0) == "apns"
    with serving(*(words + ["--json"] + list(more))) as command:
        yield _Started(command)


@pytest.mark.parametrize("text, options", [
    (COMMAND, ["--behavior", "100:path.to.the.callable", "--handler-mine-foo", "bar"]),
    (WITH_CONFIG, ["--behavior", "100:foobar"]),
])
@pytest.mark.usefixtures("folder")
def test_the_command_lines_run(text, options):
    """The class is found in the current directory, and gets its options."""
    # Nobody knows who has these ports, and google.com is not asked.
    with Server(echo) as backend:
        arguments = ["--proxy", "127.0.0.1:0", "--backend", "%s:%d" % backend.address]
        with start(text, *arguments) as started:
            assert started.ready["behavior"] in ("20:path.to.the.callable", "20:foobar")
            started.stop()
        with start(text, *(arguments + options)) as started:
            assert exchange(started, b"hello") == b"hello"
            rows = started.stop()
    assert rows[0]["faults"] == ["foo is bar"]


@pytest.mark.usefixtures("folder")
def test_without_a_word_it_has_its_defaults():
    """The ini file says neither where to listen nor where to go."""
    with start(WITH_CONFIG, "--proxy", "localhost:0") as started:
        assert started.ready["backend"] == "localhost:8888"
