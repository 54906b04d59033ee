"""``apns simulator --web``: what it says, and what it refuses."""

import contextlib
import errno
import os
import socket

import httpx

from cli_support import apns, assert_wrong_usage, serving, write_file
from web_support import LIMIT

PASSWORD = "correct horse"


def test_the_page_is_announced_and_served():
    """In words, and to programs."""
    with serving("simulator", "--quiet", "--web", "127.0.0.1:0") as command:
        lines = []
        while not lines or not lines[-1].startswith("page"):
            lines.append(command.readline())
        url = lines[-1].split()[1]
        assert httpx.get(url + "api/v1/health", timeout=LIMIT).json()["status"] == "ok"
        assert command.end().status == 0
    with serving("simulator", "--json", "--web", "[::1]:0") as command:
        page = command.read_document()["page"]
        assert httpx.get(page, timeout=LIMIT).status_code == 200
        assert command.end().status == 0
    with serving("simulator", "--json") as command:
        assert command.read_document()["page"] is None
        command.end()


def test_the_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """The file goes first; no option has the password itself."""
    content = "\ufeff%s\r\nsecond line\n" % PASSWORD
    name = write_file(tmp_path / "password", content.encode("utf-8"))
    monkeypatch.setenv("APNS_WEB_PASSWORD", "of the environment")
    for options, password in [(["--web-password-file", name], PASSWORD),
                              ([], "of the environment")]:
        with serving("simulator", "--json", "--web", "127.0.0.1:0", *options) as command:
            page = command.read_document()["page"]
            assert httpx.get(page, timeout=LIMIT).status_code == 401
            assert httpx.get(page, timeout=LIMIT, auth=("", password)).status_code == 200
            ended = command.end()
        assert (ended.status, PASSWORD in ended.out + ended.err) == (0, False)


def test_a_name_is_served_that_was_given():
    """As for a container that others reach by the name of its service."""
    with serving("simulator", "--json", "--web", "127.0.0.1:0", "--name", "push") as command:
        page = command.read_document()["page"]
        for host, status in [("push:8025", 200), ("other:8025", 403)]:
            assert httpx.get(page, timeout=LIMIT, headers={"Host": host}).status_code == status
        command.end()


def test_the_last_requests_are_kept(tmp_path):
    """So many, and in so much memory: each of these takes more than two kilobytes."""
    for options, most in ([["--keep", "3"], 3], [["--keep-megabytes", "1"], 500]):
        with serving("simulator", "--json", "--quiet", "--web", "127.0.0.1:0", *options) as command:
            ready = command.read_document()
            sent = apns("send", "--address", ready["provider"], "--ca-file", ready["ca_file"],
                        "--http2", "--cert", ready["cert_file"], "--topic", "com.example.app",
                        "--alert", "x" * 2000, *["%064x" % number for number in range(600)])
            assert sent.status == 0, sent.err
            found = httpx.get(ready["page"] + "api/v1/notifications?limit=1", timeout=LIMIT).json()
            command.end()
        assert found["last"] == 600
        assert 3 <= found["kept"] <= most


def test_that_it_is_open_to_all_is_said():
    """Whoever reaches it controls it."""
    with serving("simulator", "--json", "--web", "0.0.0.0:0") as command:
        port = httpx.URL(command.read_document()["page"]).port
        ended = command.end()
    assert ("whoever reaches 0.0.0.0:%d can read what arrives" % port) in ended.err


def test_what_cannot_be_served(tmp_path):
    """Each is one line; an address in use has the status of the other services."""
    empty = write_file(tmp_path / "empty", b"\n")
    latin = write_file(tmp_path / "latin", b"\xfc\n")
    assert_wrong_usage([
        (["simulator", "--web", "8025"], "'8025' is not host:port"),
        (["simulator", "--web", "localhost:99999"], "99999 is not a port"),
        (["simulator", "--web", "::1:80"], "'::1:80' is ambiguous"),
        (["simulator", "--name", "no name"], "'no name' is not a host name"),
        (["simulator", "--web-password-file", empty], "need --web"),
        (["simulator", "--web", "--web-password-file", empty], "is empty"),
        (["simulator", "--web", "--web-password-file", latin], "is not text in UTF-8"),
        (["simulator", "--web", "--web-password-file", str(tmp_path / "missing")],
         os.strerror(errno.ENOENT)),
    ])
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        ended = apns("simulator", "--web", address)
    assert (ended.status, "cannot listen at %s (--web): " % address in ended.err) == (3, True)
