"""Bars of what a benchmark has measured, as SVG.

usage: python tests/benchmarks/bench_plot.py [FOLDER]

Draws the plots of docs/benchmarks.rst anew, from the tables that stand there, into docs/images or
another folder. The same figures make the same file.
"""

from __future__ import absolute_import, division, print_function

import collections
import io
import os
import sys

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "docs")
PAGE = os.path.join(DOCS, "benchmarks.rst")

#: A plot: the name of its file, its title, the columns that are drawn, and the rows that are ours
#: (None: each of them). The table follows the comment ``.. drawn as NAME``.
Plot = collections.namedtuple("Plot", "name title heads ours")

PLOTS = (
    Plot("benchmark-message",
         "One message to 100 000 tokens, to nginx over one connection: notifications a second",
         ["nginx"], ["this library"]),
    Plot("benchmark-near", "Single messages without a delay: messages a second",
         ["a second"], ["50 threads", "1 thread", "50 greenlets", "1 greenlet"]),
    Plot("benchmark-far", "One message to many tokens, 50 ms away: notifications a second",
         ["pool_size=1", "default"], None),
    Plot("benchmark-aio", "From an event loop, over one connection: notifications a second",
         ["a second"], ["send_notification()", "send_many()"]),
)

_WIDTH = 760
_BAR = 18
_GAP = 8
_CHARACTER = 7.2
#: They stand on paper of their own, so that they can be read on a dark page, too.
_STYLE = """\
  .paper { fill: #fff; stroke: #d5d9e0 }
  .title { font-weight: bold; fill: #223 }
  .label, .value, .key { fill: #334 }
  .label { text-anchor: end }
  .value, .key { font-size: 11.5px }
  .first { fill: #2f6fbd }
  .second { fill: #7fb2e5 }
  .other { fill: #aab1bd }
"""


def save_bars(folder, name, title, labels, columns, ours=None):
    """Write a file with a bar for each label, or one for each label and column.

    :param folder: where to, made if it is not there (str).
    :param name: name of the file, without ``.svg`` (str).
    :param labels: what the rows are called (list of str).
    :param columns: one or two ``(name, values)`` to draw; no bar where a value is None.
    :param ours: the labels whose bars stand out (list of str); None: all of them.
    """
    if not os.path.isdir(folder):
        os.makedirs(folder)
    with io.open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8", newline="\n") as file:
        file.write(u"%s" % draw_bars(title, labels, columns, ours))


def draw_bars(title, labels, columns, ours=None):
    """Return the text of the file that :func:`save_bars` writes."""
    left = 24 + _CHARACTER * max(len(label) for label in labels)
    longest = max(value for _, column in columns for value in column if value)
    scale = (_WIDTH - left - 90) / longest
    row = _BAR * len(columns) + _GAP
    top = 44 if len(columns) == 1 else 66
    height = top + row * len(labels) + 8
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
             'font-family="sans-serif" font-size="13">' % (_WIDTH, height, _WIDTH, height),
             "<title>%s</title>" % _escape(title), "<style>\n%s</style>" % _STYLE,
             '<rect class="paper" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>' % (
                 _WIDTH - 1, height - 1),
             '<text class="title" x="16" y="26">%s</text>' % _escape(title)]
    if len(columns) > 1:
        lines += _draw_key(left, columns)
    for number, label in enumerate(labels):
        y = top + row * number
        lines.append('<text class="label" x="%.1f" y="%.1f">%s</text>' % (
            left - 8, y + _BAR * len(columns) / 2 + 4.5, _escape(label)))
        for place, (_, column) in enumerate(columns):
            kind = ("first", "second")[place] if ours is None or label in ours else "other"
            lines += _draw_bar(left, y + _BAR * place, column[number], scale, kind)
    return "\n".join(lines + ["</svg>", ""])


def _draw_key(left, columns):
    lines = []
    for place, (head, _) in enumerate(columns):
        x = left + 130 * place
        lines += ['<rect class="%s" x="%.1f" y="40" width="12" height="12"/>' % (
                      ("first", "second")[place], x),
                  '<text class="key" x="%.1f" y="50">%s</text>' % (x + 18, _escape(head))]
    return lines


def _draw_bar(left, y, value, scale, kind):
    if not value:
        return []
    length = max(1.0, value * scale)
    return ['<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>' % (
                kind, left, y, length, _BAR - 2),
            '<text class="value" x="%.1f" y="%d">%s</text>' % (
                left + length + 6, y + 12, _text_of(value))]


def _text_of(value):
    if isinstance(value, float) and value < 1000:
        return "%.3g" % value
    return format(int(value), ",d").replace(",", " ")


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_table(lines, name):
    """Return the table of a plot: ``(heads, rows)``, all of them text."""
    start = lines.index(".. drawn as " + name)
    first, second, third = [number for number in range(start, len(lines))
                            if lines[number].startswith("==") and " " in lines[number]][:3]
    ruler = lines[first]
    starts = [0] + [at + 2 for at in range(len(ruler)) if ruler.startswith("  =", at)]
    heads, rows = None, []
    for line in lines[first + 1:second] + lines[second + 1:third]:
        cells = [line[begin:end].strip() for begin, end in zip(starts, starts[1:] + [None])]
        heads, rows = (cells, rows) if heads is None else (heads, rows + [cells])
    return heads, rows


def draw_page(folder):
    """Write all plots of the page into a folder."""
    with io.open(PAGE, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    for plot in PLOTS:
        heads, rows = read_table(lines, plot.name)
        columns = [(head, [_figure(row[heads.index(head)]) for row in rows])
                   for head in plot.heads]
        save_bars(folder, plot.name, plot.title, [row[0] for row in rows], columns, plot.ours)


def _figure(cell):
    return float(cell.replace(" ", ""))


if __name__ == "__main__":
    draw_page(sys.argv[1] if len(sys.argv) > 1 else os.path.join(DOCS, "images"))
