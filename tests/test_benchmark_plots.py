"""The plots of docs/benchmarks.rst are drawn from the tables that stand on the page."""

from __future__ import absolute_import, division, print_function

import io
import os
import sys

from docs_support import FOLDER, ROOT, read_page

sys.path.insert(0, os.path.join(ROOT, "tests", "benchmarks"))
try:
    import bench_plot
finally:
    sys.path.pop(0)


def read(*parts):
    with io.open(os.path.join(*parts), encoding="utf-8") as stream:
        return stream.read()


def test_the_plots_show_the_figures_of_the_page(tmpdir):
    """Whoever changes a table draws anew; and each plot is on the page."""
    bench_plot.draw_page(str(tmpdir))
    names = sorted(path.basename for path in tmpdir.listdir())

    assert len(names) == len(bench_plot.PLOTS)
    for name in names:
        assert read(str(tmpdir), name) == read(FOLDER, "images", name), name
        assert "images/" + name in read_page("docs/benchmarks.rst")
