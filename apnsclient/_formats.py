"""Recognises files that are passed in place of PEM, and says how to convert them.

Apple issues certificates as DER (``aps.cer``), a keychain exports PKCS #12 (``push.p12``), and
certificate requests and public keys are often at hand as well. The commands here contain no name or
secret of the caller.
"""

from __future__ import absolute_import, division, print_function

import re

from ._compat import MYPY
from ._pem import split_pem

if MYPY:
    from typing import List, Pattern, Tuple

__all__ = ["describe_instead", "kind_of", "what_is"]

_OTHERS = {
    "certificate":
        "a certificate in DER format, as Apple's aps.cer is; convert it: openssl x509 -inform der "
        "-in aps.cer -out aps.pem",
    "trusted certificate":
        "one in a format of OpenSSL's own, a TRUSTED CERTIFICATE; convert it: openssl x509 "
        "-in trusted.pem -out certificate.pem",
    "request":
        "a request for one; take the certificate that Apple's developer page made from it, and the "
        "private key that it was made with",
    "pkcs7":
        "certificates in PKCS #7 format; convert them: openssl pkcs7 -in certificates.p7b "
        "-print_certs -out certificates.pem (and -inform der, if it is binary)",
    "pkcs12":
        "a PKCS #12 archive, as push.p12 of a keychain is; convert it: openssl pkcs12 -in push.p12 "
        "-out push.pem (and -legacy, if OpenSSL 3 calls it unsupported). The PEM pass phrase that "
        "it asks for becomes the passphrase of the key",
    "key":
        "a private key in DER format; convert it: openssl pkey -inform der -in key.der "
        "-out key.pem",
    "encrypted key":
        "an encrypted private key in DER format; convert it: openssl pkcs8 -inform der -in key.der "
        "-out key.pem",
    "openssh key":
        "a key in OpenSSH's format; convert a copy of it: ssh-keygen -p -m PEM -f copy",
    "public key":
        "a public key; take the private key that it was made from",
    "Base64 of PEM":
        "PEM text that is Base64 once more; decode it: openssl base64 -d -A -in encoded.txt "
        "-out push.pem",
    "Base64 of DER":
        "Base64 without the lines -----BEGIN and -----END around it; add them again",
}

#: Other kinds of PEM blocks, by label.
_LABELS = {
    b"CERTIFICATE REQUEST": "request",
    b"NEW CERTIFICATE REQUEST": "request",
    b"OPENSSH PRIVATE KEY": "openssh key",
    b"PKCS7": "pkcs7",
    b"PUBLIC KEY": "public key",
    b"RSA PUBLIC KEY": "public key",
    b"TRUSTED CERTIFICATE": "trusted certificate",
}

#: A SEQUENCE of ASN.1 with its length, also of indefinite length (X.690, 8.1).
_SEQUENCE = br"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)"
#: How files of other kinds begin; the first match counts.
_BEGINNINGS = [(re.compile(pattern, re.DOTALL), kind) for pattern, kind in [
    # Version 3; the object identifier of pkcs7-signedData.
    (_SEQUENCE + br"\x02\x01\x03", "pkcs12"),
    (_SEQUENCE + br"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "pkcs7"),
    # Version 0 and a name; a version that has a tag.
    (_SEQUENCE + _SEQUENCE + br"\x02\x01\x00" + _SEQUENCE + br"\x31", "request"),
    (_SEQUENCE + _SEQUENCE + br"\xa0\x03\x02\x01", "certificate"),
    # The identifiers of pkcs-5, or of pkcs-12PbeIds; any other algorithm.
    (_SEQUENCE + _SEQUENCE + br"\x06.\x2a\x86\x48\x86\xf7\x0d\x01(?:\x05|\x0c\x01)",
     "encrypted key"),
    (_SEQUENCE + _SEQUENCE + br"\x06", "public key"),
    (_SEQUENCE + br"\x02\x01[\x00\x01]", "key"),
    (br"\s*LS0tLS1CRUdJTi", "Base64 of PEM"),
    (br"\s*MI[\sA-Za-z0-9+/]{60,}={0,2}\s*\Z", "Base64 of DER"),
]]  # type: List[Tuple[Pattern[bytes], str]]

_BEGIN = re.compile(br"-----BEGIN ([A-Z0-9 ]+)-----")
#: One line that begins, or ends, like the name of a file.
_FILE_NAME = re.compile(br"(?:(?:~|\.\.?)?/[^\r\n\0]*|[^\r\n\0]*\.[A-Za-z0-9]{1,5})\s*\Z")


def describe_instead(content, source):
    # type: (bytes, str) -> str
    """Return the end of a sentence that begins "SOURCE holds no certificate in PEM format".

    :param content: text without a PEM block of the kind that is needed (bytes).
    :param source: its name in messages (str).
    :return: "" if its kind is unknown; never a part of the content.
    """
    if not content.strip():
        return ": it is empty"
    kind = kind_of(content)
    if kind:
        return ", but " + _OTHERS[kind]
    for label in _BEGIN.findall(content):
        if b"-----END " + label + b"-----" not in content:
            return (", but text that is cut off: the line -----END %s----- is missing"
                    % label.decode("ascii"))
    if source in ("cert_string", "key_string", "ca_string") and _FILE_NAME.match(content):
        return (", but what seems to be the name of a file; pass its content, or the name as %s"
                % source.replace("string", "file"))
    return ""


def what_is(kind):
    # type: (str) -> Tuple[str, str]
    """Return what a file is, and what to do about it.

    :param kind: what :func:`kind_of` has returned, if it is not empty (str).
    """
    what, _, remedy = _OTHERS[kind].partition("; ")
    return what, remedy


def kind_of(content):
    # type: (bytes) -> str
    """Return which kind of file is given in place of PEM: a key of the table, or "" if unknown."""
    for label, _ in split_pem(content):
        if label in _LABELS:
            return _LABELS[label]
    for pattern, kind in _BEGINNINGS:
        if pattern.match(content):
            return kind
    return ""
