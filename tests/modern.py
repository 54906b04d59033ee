"""What is written for Python 3.8 and newer, and may not even be parsed by an older interpreter.

The folders ``tests/aio``, ``tests/contrib`` and ``tests/web``, files ``test_aio_*.py``,
``test_celery_*.py``, ``test_contrib_*.py`` and ``test_web_*.py`` in any folder, and what they
import, the rooms of the package below, and examples that docs_support calls modern.
"""

from __future__ import absolute_import, division, print_function

import sys

#: Whether this interpreter understands all that.
IS_MODERN = sys.version_info >= (3, 8)

#: The rooms of the package.
ROOMS = ("aio", "contrib", "models", "testing.web")


def can_import(module):
    """Return True if this interpreter can import a module of the package, given by its full name.

    It says nothing on whether there is such a module.
    """
    return IS_MODERN or not (module + ".").startswith(
        tuple("apnsclient.%s." % room for room in ROOMS))
