"""What ``apns doctor`` says about the key of provider tokens; none of it needs a network."""

from __future__ import absolute_import, division, print_function

import os
import re

from .._compat import MYPY
from ..errors import CertificateError
from ..provider_token import ProviderToken
from ._doctor_files import InputFile
from ._explain import explain_parts
from ._finding import Check, failed, good, once, skipped, warning

if MYPY:
    import argparse
    from typing import Any, Dict, Optional, Tuple

    from ._finding import Finding

__all__ = ["CHECKS", "TokenInput"]

#: What identifiers of keys and teams look like on Apple's developer page.
_IDENTIFIER = re.compile(r"[A-Z0-9]{10}\Z")
#: What Apple calls the file of a key.
_FILE_NAME = re.compile(r"AuthKey_([A-Z0-9]{10})")
_PLACE = "Apple's developer page"


class TokenInput(object):
    """The key and the identifiers that the arguments name.

    :param arguments: the command's (``argparse.Namespace``).
    """

    def __init__(self, arguments):
        # type: (argparse.Namespace) -> None
        self.arguments = arguments
        self.key_file = InputFile("--key", arguments.key)

    @property
    def texts(self):
        # type: () -> Dict[str, Any]
        """Arguments of a session's methods."""
        return {"key_id": self.arguments.key_id, "team_id": self.arguments.team_id,
                "key_string": self.key_file.content}

    @once
    def loaded(self):
        # type: () -> Tuple[Optional[ProviderToken], Optional[CertificateError]]
        """A provider token with this key, whatever the identifiers are; or why there is none."""
        try:
            return ProviderToken("KEY", "TEAM", self.key_file.content), None
        except CertificateError as error:
            return None, error

    @once
    def is_usable(self):
        # type: () -> bool
        """Whether a session can use it."""
        try:
            ProviderToken(**self.texts)
        except CertificateError:
            return False
        return True

    def document(self):
        # type: () -> Optional[Dict[str, Any]]
        """Return what can be read of a certificate, for ``--json``: there is none."""
        return None


def _key_file(given):
    # type: (TokenInput) -> Finding
    return given.key_file.judge("key", False)


def _signing_key(given):
    # type: (TokenInput) -> Finding
    if not given.key_file.content:
        return skipped("there is no key")
    token, problem = given.loaded
    if problem is not None:
        seen, remedy = explain_parts(problem, given.arguments)
        return failed(seen, remedy or (
            "give the .p8 file as Apple issued it; if it is lost, create another key on %s"
            % _PLACE))
    return good("elliptic curve P-256, not encrypted; a token signed now is valid until %s UTC"
                % token.token_expires.strftime("%H:%M"))


def _key_id(given):
    # type: (TokenInput) -> Finding
    found = given.arguments.key_id
    problem = _problem_of(found, "--key-id", "next to the key (Keys)")
    if problem is not None:
        return problem
    named = _FILE_NAME.search(os.path.basename(given.arguments.key))
    if named is not None and named.group(1) != found:
        return warning("%s, and the file is that of key %s by its name" % (found, named.group(1)),
                       "give --key-id %s, or the file of key %s" % (named.group(1), found))
    return good("%s, 10 letters and digits" % found)


def _team_id(given):
    # type: (TokenInput) -> Finding
    found = given.arguments.team_id
    problem = _problem_of(found, "--team-id", "under Membership")
    if problem is not None:
        return problem
    if found == given.arguments.key_id:
        return failed("%s, the same as the key's identifier" % found,
                      "give --team-id as %s shows it under Membership" % _PLACE)
    return good("%s, 10 letters and digits" % found)


def _problem_of(text, option, place):
    # type: (str, str, str) -> Optional[Finding]
    """Return the finding about an identifier that is not like Apple's, without repeating it."""
    if _IDENTIFIER.match(text):
        return None
    return failed("not 10 capital letters and digits, but another text, of %d characters"
                  % len(text), "give %s as %s shows it %s" % (option, _PLACE, place))


#: The checks of a provider token, in order.
CHECKS = [
    Check("key_file", "key file", _key_file),
    Check("signing_key", "signing key", _signing_key),
    Check("key_id", "key id", _key_id),
    Check("team_id", "team id", _team_id),
]
