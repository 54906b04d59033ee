"""``python -m apnsclient.cli`` is the command ``apns``."""

from __future__ import absolute_import, division, print_function

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
