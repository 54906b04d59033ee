"""The rooms of the package import only what lies below them.

``_compat``, ``errors``, ``reasons``, ``topics`` < ``protocols`` < ``certificate``,
``provider_token``, ``feedback_store``, ``message``, ``outcomes``, ``result``, ``addresses``,
``backends`` < ``apns``, ``transport``, ``sync``, ``sending`` < ``aio``, ``testing``, ``contrib``,
``cli``. Imports under ``if MYPY:`` do not count: only the type checker sees them. And
rooms stay small.
"""

from __future__ import absolute_import, division, print_function

import ast
import io
import os

import pytest

import apnsclient

#: Most lines of a file, and of a function with its docstring.
LONGEST_FILE, LONGEST_FUNCTION = 600, 50

PACKAGE = os.path.dirname(os.path.abspath(apnsclient.__file__))

LEVELS = [
    ["_compat", "_defaults", "_extras", "_formats", "_interrupts", "_json", "_pem", "_printable",
     "_process", "errors", "reasons", "topics"],
    ["protocols"],
    ["_files", "_headers", "certificate", "provider_token", "feedback_store", "outcomes",
     "addresses", "message", "result", "backends"],
    # "" is apnsclient/__init__.py, which re-exports what the level has.
    ["", "apns", "transport", "sync", "sending", "broadcast", "_arguments"],
    ["aio", "testing", "contrib", "cli"],
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

#: Which rooms of the top level may be imported from which; what is not here, from none.
ALLOWED_AT_THE_TOP = {"cli": ["testing"]}

#: What does IO or knows of time or threads, and has no business in a protocol.
FORBIDDEN_IN_PROTOCOLS = {
    "OpenSSL", "asyncio", "gevent", "logging", "multiprocessing", "select", "selectors", "socket",
    "ssl", "subprocess", "thread", "threading", "time"}

#: Modules that are imported nowhere but below these names.
HEAVY = {
    "argcomplete": ("cli.",),
    "OpenSSL": ("backends.", "testing."),
    "cryptography": ("backends.", "testing.", "provider_token"),
    "gevent": ("backends.gevent",),
    "hpack": ("protocols.http2.",),
    "jwt": ("testing.",),
    "pytest": ("testing.pytest_plugin",),
    "tqdm": ("cli.",),
    # The contract of back-ends runs under any test runner, and loads none.
    "unittest": (),
}


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

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "MYPY":
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

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
            if other.split(".")[0] == "apnsclient" and not is_allowed(room_of(module),
                                                                      room_of(other)):
                wrong.append((module, other))
    return sorted(wrong)


def is_allowed(room, other):
    if room == other:
        return True
    if LEVEL_OF[room] == len(LEVELS) - 1 == LEVEL_OF[other]:
        return other in ALLOWED_AT_THE_TOP.get(room, [])
    if room == "aio" and other in ("transport", ""):
        return False
    return LEVEL_OF[other] <= LEVEL_OF[room]


def find_forbidden_in_protocols(imports):
    return sorted((module, other) for module, found in imports.items() for other in found
                  if room_of(module) == "protocols" and other.split(".")[0] in
                  FORBIDDEN_IN_PROTOCOLS)


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
            if isinstance(node, ast.FunctionDef):
                last = max(getattr(child, "lineno", 0) for child in ast.walk(node))
                if last - node.lineno + 1 > LONGEST_FUNCTION:
                    found.append((name, node.name, last - node.lineno + 1))
    return sorted(found)


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


def test_protocols_do_no_io(imports):
    """Bytes in, events out: no sockets, threads, clocks or logs."""
    assert find_forbidden_in_protocols(imports) == []


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
    ("apnsclient.errors", u"if MYPY:\n    pass\nelse:\n    from .apns import A", "apnsclient.apns"),
    ("apnsclient.backends.__init__", u"from ..apns import Message", "apnsclient.apns"),
    ("apnsclient.backends.stdio", u"from ..testing import certs", "apnsclient.testing"),
    ("apnsclient.transport", u"from .cli import main", "apnsclient.cli"),
    ("apnsclient.testing.certs", u"from ..cli import main", "apnsclient.cli"),
    ("apnsclient.aio.api", u"from ..transport import Session", "apnsclient.transport"),
])
def test_an_arrow_that_points_up_is_found(module, source, arrow):
    """The walk itself can fail, however the import is written."""
    sources = {"apnsclient.apns": u"", "apnsclient.transport": u""}
    sources[module] = source

    assert [other for _, other in find_arrows_that_point_up(find_imports(sources))] == [arrow]


@pytest.mark.parametrize("module, source", [
    ("apnsclient.errors", u"if MYPY:\n    from .apns import Message"),
    ("apnsclient.transport", u"from .apns import Message\nfrom . import errors"),
    ("apnsclient.cli.demo", u"from ..testing.simulator import Simulator"),
])
def test_an_arrow_that_points_down_is_not_reported(module, source):
    """Same level, lower level, and what only the type checker sees."""
    sources = {"apnsclient.apns": u"", "apnsclient.errors": u""}
    sources[module] = source

    assert find_arrows_that_point_up(find_imports(sources)) == []


def test_forbidden_and_heavy_imports_are_found():
    """The other two walks can fail as well."""
    imports = find_imports({"apnsclient.protocols.binary": u"import time\nfrom socket import error",
                            "apnsclient.transport": u"def f():\n    from OpenSSL import SSL",
                            "apnsclient.testing.contract": u"import unittest, pytest"})

    assert find_forbidden_in_protocols(imports) == [
        ("apnsclient.protocols.binary", "socket"), ("apnsclient.protocols.binary", "time")]
    assert find_heavy(imports) == [
        ("apnsclient.testing.contract", "pytest"), ("apnsclient.testing.contract", "unittest"),
        ("apnsclient.transport", "OpenSSL")]


def test_long_files_and_functions_are_found():
    """And so can the count of the lines."""
    sources = {"file": u"\n" * 600 + u"pass", "function": u"def f():\n" + u"    pass\n" * 50,
               "small": u"\n" * 599 + u"pass"}

    assert find_long_ones(sources) == [("file", "", 601), ("function", "f", 51)]
