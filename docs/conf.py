"""Settings of Sphinx. ``tox -e docs`` builds the pages, with warnings as errors."""

import ast
import atexit
import html.parser
import importlib
import inspect
import os
import pathlib
import re
import shutil
import sys
import tempfile
import urllib.parse
import zlib

from sphinx.errors import ExtensionError

HERE = os.path.dirname(os.path.abspath(__file__))

project = "apns-client"
copyright = "the authors of apns-client"
with open(os.path.join(HERE, "..", "apnsclient", "__init__.py"), encoding="utf-8") as source:
    release = re.search(r'^__version__ = "(.+)"$', source.read(), re.M).group(1)
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
html_theme = "furo"
# The reference has a thousand objects: its contents are its sections. Each page would copy them all
# into its navigation, which is half of the time of a build.
toc_object_entries = False
html_title = "apns-client %s" % release
html_static_path = ["_static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]
# What is copied is what is typed: neither prompts nor output.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

# References that lead nowhere are errors, but for those into what has no page here: what is inside
# of this package, and libraries that are not everybody's.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"apnsclient(\.\w+)*\._\w+.*"),
    ("py:.*", r"apnsclient\.(protocols|sync|testing\.chaos)\..+"),
    ("py:.*", r"apnsclient\.testing\.(lint|simulator|web)\.\w+\..+"),
    # A neighbour of the module, as docstrings of what is inside name it.
    ("py:.*", r"(?!apnsclient)[a-z_]+\.\w+"),
    ("py:.*", r"apnsclient\.(aio\.\w+\._\w+|outcomes\.FrameOutcomes)"),
    ("py:.*", r"(_asyncio|celery|opentelemetry|prometheus_client|sqlalchemy|typing)\..+"),
]


def write_inventory():
    """Write what ``python-objects.txt`` lists as Sphinx reads it; return the name of the file."""
    with open(os.path.join(HERE, "python-objects.txt"), encoding="utf-8") as stream:
        entries = [line.split() for line in stream if not line.startswith("#")]
    lines = ["%s py:%s 1 %s -\n" % (name, role, page) for role, name, page in entries]
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    path = os.path.join(folder, "objects.inv")
    with open(path, "wb") as stream:
        stream.write(b"# Sphinx inventory version 2\n# Project: Python\n# Version: 3\n"
                     b"# The remainder of this file is compressed using zlib.\n"
                     + zlib.compress("".join(lines).encode("utf-8")))
    return path


intersphinx_mapping = {"python": ("https://docs.python.org/3/", write_inventory())}

# The source runs on Python 2.7 as well, so that its types stand in comments; Sphinx reads them.
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

_resolved = set()


def resolve_names(module):
    """Make the names that a module imports for type checkers known to it.

    They stand under ``if MYPY:``, since some modules would import each other otherwise. Here all of
    them have been imported.
    """
    if module.__name__ in _resolved:
        return
    _resolved.add(module.__name__)
    for block in ast.parse(inspect.getsource(module)).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "MYPY":
            for line in block.body:
                if isinstance(line, ast.ImportFrom) and line.level:
                    name = "." * line.level + (line.module or "")
                    resolve_names(importlib.import_module(name, module.__package__))
            exec(compile(ast.Module(block.body, []), module.__file__, "exec"), vars(module))


def resolve_types(app, documented, is_bound_method):
    """Have Sphinx find the types of what it is about to document."""
    module = sys.modules.get(getattr(documented, "__module__", None) or "")
    if module is not None and module.__name__.startswith("apnsclient"):
        resolve_names(module)


class Links(html.parser.HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.targets = set()
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src") and not re.match("[a-z]+:", value):
                self.targets.add(urllib.parse.unquote(value))


def check_links(app, exception):
    """Follow each link within the site to its page, and to its place there.

    ``sphinx-build -b linkcheck`` does the same for others, and needs a network.
    """
    if exception is not None or app.builder.name != "html":
        return
    root = pathlib.Path(app.outdir)
    pages = {path: Links(path.read_text("utf-8")) for path in root.rglob("*.html")}
    broken = []
    for path, links in pages.items():
        if "_modules" in path.parts:
            # viewcode takes all names of a module for those of one page.
            continue
        for target in links.targets:
            name, _, anchor = target.partition("#")
            other = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not other.exists() or other in pages and anchor not in pages[other].anchors:
                broken.append("%s links to %s" % (path.name, target))
    if broken:
        raise ExtensionError("links lead nowhere: " + ", ".join(sorted(broken)))


def setup(app):
    app.connect("autodoc-before-process-signature", resolve_types)
    app.connect("build-finished", check_links)
