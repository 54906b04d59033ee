"""The files of ``apns simulator``: authority, client's certificate, and key for provider tokens.

Files that exist in the directory are used, and those that are missing are created, so that a
program keeps working when the simulator is started again. No file is ever overwritten.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import io
import os
import shutil
import tempfile

import six

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]

from .._compat import MYPY
from ._console import USAGE, Failure, one_line

if MYPY:
    from typing import Any, Iterator, Optional

__all__ = ["Files", "directory_of", "lock_of"]


@contextlib.contextmanager
def directory_of(name, is_temporary):
    # type: (Optional[str], bool) -> Iterator[str]
    """Create the directory for the files, and yield its name (str).

    :param name: its name, or None for that of the user.
    :param is_temporary: True for one that is removed in the end, whatever the name (bool).
    :raises Failure: if that cannot be done.
    """
    if is_temporary:
        directory = tempfile.mkdtemp(prefix="apns-simulator-")
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    if name is None:
        directory = _directory_of_user()
        _make_directory(directory, 0o700, "; choose another with --directory, or --temporary")
    else:
        directory = name
        _make_directory(directory, 0o777, "")
    yield directory


def _directory_of_user():
    # type: () -> str
    """Return where a program keeps its files for a user (XDG Base Directory Specification).

    A relative path in the variable is not valid there, and is to be ignored.
    """
    data = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):
        data = os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "apnsclient", "simulator")


def _make_directory(name, mode, remedy):
    # type: (str, int, str) -> None
    try:
        os.makedirs(name, mode)
    except EnvironmentError as error:
        if not os.path.isdir(name):
            raise Failure("cannot make the directory %r: %s%s"
                          % (str(name), os.strerror(error.errno or 0), remedy), USAGE)


@contextlib.contextmanager
def lock_of(directory):
    # type: (str) -> Iterator[None]
    """Keep other simulators from reading or writing the files in a directory meanwhile.

    Of two that start at the same moment one makes the files, and the other one uses them. Where a
    file system has no locks it does nothing.
    """
    if fcntl is None:
        yield
        return
    descriptor = _open_directory(directory)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except EnvironmentError:
            pass  # It is let go of when the descriptor is closed.
        yield
    finally:
        os.close(descriptor)


def _open_directory(name):
    # type: (str) -> int
    try:
        return os.open(name, os.O_RDONLY)
    except EnvironmentError as error:
        raise Failure("cannot read %r: %s" % (str(name), os.strerror(error.errno or 0)), USAGE)


class Files(object):
    """The files of a simulator in a directory.

    :param directory: its name (str).
    :raises Failure: if a file in it cannot be used.

    :ivar ca: name of the file with the authority's certificate; ``ca_key``, ``client`` and ``key``
        are those with its key, with the client's certificate and key, and with the key for provider
        tokens.
    :ivar authority: the authority that was found (:class:`~apnsclient.testing.certs.Authority`),
        or None.
    :ivar key_string: the key for provider tokens that was found (str), or None.
    """

    def __init__(self, directory):
        # type: (str) -> None
        self.ca, self.ca_key, self.client, self.key = [
            os.path.join(directory, name)
            for name in ("ca.pem", "ca-key.pem", "client.pem", "key.p8")]
        self.authority = self._load_authority()
        self._client = _read(self.client)
        if self._client is not None:
            self._check_client(self._client)
        self.key_string = _read(self.key)
        if self.key_string is not None:
            self._check_key(self.key_string)

    def save(self, apns):
        # type: (Any) -> None
        """Write the files that are missing.

        :param apns: simulator that uses the others.
        :raises Failure: if that cannot be done.
        """
        for name, is_there, content, mode in (
                (self.ca_key, self.authority, apns.authority.key_string, 0o600),
                (self.ca, self.authority, apns.ca_string, 0o644),
                (self.client, self._client, apns.cert_string, 0o600),
                (self.key, self.key_string, apns.key_string, 0o600)):
            if not is_there:
                _write(name, content, mode)

    def _load_authority(self):
        # type: () -> Any
        from ..testing.certs import Authority

        certificate, key = _read(self.ca), _read(self.ca_key)
        if certificate is None and key is None:
            return None
        for text, name, other in ((certificate, self.ca, self.ca_key),
                                  (key, self.ca_key, self.ca)):
            if text is None:
                raise Failure("%r exists, but not %r; remove it to have an authority created, or "
                              "choose another --directory" % (other, name), USAGE)
        _load_identity("%s\n%s" % (certificate, key), self.ca)
        return Authority.load(certificate or "", key or "")

    def _check_client(self, pem):
        # type: (str) -> None
        _load_identity(pem, self.client)
        if self.authority is None or not self.authority.has_issued(pem):
            raise _unusable(self.client, "it was not issued by the authority in %r" % self.ca)

    def _check_key(self, pem):
        # type: (str) -> None
        from ..testing.simulator.provider_keys import load_key

        try:
            load_key(pem)
        except ValueError as error:
            raise _unusable(self.key, one_line(error))


def _load_identity(pem, name):
    # type: (str, str) -> None
    """Raise Failure unless a text has a certificate that is valid now, and its key."""
    from ..backends._identity import Identity, Material
    from ..errors import CertificateError

    try:
        problem = Identity(Material.of_text(pem, "it")).validity_problem()
    except CertificateError as error:
        raise _unusable(name, error.problem)
    if problem is not None:
        raise _unusable(name, "it " + problem)


def _unusable(name, problem):
    # type: (str, str) -> Failure
    return Failure("cannot use %r: %s; remove it to have another one created, or choose another "
                   "--directory" % (name, problem), USAGE)


def _read(name):
    # type: (str) -> Optional[str]
    """Return the text of a file, or None if there is no such file."""
    if not os.path.lexists(name):
        return None
    try:
        with io.open(name, "rb") as stream:
            return six.ensure_str(stream.read(), "latin-1")
    except EnvironmentError as error:
        raise Failure("cannot read %r: %s" % (name, os.strerror(error.errno or 0)), USAGE)


def _write(name, content, mode):
    # type: (str, str, int) -> None
    """Write a file that does not exist yet, with the permissions ``mode``."""
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode("ascii"))
    except EnvironmentError as error:
        raise Failure("cannot write %r: %s" % (name, os.strerror(error.errno or 0)), USAGE)
