"""Bars of what a benchmark has measured, as SVG; needs matplotlib."""

from __future__ import absolute_import, division, print_function

import os

import matplotlib
from matplotlib.figure import Figure

#: From this factor between the longest bar and the shortest one on, the axis is logarithmic.
_MANY_TIMES = 20.0

# The same figures make the same file; text stays text.
matplotlib.rcParams.update({"svg.hashsalt": "apnsclient", "svg.fonttype": "none"})


def save_bars(folder, name, title, labels, columns):
    """Write a file with a bar for each label, or one for each label and column.

    :param folder: where to, made if it is not there (str).
    :param name: name of the file, without ``.svg`` (str).
    :param labels: what the rows are called (list of str).
    :param columns: ``(name, values)`` of each column that is drawn; no bar where a value is None.
    """
    height = 0.8 / len(columns)
    figure = Figure(figsize=(8, 0.9 + 0.35 * len(labels) * max(len(columns) * 0.7, 1)),
                    layout="constrained")
    axes = figure.subplots()
    values = [value for _, column in columns for value in column if value]
    if max(values) > _MANY_TIMES * min(values):
        axes.set_xscale("log")
        axes.set_xlim(left=min(values) / 2.0)
    for number, (head, column) in enumerate(columns):
        places = [place + number * height for place in range(len(labels))]
        bars = axes.barh(places, [value or 0 for value in column], height, label=head)
        axes.bar_label(bars, [_text_of(value) for value in column], padding=3, fontsize=8)
    axes.set_yticks([place + height * (len(columns) - 1) / 2 for place in range(len(labels))],
                    labels)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10, loc="left")
    if len(columns) > 1:
        axes.legend(fontsize=8)
    else:
        axes.set_xlabel(columns[0][0], fontsize=8)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    figure.savefig(os.path.join(folder, name + ".svg"), metadata={"Date": None})


def _text_of(value):
    if value is None:
        return ""
    return format(value, ",d") if isinstance(value, int) else "%.3g" % value
