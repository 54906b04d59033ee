"""Every Python example of README.rst and docs/*.rst runs, and the reference has its texts.

The convention for authors of pages:

* The blocks ``.. code-block:: python`` of a page run unchanged, from top to bottom, as one program
  in a process of its own, in an empty folder. The page is good if the program ends without an
  exception and without an "Exception ignored" on standard error. Warnings are errors in it.
* A block with the option ``:caption: name.py`` is not run but stored in that folder under this
  name, so that what follows can import it. Blocks with the same name are parts of one file; what is
  indented deeper than the option goes on in the block before.
* What a page needs beside its text, such as a simulator to talk to or an assertion on what came
  out, stands in a comment that begins with ``.. hidden python``, and is run in its place::

      .. hidden python

         from apnsclient.testing.simulator import Simulator
         apns = Simulator()

* What is for Python 3.8 and newer is left out by older interpreters. A page of which that is true
  as a whole has the comment ``.. modern python``; elsewhere a block, shown or hidden, has the
  option ``:class: modern``.

* Whatever is not meant to run has another language: ``text``, ``sh``, ``pycon``.
"""

from __future__ import absolute_import, division, print_function

import importlib
import io
import os
import re
import subprocess
import sys
from multiprocessing.pool import ThreadPool

import pytest

from docs_support import FOLDER, ROOT, find_blocks, read_files, read_page
from modern import can_import

PAGES = ["README.rst"] + sorted("docs/" + name for name in os.listdir(FOLDER)
                                if name.endswith(".rst"))
#: What is to be run.
PROGRAMS = [page for page in PAGES if find_blocks(read_page(page))]
#: How many pages run at the same time.
AT_ONCE = 3

#: Pages that would not be worth their name without an example.
PAGES_WITH_EXAMPLES = ["README.rst", "docs/aio-broadcast.rst", "docs/aio-web.rst", "docs/aio.rst",
                       "docs/binary.rst", "docs/celery-recipe.rst", "docs/celery.rst",
                       "docs/certificates.rst", "docs/chaos.rst", "docs/connections.rst",
                       "docs/doctor.rst", "docs/errors.rst", "docs/extending.rst",
                       "docs/feedback.rst", "docs/getting-started.rst", "docs/gevent.rst",
                       "docs/http2.rst", "docs/index.rst", "docs/live-activities.rst",
                       "docs/models.rst", "docs/moving-to-aio.rst", "docs/moving.rst",
                       "docs/observability.rst", "docs/outcomes.rst", "docs/proxies.rst",
                       "docs/security.rst", "docs/testing.rst", "docs/web.rst"]


def make_program(blocks):
    """Join the blocks that are run; each line keeps the number that it has on the page."""
    lines = [u"# -*- coding: utf-8 -*-"]
    for block in blocks:
        if block.filename is None:
            lines += [u""] * (block.start - len(lines)) + block.lines
    return u"\n".join(lines) + u"\n"


def write(path, text):
    with io.open(str(path), "w", encoding="utf-8") as stream:
        stream.write(text)


def run_page(text, folder, page="page"):
    """Run the examples of a page; return the exit status and the standard error."""
    blocks = find_blocks(text)
    for name, content in read_files(blocks).items():
        write(folder.join(name), content)
    program = folder.join(page + ".py")
    write(program, make_program(blocks))
    # cryptography warns on import that an interpreter is old; all other warnings are errors.
    command = [sys.executable, "-W", "error", "-W", "ignore:Python", str(program)]
    child = subprocess.Popen(command, cwd=str(folder), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=True)
    output = child.communicate()[0].decode("utf-8", "replace")
    return child.returncode, output


def is_good(status, output):
    return status == 0 and "Exception ignored" not in output and "Traceback" not in output


