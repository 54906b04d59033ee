"""The rooms of the package import only what lies below them, and no circle joins any.

``_compat``, ``errors``, ``reasons``, ``topics`` < ``protocols`` < values (``message``, ``result``,
``outcomes``, ``models``, ``certificate``, ``provider_token``, ``feedback_store``, ``addresses``) <
``sending`` and ``backends``, which do not know each other < ``sync``, ``aio``, likewise <
``transport``, ``apns``, ``broadcast`` < ``testing``, ``contrib``, ``cli``. Imports that only the
type checker sees count as well. Objects do not read each other's private names, and rooms stay
small.

The source is the same on every interpreter, and some of it is not to be parsed by the old ones.
"""

from __future__ import absolute_import, division, print_function

import ast
import io
import os

import pytest

import apnsclient
from modern import IS_MODERN

if not IS_MODERN:
    pytest.skip("some of the source cannot be parsed", allow_module_level=True)

#: Most lines of a file, and of a function with its docstring.
LONGEST_FILE, LONGEST_FUNCTION = 600, 50

PACKAGE = os.path.dirname(os.path.abspath(apnsclient.__file__))

LEVELS = [
    ["_compat", "_defaults", "_extras", "_formats", "_interrupts", "_json", "_pem", "_printable",
     "_process", "_timing", "errors", "reasons", "topics"],
    ["protocols"],
    ["_channels", "_feedback_buffer", "_files", "_headers", "addresses", "certificate",
     "events", "feedback_store", "message", "models", "outcomes", "provider_token", "result"],
    ["sending", "backends"],
    ["sync", "aio"],
    # "" is apnsclient/__init__.py, which re-exports what the level has.
    ["", "_arguments", "apns", "broadcast", "transport"],
    ["testing", "contrib", "cli"],
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

#: Which rooms of the same level may be imported; where a level is not here, each may.
SEPARATE = {
    3: {},
    4: {},
    6: {"cli": ["testing"]},
}

#: What ``aio`` takes of the back-ends: TLS in memory, the credential and the proxy, nothing that
#: waits or has a pool.
BACKENDS_FOR_AIO = ["_names", "_proxy", "_sockets", "_tls", "_tls_certificate"]

#: What would hold up the event loop, or belongs to the source that is also Python 2.7's.
FORBIDDEN_IN_AIO = {
    "_thread", "gevent", "multiprocessing", "select", "selectors", "six", "thread", "threading"}

#: What does IO or knows of time or threads, and has no business in a protocol.
FORBIDDEN_IN_PROTOCOLS = {
    "OpenSSL", "asyncio", "gevent", "logging", "multiprocessing", "select", "selectors", "socket",
    "ssl", "subprocess", "thread", "threading", "time"}

#: Modules that are imported nowhere but below these names.
HEAVY = {
    "anyio": (),
    "argcomplete": ("cli.",),
    "celery": ("contrib.celery",),
    "asyncio": ("aio", "contrib.", "testing.web."),
    "OpenSSL": ("aio._stream", "backends.", "testing."),
    "cryptography": ("backends.", "testing.", "provider_token"),
    "fastapi": ("testing.web",),
    "gevent": ("backends.gevent",),
    "hpack": ("protocols.http2.",),
    "jwt": ("testing.",),
    "opentelemetry": ("contrib.opentelemetry",),
    "prometheus_client": ("contrib.prometheus", "testing.web"),
    "pydantic": ("testing.web.",),
    "pytest": ("testing.pytest_plugin",),
    "sqlalchemy": ("contrib.sqlalchemy",),
    "starlette": ("testing.web.",),
    "tqdm": ("cli.",),
    # The contract of back-ends runs under any test runner, and loads none.
    "unittest": (),
    # It is the caller's choice.
    "uvloop": (),
    "uvicorn": ("testing.web",),
}


FUNCTIONS = (ast.FunctionDef, getattr(ast, "AsyncFunctionDef", ast.FunctionDef))


class Imports(ast.NodeVisitor):
    """Collects the modules that a module imports, by their absolute names.

    :param module: name of the importing module.
    :param is_package: whether its file is an ``__init__.py``.
    :param modules: names of all modules of the package, to tell them from other attributes.
    """

    def __init__(self, module, is_package, modules):
        self.package = module if is_package else module.rpartition(".")[0]
        self.modules = modules
        self.found = set()

    def visit_Import(self, node):
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            parts = self.package.split(".")
            base = ".".join(parts[:len(parts) - node.level + 1] + ([base] if base else []))
        for alias in node.names:
            full = base + "." + alias.name
            self.found.add(full if full in self.modules else base)


def read_modules():
    """Return the source of every module of the package, by its name."""
    sources = {}
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, os.path.dirname(PACKAGE))[:-len(".py")]
                with io.open(path, encoding="utf-8") as stream:
                    sources[relative.replace(os.sep, ".")] = stream.read()
    return sources


