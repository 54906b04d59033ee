"""Completion in a shell, where the package argcomplete is installed.

The shell runs the command, with variables in its environment that say how far the line has been
typed; argcomplete asks the parser what may follow, tells the shell, and ends the process.
"""

from __future__ import absolute_import, division, print_function

import os

from .._compat import MYPY

if MYPY:
    import argparse

__all__ = ["answer_shell"]


def answer_shell(parser):
    # type: (argparse.ArgumentParser) -> None
    """Do not return if it is a shell that asks how a line may go on."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
