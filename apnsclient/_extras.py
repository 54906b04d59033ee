"""The packages that optional parts of this package need: the extras of setup.py.

Texts name these packages instead of the extra: ``pip install 'apns-client[http2]'`` would replace
this version by the one of the package index, if it was installed from somewhere else.
"""

from __future__ import absolute_import, division, print_function

__all__ = ["NotInstalled", "PACKAGES", "installation", "not_installed"]

#: The packages of each extra.
PACKAGES = {
    "celery": ("celery",),
    "cli": ("argcomplete", "tqdm"),
    "gevent": ("gevent",),
    "http2": ("cryptography", "hpack"),
    "opentelemetry": ("opentelemetry-api",),
    "prometheus": ("prometheus-client",),
    "sqlalchemy": ("SQLAlchemy",),
    "testing": ("PyJWT", "cryptography", "hpack"),
    "web": ("fastapi", "prometheus-client", "uvicorn"),
}


def installation(extra):
    # type: (str) -> str
    """Return the command that installs the packages of an extra."""
    return "pip install " + " ".join(PACKAGES[extra])


class NotInstalled(ImportError):
    """A part of this package needs a package that is not installed; the text is complete."""


def not_installed(what, extra, error):
    # type: (str, str, ImportError) -> NotInstalled
    """Return the exception for a part of this package that needs an extra.

    :param what: the part (str).
    :param extra: name of the extra (str).
    :param error: exception that says what is missing.
    """
    return NotInstalled("%s needs a package that is not installed (%s): %s"
                        % (what, error, installation(extra)))
