"""Packaging of apns-client; classic, so that Python 2.7 builds it from the same source."""

from __future__ import absolute_import, division, print_function

import io
import os
import re

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))

# On Python 2.7 pyOpenSSL 21.0, six 1.16 and tqdm 4.64 are what the tests run with: the lower bounds
# are proven there. pyOpenSSL has set_min_proto_version() from 21.0 on.
# gevent 22.10 is the last for Python 2.7 and 3.6, where the tests run with it. Each interpreter has
# wheels of it or of a later one.
# The lower bounds of argcomplete, hpack and PyJWT are the last releases for Python 2.7.
# What stands behind MODERN is for apnsclient.contrib and apnsclient.testing.web, which are for
# Python 3.8 and newer.
MODERN = "; python_version >= '3.8'"
EXTRAS = {
    "celery": ["celery>=5.3" + MODERN],
    "cli": ["argcomplete>=1.12", "tqdm>=4.64"],
    "gevent": ["gevent>=22.10"],
    "http2": ["cryptography>=3.3", "hpack>=3.0"],
    "opentelemetry": ["opentelemetry-api>=1.20" + MODERN],
    "prometheus": ["prometheus-client>=0.17" + MODERN],
    "sqlalchemy": ["SQLAlchemy>=1.4" + MODERN],
    "testing": ["PyJWT>=1.7", "cryptography>=3.3", "hpack>=3.0"],
    "web": ["fastapi>=0.115" + MODERN, "prometheus-client>=0.17" + MODERN,
            "uvicorn>=0.29" + MODERN],
}
EXTRAS["all"] = sorted(set(requirement for extra in EXTRAS.values() for requirement in extra))


def read(*parts):
    """Return the text of a file that lies beside this one."""
    with io.open(os.path.join(HERE, *parts), encoding="utf-8") as stream:
        return stream.read()


def read_version():
    """Return the version, without importing the package: its dependencies may not be there yet."""
    found = re.search(r"^__version__ = \"([^\"]+)\"$", read("apnsclient", "__init__.py"), re.M)
    if found is None:
        raise RuntimeError("apnsclient/__init__.py has no line of the form __version__ = \"...\"")
    return str(found.group(1))


def read_description():
    """Return README.rst as a package index shows it: apart from the files that it links to."""
    text = re.sub(r"^\.\. image:: docs/.+\n(?: +.+\n)*\n", "", read("README.rst"), flags=re.M)
    return re.sub(r"`([^`<]+?)\s+<([\w./-]+\.rst)>`_", r"\1 (``\2``)", text)


setup(
    name="apns-client",
    version=read_version(),
    description="Client for the Apple Push Notification service, with pluggable back-ends, "
                "a simulator and a command line",
    long_description=read_description(),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    keywords="apns push notification apple ios",
    # Python 2.7 gets what only 3.8 can read as well: pip compiles what it can, and is silent about
    # the rest.
    packages=find_packages(include=["apnsclient", "apnsclient.*"]),
    package_data={"apnsclient": ["py.typed", "contrib/grafana-dashboard.json",
                                 "testing/web/static/*"]},
    python_requires=">=2.7, !=3.0.*, !=3.1.*, !=3.2.*, !=3.3.*, !=3.4.*, !=3.5.*",
    install_requires=["six>=1.16", "pyOpenSSL>=21.0"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["apns = apnsclient.cli:main"],
        "pytest11": ["apnsclient = apnsclient.testing.pytest_plugin"],
    },
    # One wheel for all. "universal" would say the same, but setuptools is going to drop it.
    options={"bdist_wheel": {"python_tag": "py2.py3"}},
    zip_safe=False,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python",
        "Programming Language :: Python :: 2.7",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.7",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Topic :: Communications",
        "Topic :: Internet",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Topic :: Software Development :: Testing",
        "Typing :: Typed",
    ],
)
