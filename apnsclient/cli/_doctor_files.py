"""The files that ``apns doctor`` looks into: what kind of file each is, and its text as PEM.

Content is read up to a limit, since a name may lead to anything, and is in no text.
"""

from __future__ import absolute_import, division, print_function

import errno
import io
import os
import re

from .._compat import MYPY
from .._files import shown_path
from .._formats import describe_instead, kind_of, what_is
from .._pem import certificates_in, keys_in, split_pem
from ._finding import failed, good, once

if MYPY:
    from typing import Any, Dict, Optional, Tuple

    from ._finding import Finding

__all__ = ["CREDENTIAL_LIMIT", "InputFile", "write_private"]

#: Most bytes of a file that can be a credential: a hundred times as many as a long chain has.
CREDENTIAL_LIMIT = 1 << 20

#: Kinds of files that are converted.
_CONVERTED = ("Base64 of DER", "Base64 of PEM", "certificate", "encrypted key", "key", "pkcs12")

#: What to do if a file cannot be read.
_UNREADABLE = {
    errno.EACCES: "let the user who runs this read it (chmod, chown), or run it as its owner",
    errno.EISDIR: "give the name of a file in it",
    errno.ENOENT: "check the name; without a slash in front it counts from this directory",
}


class InputFile(object):
    """A file that an option names.

    :param option: the option (str).
    :param name: value of the option (str).

    :ivar content: its content (bytes); empty if it cannot be read.
    """

    def __init__(self, option, name):
        # type: (str, str) -> None
        self.option = option
        self.shown = shown_path(str(name)) or "(its name is not shown, since it may be a key)"
        self.content = b""
        self._problem = None  # type: Optional[Finding]
        try:
            with io.open(name, "rb") as stream:
                content = stream.read(CREDENTIAL_LIMIT + 1)
        except EnvironmentError as error:
            self._problem = failed(
                "%s cannot be read: %s" % (self.shown, os.strerror(error.errno or 0)),
                _UNREADABLE.get(error.errno or 0, "check %s" % option))
            return
        if not content.strip():
            self._problem = failed("%s is empty" % self.shown,
                                   "download or export it again; what was in it is not here")
        elif len(content) > CREDENTIAL_LIMIT:
            self._problem = failed(
                "%s has more than %d bytes, which no certificate or key has"
                % (self.shown, CREDENTIAL_LIMIT), "check the name in %s" % option)
        else:
            self.content = content

    @once
    def kind(self):
        # type: () -> str
        """What it is in place of PEM: a key of the table in ``_formats``, or ""."""
        return "" if self.has_blocks else kind_of(self.content)

    @once
    def has_blocks(self):
        # type: () -> bool
        """Whether it has PEM blocks with a certificate or a key."""
        return bool(certificates_in(self.content) or keys_in(self.content))

    @property
    def can_be_converted(self):
        # type: () -> bool
        """Whether it is of a kind that can be converted to PEM."""
        return self.kind in _CONVERTED

    def judge(self, wanted, is_converted):
        # type: (str, bool) -> Finding
        """Say what kind of file it is.

        :param wanted: what has to be in it: ``"certificate"`` or ``"key"``.
        :param is_converted: whether it is being converted, if that is possible.
        """
        if self._problem is not None:
            return self._problem
        if self.has_blocks:
            return self._judge_blocks(wanted)
        if self.can_be_converted and is_converted:
            return good("%s: %s" % (self.shown, what_is(self.kind)[0]))
        if self.can_be_converted:
            return failed("%s: %s" % (self.shown, what_is(self.kind)[0]), (
                "convert it: the same command with --convert-to push.pem writes certificate and "
                "key as PEM"))
        kind = kind_of(self.content)
        if kind:
            return failed("%s: %s" % ((self.shown, what_is(kind)[0])), what_is(kind)[1])
        return self._judge_unknown()

    def _judge_blocks(self, wanted):
        # type: (str) -> Finding
        seen = "%s: PEM with %s" % (self.shown, _count(self.content))
        if wanted == "certificate" and not certificates_in(self.content):
            return failed(seen + ", and no certificate", (
                "give the certificate that belongs to it; a .p8 file is for provider tokens: give "
                "it with --key, --key-id and --team-id"))
        if wanted == "key" and not keys_in(self.content):
            return failed(seen + ", and no key", "give the file with the private key in --key")
        return good(seen)

    def _judge_unknown(self):
        # type: () -> Finding
        instead = describe_instead(self.content, "")
        if instead:
            return failed("%s: %s" % (self.shown, re.sub("^[:,] (?:but )?", "", instead)),
                          "copy or download the whole file again")
        text = "binary data" if b"\0" in self.content else "text"
        return failed("%s: %s, neither PEM nor anything else that is known" % (self.shown, text), (
            "check the name in %s; a certificate has the line -----BEGIN CERTIFICATE-----"
            % self.option))


def _count(content):
    # type: (bytes) -> str
    """Return which blocks there are, and how many of each."""
    labels = [label.decode("ascii") for label, _ in split_pem(content)]
    numbers = {}  # type: Dict[str, int]
    for label in labels:
        numbers[label] = numbers.get(label, 0) + 1
    kinds = sorted(numbers.items())  # type: Any
    return ", ".join("%d %.40s" % (number, label) for label, number in kinds[:6])


def write_private(name, content):
    # type: (str, bytes) -> Optional[Tuple[str, str]]
    """Write a new file that only its owner can read.

    :return: None, or what the problem is and what to do about it. There is no file then.
    """
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except EnvironmentError as error:
        if error.errno == errno.EEXIST:
            return "it exists already", "remove it first, or give another name"
        return os.strerror(error.errno or 0), "give another name in --convert-to"
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # Whatever the umask takes away.
            os.chmod(name, 0o600)
            stream.write(content)
    except EnvironmentError as error:
        os.remove(name)
        return os.strerror(error.errno or 0), "give another name in --convert-to"
    return None