def find_imports(sources):
    """Return the set of imported modules for each module.

    :param sources: source text by module name; packages end in ``.__init__``.
    """
    plain = {name: name[:-len(".__init__")] if name.endswith(".__init__") else name
             for name in sources}
    imports = {}
    for name, source in sources.items():
        visitor = Imports(plain[name], name != plain[name], set(plain.values()))
        visitor.visit(ast.parse(source.encode("utf-8")))
        imports[plain[name]] = visitor.found
    return imports


def room_of(module):
    return (module.split(".") + [""])[1]


def find_arrows_that_point_up(imports):
    """Return ``(module, imported module)`` for each import that the levels do not allow."""
    wrong = []
    for module, found in imports.items():
        for other in found:
            if other.split(".")[0] == "apnsclient" and not is_allowed(module, other):
                wrong.append((module, other))
    return sorted(wrong)


def is_allowed(module, imported):
    room, other = room_of(module), room_of(imported)
    level = LEVEL_OF[room]
    if room == other:
        return True
    if level == LEVEL_OF[other] and level in SEPARATE:
        return other in SEPARATE[level].get(room, [])
    if room == "aio" and other == "backends":
        return imported.split(".")[2:3] in [[name] for name in BACKENDS_FOR_AIO]
    return LEVEL_OF[other] <= level


def find_circles(imports):
    """Return the modules that import themselves by way of others."""
    def reach(module):
        seen, pending = set(), [module]
        while pending:
            for other in imports.get(pending.pop(), ()):
                if other in imports and other not in seen:
                    seen.add(other)
                    pending.append(other)
        return seen

    return sorted(module for module in imports if module in reach(module))


