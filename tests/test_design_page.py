"""The map in docs/design.rst names modules, classes and functions that exist."""

from __future__ import absolute_import, division, print_function

import importlib
import io
import os
import re

import apnsclient
from docs_support import FOLDER, read_page
from modern import can_import

PACKAGE = os.path.dirname(os.path.abspath(apnsclient.__file__))

#: What stands at the top level of the package.
ROOMS = sorted({name.partition(".")[0] for name in os.listdir(PACKAGE)
                if name[:1].isalpha() and (name.endswith(".py") or "." not in name)})

#: A name with a dot in it that begins with a room, possibly called.
NAME = re.compile(r"``((?:%s)(?:\.\w+)+)(?:\(\))?``" % "|".join(ROOMS))
#: The name in a box of a drawing.
BOX = re.compile(r'<text class="name"[^>]*>([^<]*)</text>')


def exists(name):
    """Return True if a name, without ``apnsclient.``, leads to something."""
    if not can_import("apnsclient." + name):
        return True
    parts = name.split(".")
    found = apnsclient
    for number, part in enumerate(parts):
        try:
            found = importlib.import_module(".".join(["apnsclient"] + parts[:number + 1]))
        except ImportError:
            found = getattr(found, part, None)
            if found is None:
                return False
    return True


def test_names_on_the_page_exist():
    """Also those of methods, public or not: who reads the page finds them."""
    names = NAME.findall(read_page("docs/design.rst"))
    assert len(names) > 40
    assert [name for name in names if not exists(name)] == []


def test_names_in_the_drawings_are_on_the_page():
    """Each box is a class that the text explains."""
    page = read_page("docs/design.rst")
    drawings = sorted(name for name in os.listdir(FOLDER)
                      if name.startswith("design-") and name.endswith(".svg"))
    assert drawings == ["design-binary.svg", "design-http2.svg", "design-token.svg"]
    for drawing in drawings[:2]:
        with io.open(os.path.join(FOLDER, drawing), encoding="utf-8") as stream:
            boxes = BOX.findall(stream.read())
        names = [name for box in boxes for name in box.split(", ") if name != "your program"]
        assert len(names) > 8
        assert [name for name in names if not re.search(r"\b%s\b" % name, page)] == []
    for drawing in drawings:
        assert ".. image:: " + drawing in page


def test_a_name_that_does_not_exist_is_found():
    """The test itself can fail."""
    assert exists("backends.link.Link.peek")
    assert not exists("backends.link.Link.peep")
    assert not exists("backends.lunk.Link")
