"""``python -m apnsclient.aio`` sends one notification from a shell."""

import sys

from ._command import main

if __name__ == "__main__":
    sys.exit(main())
