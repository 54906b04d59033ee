"""Explains errors of the library in terms of the options of the commands.

The text of an error names parameters of the library, and the error has the name of a remedy. There
is a table for each of the two, and nothing else is replaced in a text. A result has only the text
of an error, which ends with the library's wording of the remedy.
"""

from __future__ import absolute_import, division, print_function

import re

from .._compat import MYPY
from ..errors import REMEDIES as _OF_LIBRARY
from ._console import one_line

if MYPY:
    import argparse
    from typing import Any, Optional, Tuple

__all__ = ["OPTIONS", "REMEDIES", "explain", "explain_parts"]

#: The option for each parameter of the library.
OPTIONS = {
    "apns_collapse_id": "--collapse-id", "apns_id": "--apns-id", "apns_push_type": "--push-type",
    "apns_topic": "--topic", "ca_file": "--ca-file", "ca_string": "--ca-file",
    "cert_file": "--cert", "cert_string": "--cert", "content_available": "--content-available",
    "key_file": "--key", "key_id": "--key-id", "key_string": "--key", "team_id": "--team-id",
}

#: The same for names that are ordinary words, too: they are replaced only where a text begins.
_AT_BEGINNING = {"badge": "--badge", "expiry": "--expiry", "priority": "--priority"}

#: What to do about an error; the names are those of :data:`apnsclient.errors.REMEDIES`.
REMEDIES = {
    "another back-end": "leave --binary out",
    "another gateway": "leave --binary out, or give --address of a gateway that still speaks the "
                       "binary protocol",
    "binary": "if it is a gateway of the binary protocol, give --binary",
    "certificate or provider token": "give the certificate that belongs to it; a .p8 file is for "
                                     "provider tokens: give it with --key, --key-id and --team-id",
    "dates": "check this machine's clock; if it is right, the server needs a new certificate",
    "host": "give in --address a name that the server's certificate is for, or have the server "
            "present one for this name; --no-verify switches the check off (tests only)",
    "http2": "if it speaks HTTP/2, give --http2",
    "key": "give it with --key, or together with the certificate",
    "key in the same text": "it has to be in the same file as the certificate",
    "other server certificate": "the server needs another certificate; --no-verify switches the "
                                "check off (tests only)",
    "proxy": "check --proxy",
    "proxy's password": "give --proxy \"http://user:password@host:port\"",
    "proxy's special characters": "in --proxy, special characters of user and password have to be "
                                  "percent-encoded",
    "stronger certificate": "get a new one that is signed with SHA-256 and has a current key: RSA "
                            "with 2048 bits, or elliptic curve P-256",
    "trust": "if this is the right server, give --ca-file with the certificate of its authority; "
             "--no-verify switches the check off (tests only)",
}

_PARAMETER = re.compile(r"\b(?:%s)\b|^(?:%s)(?= )"
                        % ("|".join(sorted(OPTIONS)), "|".join(sorted(_AT_BEGINNING))))


def explain(error, arguments=None):
    # type: (object, Optional[argparse.Namespace]) -> str
    """Return the text of an error, with options in place of parameters.

    :param error: exception, or its text.
    :param arguments: the command's, for the names of files (``argparse.Namespace``).
    """
    said, remedy = explain_parts(error, arguments)
    return said if remedy is None else "%s; %s" % (said, remedy)


def explain_parts(error, arguments=None):
    # type: (object, Optional[argparse.Namespace]) -> Tuple[str, Optional[str]]
    """Return what happened, and what to do about it (str) or None; see :func:`explain`."""
    def option(match):
        # type: (Any) -> str
        name = match.group()
        flag = OPTIONS.get(name) or _AT_BEGINNING[name]
        if not name.endswith(("_file", "_string")):
            return flag
        given = getattr(arguments, flag[2:].replace("-", "_"), None)
        return flag if given is None else "%s %s" % (flag, given)

    said = one_line(getattr(error, "problem", error))
    remedy = getattr(error, "remedy", None)
    for name, text in _OF_LIBRARY.items():
        if said.endswith("; " + text):
            said, remedy = said[:-len(text) - 2], name
    said = _PARAMETER.sub(option, said)
    return said, None if remedy is None else REMEDIES[remedy]
