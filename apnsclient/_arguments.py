"""Makes the back-end of a session from the argument ``pool``."""

from __future__ import absolute_import, division, print_function

import importlib

import six

from ._compat import MYPY
from ._extras import NotInstalled

if MYPY:
    from typing import Any

    from .backends import BaseBackend

__all__ = ["check_alpn", "make_backend"]


def make_backend(pool, options):
    # type: (Any, Any) -> BaseBackend
    """Return the back-end for the argument ``pool`` of a session.

    :raises ImportError: if it names a module that cannot be imported, or has no back-end.
    :raises TypeError: if it is of another type, or is an instance and there are options.
    """
    if isinstance(pool, six.string_types):
        try:
            module = _import(pool)
        except NotInstalled:
            raise
        except (ImportError, TypeError, ValueError) as error:
            # An empty or a relative name raises one of the latter two.
            six.raise_from(
                ImportError("the back-end %s cannot be imported: %s" % (pool, error)), error)
        pool = getattr(module, "Backend", None)
        if pool is None:
            raise ImportError("the back-end %s has no class Backend" % module.__name__)
    if isinstance(pool, type):
        pool, options = pool(**options), {}
    if not hasattr(pool, "get_new_connection"):
        raise TypeError("the back-end is %r, expected the name of a module, a subclass of "
                        "BaseBackend or an instance of one" % (pool,))
    if options:
        raise TypeError("the back-end is an instance already and takes no options: %s"
                        % ", ".join(sorted(options)))
    return pool


def _import(name):
    # type: (str) -> Any
    """Import the module of a back-end."""
    if name == "apnsclient.backends.stdio":
        # Tools that freeze programs, such as PyInstaller, find only import statements.
        from .backends import stdio
        return stdio
    return importlib.import_module(name)


def check_alpn(backend):
    # type: (BaseBackend) -> None
    """Raise ValueError if a back-end cannot open connections for HTTP/2."""
    if not backend.has_alpn:
        raise ValueError("the back-end %s does not negotiate protocols with ALPN, which HTTP/2 "
                         "needs: use another one, or have it set has_alpn and take the argument "
                         "alpn" % type(backend).__module__)
