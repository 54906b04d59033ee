"""What an import brings along, and what it leaves to whoever needs it.

One child process serves all statements: it imports nothing itself, and forks for each.
"""

from __future__ import absolute_import, division, print_function

import json
import os
import subprocess
import sys

import pytest

import apnsclient

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

#: Nobody has to have these, or may have them imported without need.
HEAVY = ("OpenSSL", "cryptography", "gevent", "jwt", "sqlite3")
PLUGIN = "apnsclient.testing.pytest_plugin"

#: Statements that need no OpenSSL.
LIGHT = [
    "import apnsclient",
    "import apnsclient; apnsclient.Session(pool='apnsclient.backends.dummy', push=[None])",
    "import apnsclient.testing",
    "import apnsclient.testing.chaos",
    "import apnsclient.cli",
]
#: Whether imported at once or on demand, the package has these names, and its rooms.
NAMES = """
import apnsclient
assert callable(apnsclient.Session)
import apnsclient as a
a.apns.APNs, a.transport.Session, a.provider_token
from apnsclient import *
Message, Result, ProviderToken, APNs
assert not hasattr(apnsclient, "nothing")
"""
#: The asynchronous client, and the same where the libraries of its extra are missing.
AIO = "import apnsclient.aio"
WITHOUT_HPACK = """
import asyncio, sys
sys.modules["hpack"] = None
import apnsclient.aio
from apnsclient.aio.connection import Connection
try:
    asyncio.run(Connection.create(("127.0.0.1", 1)))
except ImportError as error:
    assert "pip install cryptography hpack" in str(error), error
else:
    raise AssertionError("there is no HTTP/2 without it")
"""
#: Types are looked up in the module that a class names, on Python 3.8 without importing it.
AIO_CLASSES = """
import importlib, pkgutil, sys
import apnsclient.aio
for found in pkgutil.iter_modules(apnsclient.aio.__path__):
    if not found.name.startswith("_"):
        module = importlib.import_module("apnsclient.aio." + found.name)
        for name in module.__all__:
            home = getattr(getattr(module, name), "__module__", None)
            assert home is None or home in sys.modules, (name, home)
"""
HAS_AIO = sys.version_info >= (3, 8)
STATEMENTS = LIGHT + [
    NAMES, "import " + PLUGIN, "import apnsclient.feedback_store",
    "import apnsclient.provider_token"] + [AIO, WITHOUT_HPACK, AIO_CLASSES] * HAS_AIO

#: Runs each statement of its input in a fork; writes ``[modules, standard error]`` of each.
CHILD = """
import io, json, os, sys, traceback

def run(statement):
    # What measures the tests may have some of it imported.
    for name in [name for name in sys.modules if name.split(".")[0] in %r]:
        del sys.modules[name]
    sys.stderr = io.BytesIO() if sys.version_info[0] == 2 else io.StringIO()
    try:
        exec(statement, {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
    return [sorted(sys.modules), sys.stderr.getvalue()]

def run_in_fork(statement):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writer, "w") as stream:
            json.dump(run(statement), stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        told = json.load(stream)
    os.waitpid(child, 0)
    return told

print(json.dumps([run_in_fork(statement) for statement in json.load(sys.stdin)]))
""" % (HEAVY,)


@pytest.fixture(scope="module")
def outcomes():
    """Modules that there are after a statement, and what it said, by statement."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(apnsclient.__file__)))
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=home))
    output, _ = child.communicate(json.dumps(STATEMENTS).encode("ascii"))
    assert child.returncode == 0
    return dict(zip(STATEMENTS, json.loads(output.decode("ascii"))))


@pytest.fixture
def imported(outcomes):
    """A function that returns the modules that there are after a statement."""
    def look_up(statement):
        modules, errors = outcomes[statement]
        assert errors == ""
        assert "apnsclient" in modules
        return modules

    return look_up


@pytest.mark.parametrize("statement", LIGHT)
def test_openssl_is_loaded_on_demand(imported, statement):
    """Whoever has a back-end of their own needs no pyOpenSSL."""
    modules = imported(statement)

    assert [name for name in ("OpenSSL", "cryptography", "gevent") if name in modules] == []


@pytest.mark.skipif(sys.version_info < (3, 7), reason="a module cannot be asked for a name yet")
def test_the_plugin_imports_nothing_of_the_client(imported):
    """What is imported before a measurement of coverage begins would not be measured."""
    assert [name for name in imported("import " + PLUGIN) if name.startswith("apnsclient")] == [
        "apnsclient", "apnsclient._compat", "apnsclient.testing", PLUGIN]


def test_the_names_of_the_package_are_there_when_asked_for(imported):
    """Whether they are imported at once or on demand, the package has them, and their rooms."""
    assert imported(NAMES)


@pytest.mark.skipif(not HAS_AIO, reason="apnsclient.aio needs Python 3.8")
def test_the_event_loop_waits_for_no_import(imported):
    """What a connection needs comes with the package, and says what is missing when it is used."""
    assert {"hpack", "encodings.idna"} <= set(imported(AIO))
    assert "apnsclient.aio" in imported(WITHOUT_HPACK)


@pytest.mark.skipif(not HAS_AIO, reason="apnsclient.aio needs Python 3.8")
def test_the_classes_of_the_asynchronous_client_are_from_where_they_say(imported):
    """Also one that the synchronous client has, too, of which nothing else was imported."""
    assert "apnsclient.aio" in imported(AIO_CLASSES)


def test_sqlite_is_loaded_on_demand(imported):
    """There are Pythons without it, and back-ends that have no use for it."""
    modules = imported("import apnsclient.feedback_store")

    assert "apnsclient.feedback_store" in modules and "sqlite3" not in modules


def test_the_provider_token_loads_nothing_heavy(imported):
    """Only making a token needs cryptography."""
    modules = imported("import apnsclient.provider_token")

    assert "apnsclient.provider_token" in modules
    assert [name for name in ("cryptography", "jwt") if name in modules] == []
