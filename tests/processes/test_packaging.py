"""What is built for distribution holds what it must, and asks for nothing more than it needs."""

from __future__ import absolute_import, division, print_function

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import docutils.core
import pytest

import apnsclient
from apnsclient import _extras
from modern import IS_MODERN

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(scope="module")
def dist(tmpdir_factory):
    """A folder with the source distribution and the wheel, built from a copy of the source."""
    source = str(tmpdir_factory.mktemp("source").join("tree"))
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        ".[!c]*", "*.egg-info", "__pycache__", "*.pyc", "build", "dist", "_build"))
    folder = str(tmpdir_factory.mktemp("dist"))
    program = ("import sys; from setuptools import build_meta; folder = sys.argv[1]; "
               "build_meta.build_sdist(folder); build_meta.build_wheel(folder)")
    child = subprocess.Popen([sys.executable, "-c", program, folder], cwd=source,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    output = child.communicate()[0]
    assert child.returncode == 0, output.decode("utf-8", "replace")
    return folder


@pytest.fixture(scope="module")
def sdist_names(dist):
    """The names of the files in the source distribution, below its one folder."""
    with tarfile.open(find_one(dist, ".tar.gz")) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def wheel_names(dist):
    """The names of the files in the wheel."""
    with zipfile.ZipFile(find_one(dist, ".whl")) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(dist):
    """What the wheel says of itself."""
    with zipfile.ZipFile(find_one(dist, ".whl")) as archive:
        name, = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(str(archive.read(name).decode("utf-8").encode(
            "ascii", "replace").decode("ascii")))


def find_one(folder, ending):
    name, = [name for name in os.listdir(folder) if name.endswith(ending)]
    return os.path.join(folder, name)


def source_files(top, *endings):
    """The files below a folder whose names end so, relative to the root."""
    found = set()
    for folder, _, names in os.walk(os.path.join(ROOT, top)):
        for name in names:
            if name.endswith(endings):
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                found.add(path.replace(os.sep, "/"))
    return found


def test_every_source_file_is_in_both(sdist_names, wheel_names):
    """No sub-package and no ``py.typed`` is forgotten."""
    expected = source_files("apnsclient", ".py", "py.typed")

    assert {"apnsclient/py.typed", "apnsclient/backends/stdio.py"} <= expected
    assert expected <= sdist_names
    assert expected <= wheel_names


def test_nothing_else_is_installed(wheel_names):
    """The wheel installs the package alone: no tests, no documentation, no stray module."""
    tops = {name.split("/")[0] for name in wheel_names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"apnsclient"}


def test_the_source_distribution_is_whole(sdist_names):
    """It can be built from, and has the pages and the tests with all that they need."""
    expected = {"setup.py", "pyproject.toml", "README.rst", "LICENSE", "CHANGELOG.rst",
                "CONTRIBUTING.rst", "tox.ini"}
    for folder, endings in [(".ci", ("run", ".py", "install_interpreters")),
                            ("docs", (".rst", "conf.py", ".svg", ".png", ".css", ".txt")),
                            ("tests", (".py", ".js", ".conf"))]:
        found = source_files(folder, *endings)
        assert found
        expected |= found

    assert expected <= sdist_names
    assert not [name for name in sdist_names if name.endswith((".pyc", ".pyo"))]


def test_the_license_is_in_the_wheel(wheel_names):
    """The Apache License asks that a copy of it goes along."""
    assert [name for name in wheel_names if re.search(r"\.dist-info/(licenses/)?LICENSE$", name)]


def test_one_wheel_is_for_python_2_and_3(dist):
    """Its name and its tags say so, whichever interpreter built it."""
    with zipfile.ZipFile(find_one(dist, "-py2.py3-none-any.whl")) as archive:
        name, = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        text = archive.read(name).decode("ascii")

    assert re.findall(r"^Tag: (.+?)\r?$", text, re.M) == ["py2-none-any", "py3-none-any"]


@pytest.mark.skipif(IS_MODERN, reason="this one can compile everything")
def test_an_old_interpreter_installs_what_it_cannot_compile(dist, tmpdir):
    """pip compiles what it can, and says nothing of the rest, which is never imported there."""
    folder = str(tmpdir)
    child = subprocess.Popen(
        [sys.executable, "-m", "pip", "install", "--compile", "--no-index", "--no-deps",
         "--no-cache-dir", "--target", folder, find_one(dist, ".whl")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = child.communicate()[0].decode("utf-8", "replace")

    assert child.returncode == 0, output
    assert "Error" not in output
    compiled = {name.split(".")[0] for where, _, names in os.walk(folder) for name in names
                if name.endswith(".pyc") and "apnsclient" in where}
    assert "transport" in compiled and "targets" not in compiled


def test_the_interpreter_is_among_the_classifiers(metadata):
    """Each one that the tests run on is named."""
    assert ("Programming Language :: Python :: %d.%d" % sys.version_info[:2]
            in metadata.get_all("Classifier"))


def test_only_six_and_pyopenssl_are_required(metadata):
    """Everything further is an extra."""
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]

    assert sorted(re.match(r"[\w-]+", line).group().lower() for line in required) == [
        "pyopenssl", "six"]


def test_the_extra_all_is_the_sum_of_the_others(metadata):
    """Whoever asks for everything gets everything; and texts name what is missing."""
    extras = {}
    for line in metadata.get_all("Requires-Dist"):
        found = re.match(r"(.*?)\s*;.*extra == ['\"](\w+)['\"]", line)
        if found:
            extras.setdefault(found.group(2), set()).add(found.group(1).replace(" ", ""))
    everything = extras.pop("all")

    assert dict((extra, sorted(re.match(r"[\w.-]+", requirement).group() for requirement in found))
                for extra, found in extras.items()) == dict(
                    (extra, sorted(names)) for extra, names in _extras.PACKAGES.items())
    assert set().union(*extras.values()) == everything


def test_the_version_is_that_of_the_package(metadata):
    """There is one place to change the version in."""
    assert metadata["Version"] == apnsclient.__version__
    assert metadata["Name"].replace("_", "-") == "apns-client"


def test_the_command_and_the_pytest_plugin_are_installed(dist):
    """``apns`` leads into the command line, and pytest finds the fixtures by itself."""
    with zipfile.ZipFile(find_one(dist, ".whl")) as archive:
        name, = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        text = archive.read(name).decode("ascii")

    assert re.search(r"^apns\s*=\s*apnsclient\.cli:main$", text, re.M)
    assert re.search(r"^\[pytest11\]\napnsclient\s*=\s*apnsclient\.testing\.pytest_plugin$",
                     text, re.M)


def test_the_description_links_to_no_file(metadata):
    """A package index shows README without the files beside it: their names stand there as text."""
    document = docutils.core.publish_doctree(metadata.get_payload(), settings_overrides={
        "report_level": 2, "halt_level": 2, "syntax_highlight": "none"})
    links = document.asdom().getElementsByTagName("reference")

    assert "docs/getting-started.rst" in document.astext()
    assert not [link.toxml() for link in links if "://" not in link.getAttribute("refuri")]


def test_no_address_of_the_project_is_made_up(metadata):
    """The project has no page of its own."""
    assert metadata.get_all("Project-URL") is None
    assert metadata["Home-page"] in (None, "UNKNOWN")
