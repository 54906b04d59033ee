"""The examples of README.rst and docs/*.rst, as ``test_docs`` describes them."""

from __future__ import absolute_import, division, print_function

import collections
import io
import os
import re

from modern import IS_MODERN

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs")

MARKER = re.compile(r"^( *)\.\. (code-block:: python|hidden python)\s*$")
#: A page whose examples are all modern has this comment.
MODERN_PAGE = re.compile(r"^\.\. modern python\s*$", re.M)
OPTION = re.compile(r"^ *:([a-z-]+): *(.*)$")

#: One example: number of its first line (from 0), its lines without indentation, the name of
#: the file that it is (None if it is run), and whether it is modern.
Block = collections.namedtuple("Block", "start lines filename is_modern")


def find_blocks(text, is_modern=IS_MODERN):
    """Return the Python examples of a page, in order.

    :param is_modern: whether modern ones are among them.
    """
    if MODERN_PAGE.search(text) and not is_modern:
        return []
    lines = text.splitlines()
    blocks = []
    for number, line in enumerate(lines):
        marker = MARKER.match(line)
        if marker:
            blocks.append(read_block(lines, number + 1, len(marker.group(1))))
    return [block for block in blocks if is_modern or not block.is_modern]


def read_block(lines, start, outer):
    """Return the block that begins at a line and is indented by more than ``outer`` spaces."""
    options, first = {}, start
    while start < len(lines) and OPTION.match(lines[start]):
        options.update([OPTION.match(lines[start]).groups()])
        start += 1
    margin = indentation(lines[start - 1])
    end = start
    while end < len(lines) and (not lines[end].strip() or indentation(lines[end]) > outer):
        end += 1
    body = lines[start:end]
    if start == first:
        margin = min([indentation(line) for line in body if line.strip()] or [0])
    return Block(start, [line[margin:].rstrip() for line in body], options.get("caption"),
                 "modern" in options.get("class", "").split())


def indentation(line):
    return len(line) - len(line.lstrip(" "))


def read_page(page):
    with io.open(os.path.join(ROOT, *page.split("/")), encoding="utf-8") as stream:
        return stream.read()


def read_files(blocks):
    """Return the text of each file that a page's blocks make up, by its name."""
    files = collections.OrderedDict()
    for block in blocks:
        if block.filename is not None:
            lines = files.setdefault(block.filename, [u"# -*- coding: utf-8 -*-"])
            lines.extend(block.lines)
    return {name: u"\n".join(lines) + u"\n" for name, lines in files.items()}