def test_the_examples_of_every_page_run(tmpdir):
    """A reader who types a page's examples in gets what the page says.

    Most of their time the pages wait for a gateway's silence, so that some run side by side.
    """
    def run(page):
        name = re.sub(r"\W", "_", page)
        status, output = run_page(read_page(page), tmpdir.mkdir(name), name)
        return None if is_good(status, output) else "%s:\n%s" % (page, output)

    workers = ThreadPool(AT_ONCE)
    try:
        complaints = [one for one in workers.map(run, PROGRAMS, chunksize=1) if one is not None]
    finally:
        workers.terminate()

    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES)
def test_the_page_has_examples(page):
    """A page that lost its examples, or marks them in another way, is noticed."""
    assert find_blocks(read_page(page), is_modern=True)


def test_the_files_that_the_first_pages_link_to_are_there():
    """README.rst and CONTRIBUTING.rst are read outside of the site, which checks its own links."""
    for page in ("README.rst", "CONTRIBUTING.rst"):
        targets = re.findall(r"<([\w./-]+\.rst)>`_|^\.\. image:: (\S+)", read_page(page), re.M)
        assert targets
        assert [name or image for name, image in targets
                if not os.path.exists(os.path.join(ROOT, name or image))] == []


def find_classes(page):
    """Return ``(module, name)`` of each class that a page takes from the source."""
    found, module = [], ""
    for kind, name in re.findall(r"^\.\. (module|automodule|autoclass):: (\S+)", page, re.M):
        if kind == "autoclass":
            found.append((module, name))
        else:
            module = name
    return found


def test_every_class_of_the_reference_has_a_docstring():
    """A named tuple has one in any case, made of its fields, which says nothing."""
    classes = find_classes(read_page("docs/reference.rst"))
    texts = [(name, getattr(importlib.import_module(module), name).__doc__ or "")
             for module, name in classes if can_import(module)]

    assert len(classes) > 50
    assert [name for name, text in texts if not text or text.startswith(name + "(")] == []


PAGE = u"""
Title
=====

.. hidden python

   number = 1

Text.

.. code-block:: python
   :caption: helper.py

   def double(value):

       return 2 * value

.. code-block:: text

   not Python

* In a list:

  .. code-block:: python

     from helper import double

     number = double(number)
%s

The end.
"""


def test_blocks_share_one_namespace_from_top_to_bottom(tmpdir):
    """Hidden blocks, files and shown blocks work together."""
    status, output = run_page(PAGE % u"     assert number == 2", tmpdir)

    assert is_good(status, output), output


def test_an_old_interpreter_leaves_out_what_is_modern():
    """The rest of the page stays a program; of a page that is modern nothing is left."""
    page = PAGE % u"" + u"""
.. hidden python
   :class: modern

   first: int = 1

.. code-block:: python
   :class: wide modern
   :caption: modern.py

   async def second(): pass
"""
    left_out = ["".join(block.lines) for block in find_blocks(page, is_modern=True)
                if block not in find_blocks(page, is_modern=False)]

    assert left_out == [u"first: int = 1", u"async def second(): pass"]
    assert len(find_blocks(page, is_modern=False)) == 3
    assert find_blocks(u"\n.. modern python\n" + page, is_modern=False) == []


def test_a_failing_example_is_reported_with_the_line_of_the_page(tmpdir):
    """An exception ends the page; the line number is that of the page."""
    page = PAGE % u"     assert number == 3"
    line = page.splitlines().index(u"     assert number == 3") + 1

    status, output = run_page(page, tmpdir)

    assert not is_good(status, output)
    assert "line %d, in" % line in output


@pytest.mark.skipif(sys.version_info < (3,), reason="Python 2.7 has no ResourceWarning")
def test_an_example_that_leaves_a_socket_open_is_reported(tmpdir):
    """A warning that comes too late to raise anything counts as well."""
    status, output = run_page(
        PAGE % u"     import socket\n     socket.socket()\n     number = 0", tmpdir)

    assert not is_good(status, output)