def find_foreign_private_names(sources):
    """Return ``(module, name)`` of each private attribute of another object that a module uses.

    Those of the same class are not foreign, nor what a module of ours gives by such a name.
    """
    found = []
    for module, source in sources.items():
        tree = ast.parse(source.encode("utf-8"))
        own = set(_own_names(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") \
                    and not node.attr.startswith("__") and node.attr not in own:
                found.append((module, node.attr))
    return sorted(set(found))


def _own_names(tree):
    """Yield the attributes that a module's own classes have, and the modules that it imports."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.name.split(".")[-1]
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, FUNCTIONS):
                    yield child.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) \
                and node.value.id in ("self", "cls"):
            yield node.attr


def find_forbidden(imports, room, forbidden):
    """Return ``(module, imported module)`` for each import that a room may not have at all."""
    return sorted((module, other) for module, found in imports.items() for other in found
                  if room_of(module) == room and other.split(".")[0] in forbidden)


def find_heavy(imports):
    """Return ``(module, imported module)`` for each heavy import outside the rooms that need it."""
    return sorted((module, other) for module, found in imports.items() for other in found
                  if other.split(".")[0] in HEAVY
                  and not module.startswith(tuple(
                      "apnsclient." + room for room in HEAVY[other.split(".")[0]])))


def find_long_ones(sources):
    """Return ``(module, name of the function or "", lines)`` for whatever is too long."""
    found = []
    for name, source in sources.items():
        length = len(source.splitlines())
        if length > LONGEST_FILE:
            found.append((name, "", length))
        for node in ast.walk(ast.parse(source.encode("utf-8"))):
            if isinstance(node, FUNCTIONS):
                last = max(getattr(child, "lineno", 0) for child in ast.walk(node))
                if last - node.lineno + 1 > LONGEST_FUNCTION:
                    found.append((name, node.name, last - node.lineno + 1))
    return sorted(found)


#: Private names of libraries that are used all the same: pyOpenSSL has no public ones for what
#: these do, and namedtuple's begin so. And those that modules give by such names.
PRIVATE_ALLOWED = {
    ("_timing", "_fields"), ("protocols.binary", "_make"), ("transport", "_replace"),
    ("backends._engine", "_ffi"), ("backends._engine", "_from_ssl"),
    ("backends._engine", "_into_ssl"), ("backends._engine", "_lib"),
    ("backends._engine", "_raise_ssl_error"), ("backends._tls", "_ffi"), ("backends._tls", "_lib"),
    ("backends._waiting", "_thread"), ("backends.gevent", "_thread"),
    ("testing.contract._stage", "_exit"), ("testing.contract._rule", "_current_frames"),
}


@pytest.fixture(scope="module")
def imports():
    return find_imports(read_modules())


def test_every_room_has_its_level(imports):
    """A new room is put into the order before anything imports it."""
    assert {room_of(module) for module in imports} <= set(LEVEL_OF)
    assert {"apns", "transport", "protocols", "backends", "testing", "cli"} <= {
        room_of(module) for module in imports}


def test_arrows_point_down(imports):
    """No room imports one that lies above it."""
    assert find_arrows_that_point_up(imports) == []


def test_no_circle_joins_any(imports):
    """Each module can be understood after those that it imports."""
    assert find_circles(imports) == []


def test_objects_do_not_read_each_others_private_names():
    """What another one needs is passed to it, or has a name for it."""
    assert [(module, name) for module, name in find_foreign_private_names(read_modules())
            if (module.replace("apnsclient.", ""), name) not in PRIVATE_ALLOWED] == []


def test_sending_does_no_io(imports):
    """What decides is told what comes, and what time it is."""
    assert find_forbidden(imports, "sending", FORBIDDEN_IN_PROTOCOLS) == []


def test_protocols_do_no_io(imports):
    """Bytes in, events out: no sockets, threads, clocks or logs."""
    assert find_forbidden(imports, "protocols", FORBIDDEN_IN_PROTOCOLS) == []


def test_the_asynchronous_client_blocks_no_loop(imports):
    """It has no threads and waits by no means but the loop's."""
    assert find_forbidden(imports, "aio", FORBIDDEN_IN_AIO) == []


def test_heavy_modules_are_imported_where_they_are_needed(imports):
    """OpenSSL belongs to two back-ends, the simulator and the contract, gevent to one alone."""
    assert find_heavy(imports) == []
    assert [name for name in sorted(imports)
            if "gevent" in {other.split(".")[0] for other in imports[name]}] == [
                "apnsclient.backends.gevent"]
    for other in ("apnsclient.backends", "apnsclient.backends.dummy"):
        assert not [name for name in imports[other] if name.split(".")[0] in HEAVY]


def test_files_and_functions_stay_small():
    """A function fits on a screen; a file can be read in one go."""
    assert find_long_ones(read_modules()) == []


@pytest.mark.parametrize("module, source, arrow", [
    ("apnsclient.errors", u"from .apns import Message", "apnsclient.apns"),
    ("apnsclient.errors", u"from . import apns", "apnsclient.apns"),
    ("apnsclient.errors", u"import apnsclient", "apnsclient"),
    ("apnsclient.errors", u"def f():\n    import apnsclient.apns", "apnsclient.apns"),
    ("apnsclient.errors", u"if MYPY:\n    from .apns import A", "apnsclient.apns"),
    ("apnsclient.sending.http2", u"from ..backends import link", "apnsclient.backends"),
    ("apnsclient.backends.link", u"from ..sending import work", "apnsclient.sending"),
    ("apnsclient.sync.host", u"from ..transport import Session", "apnsclient.transport"),
    ("apnsclient.backends.__init__", u"from ..apns import Message", "apnsclient.apns"),
    ("apnsclient.backends.stdio", u"from ..testing import certs", "apnsclient.testing"),
    ("apnsclient.transport", u"from .cli import main", "apnsclient.cli"),
    ("apnsclient.testing.certs", u"from ..cli import main", "apnsclient.cli"),
    ("apnsclient.aio.api", u"from ..transport import Session", "apnsclient.transport"),
    ("apnsclient.aio.api", u"from ..sync import host", "apnsclient.sync"),
    ("apnsclient.sync.host", u"from ..aio import pool", "apnsclient.aio"),
    ("apnsclient.aio.connection", u"from ..backends import BaseBackend", "apnsclient.backends"),
    ("apnsclient.aio.connection", u"from ..backends import stdio", "apnsclient.backends.stdio"),
    ("apnsclient.models", u"from .sending import work", "apnsclient.sending"),
])
def test_an_arrow_that_points_up_is_found(module, source, arrow):
    """The walk itself can fail, however the import is written."""
    sources = {"apnsclient.apns": u"", "apnsclient.backends.stdio": u"",
               "apnsclient.transport": u""}
    sources[module] = source

    assert [other for _, other in find_arrows_that_point_up(find_imports(sources))] == [arrow]


@pytest.mark.parametrize("module, source", [
    ("apnsclient.transport", u"from .apns import Message\nfrom . import errors"),
    ("apnsclient.cli.demo", u"from ..testing.simulator import Simulator"),
    ("apnsclient.aio.connection", u"from ..backends._tls import Trust\nfrom ..models import A"),
])
def test_an_arrow_that_points_down_is_not_reported(module, source):
    """Same level, and lower level."""
    sources = {"apnsclient.apns": u"", "apnsclient.errors": u""}
    sources[module] = source

    assert find_arrows_that_point_up(find_imports(sources)) == []


def test_circles_and_foreign_private_names_are_found():
    """The walks for these can fail."""
    imports = find_imports({"apnsclient.a": u"if MYPY:\n    from .b import B",
                            "apnsclient.b": u"from . import c", "apnsclient.c": u"from .a import A",
                            "apnsclient.d": u"from .a import A"})
    assert find_circles(imports) == ["apnsclient.a", "apnsclient.b", "apnsclient.c"]
    assert find_foreign_private_names({
        "one": u"class A(object):\n    def f(self, b):\n        return self._x, b._x, b._y"}) == [
            ("one", "_y")]


def test_forbidden_and_heavy_imports_are_found():
    """The other two walks can fail as well."""
    imports = find_imports({"apnsclient.protocols.binary": u"import time\nfrom socket import error",
                            "apnsclient.transport": u"def f():\n    from OpenSSL import SSL",
                            "apnsclient.testing.contract": u"import unittest, pytest"})

    assert find_forbidden(imports, "protocols", FORBIDDEN_IN_PROTOCOLS) == [
        ("apnsclient.protocols.binary", "socket"), ("apnsclient.protocols.binary", "time")]
    assert find_heavy(imports) == [
        ("apnsclient.testing.contract", "pytest"), ("apnsclient.testing.contract", "unittest"),
        ("apnsclient.transport", "OpenSSL")]


def test_long_files_and_functions_are_found():
    """And so can the count of the lines."""
    sources = {"file": u"\n" * 600 + u"pass", "function": u"def f():\n" + u"    pass\n" * 50,
               "small": u"\n" * 599 + u"pass",
               "coroutine": u"async def g():\n" + u"    pass\n" * 50}

    assert find_long_ones(sources) == [
        ("coroutine", "g", 51), ("file", "", 601), ("function", "f", 51)]
