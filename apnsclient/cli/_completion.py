"""Completion in a shell, if the package argcomplete is installed.

The shell runs the command with the line so far in environment variables; argcomplete derives the
completions from the parser, prints them for the shell, and ends the process.
"""

from __future__ import absolute_import, division, print_function

import os

from .._compat import MYPY

if MYPY:
    import argparse

__all__ = ["complete"]


def complete(parser):
    # type: (argparse.ArgumentParser) -> None
    """Print completions and end the process, if a shell runs the command to get them."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
