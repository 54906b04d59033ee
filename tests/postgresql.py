"""A server of PostgreSQL, for as long as a block runs."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Iterator, List, Optional

__all__ = ["find_postgresql", "postgresql"]

#: Who may run it, where the tests run as root, whom it refuses.
ACCOUNT = "postgres"


def find_postgresql() -> Optional[str]:
    """Return the folder with its programs: that of ``PATH``, or one of Debian's; None without."""
    found = shutil.which("initdb")
    places = [os.path.dirname(found)] if found else sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return places[-1] if places else None


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a server with an empty database that keeps nothing; yield an address for SQLAlchemy.

    It listens at a socket in a folder of its own alone, and needs no password. The folder is none
    of pytest's, which lets no other account in.
    """
    programs = find_postgresql()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="pg-") as place:
        if os.getuid() == 0:
            shutil.chown(place, ACCOUNT)
        with _running(programs, place):
            yield "postgresql+pg8000://tests@/postgres?unix_sock=%s/.s.PGSQL.5432" % place


@contextlib.contextmanager
def _running(programs: str, place: str) -> Iterator[None]:
    data = os.path.join(place, "data")
    _run([os.path.join(programs, "initdb"), "-D", data, "-U", "tests", "-A", "trust", "-N",
          "--no-locale", "-E", "UTF8"], place)
    server = subprocess.Popen(
        _as_account([os.path.join(programs, "postgres"), "-D", data, "-k", place, "-F",
                     "-c", "listen_addresses=", "-c", "log_destination=stderr"]),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=place)
    assert server.stderr is not None
    # It stops where nobody reads what it has to say.
    reader = threading.Thread(target=server.stderr.read)
    try:
        for line in server.stderr:
            if b"ready to accept connections" in line:
                break
        else:
            raise AssertionError("PostgreSQL ended with status %s" % server.wait(60))
        reader.start()
        yield
    finally:
        # It ends at once, and disconnects whoever is there.
        server.send_signal(signal.SIGINT)
        try:
            server.wait(60)
        finally:
            server.kill()
            server.wait(60)
            if reader.ident is not None:
                reader.join(60)
            server.stderr.close()


def _run(command: List[str], folder: str) -> None:
    ended = subprocess.run(_as_account(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, cwd=folder, timeout=120)
    assert ended.returncode == 0, ended.stdout


def _as_account(command: List[str]) -> List[str]:
    """Return the command that runs a command for an account that PostgreSQL does not refuse.

    It dies together with the tests.
    """
    program = ("import ctypes, os, sys\n"
               "if os.getuid() == 0:\n"
               "    import pwd\n"
               "    account = pwd.getpwnam(%r)\n"
               "    os.setgroups([])\n"
               "    os.setgid(account.pw_gid)\n"
               "    os.setuid(account.pw_uid)\n"
               "    os.environ['HOME'] = account.pw_dir\n"
               "ctypes.CDLL(None).prctl(1, 15)\n"
               "os.execv(sys.argv[1], sys.argv[1:])\n" % ACCOUNT)
    return [sys.executable, "-I", "-c", program] + command
