"""What an interpreter gets to hear that cannot run the asynchronous client."""

from __future__ import absolute_import, division, print_function

import importlib

import pytest

from modern import IS_MODERN


@pytest.mark.skipif(IS_MODERN, reason="this one can")
def test_what_is_modern_says_what_it_needs():
    """Not a SyntaxError in a file that nobody has asked for."""
    for room in ("aio", "models", "testing.web"):
        with pytest.raises(ImportError, match=room + r" needs Python 3\.8 or newer, and "):
            importlib.import_module("apnsclient." + room)
