"""Reads PEM text that environment variables, editors, web forms or archives have changed.

Line breaks become the two characters ``\\n``, blanks or nothing, and texts are quoted, indented, or
saved as UTF-16. The BEGIN and END lines survive that, and so does the text between them, which is
Base64 when blanks are removed (RFC 7468). So each block is extracted and written again in the form
that every TLS library reads.
"""

from __future__ import absolute_import, division, print_function

import base64
import re

from ._compat import MYPY

if MYPY:
    from typing import List, Tuple

__all__ = ["certificates_in", "der_of", "is_encrypted", "keys_in", "split_pem"]

#: A part of a BEGIN line in UTF-16 of either byte order.
_WIDE = b"B\0E\0G\0I\0N"
_BLOCK = re.compile(br"(#[ \t]*)?(-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \3-----)", re.DOTALL)
#: A line break or a tab as an escape, however often it was escaped.
_ESCAPES = re.compile(br"\\+[nrt]?")
#: Blanks; quotes, which may be around each line; and non-ASCII characters, such as other blanks.
_BLANKS = b" \t\n\r\v\f\"'" + bytes(bytearray(range(0x80, 0x100)))
#: The headers of keys that are encrypted in the traditional way (RFC 1421), without blanks. Where
#: the last number ends is known only from its length, which depends on the cipher.
_HEADERS = re.compile(br"Proc-Type:4,ENCRYPTEDDEK-Info:"
                      br"((?:AES|ARIA|CAMELLIA|SEED|SM4)[A-Z0-9-]*,[0-9A-Fa-f]{32}"
                      br"|[A-Z0-9-]+,[0-9A-Fa-f]{16})")
_BASE64 = re.compile(br"[A-Za-z0-9+/]+={0,2}\Z")
_PROC_TYPE = b"Proc-Type: 4,ENCRYPTED"
_LINE = 64


def split_pem(pem):
    # type: (bytes) -> List[Tuple[bytes, bytes]]
    """Return ``(label, block)`` for each PEM block, repaired as far as possible.

    Text around the blocks is skipped, and so is a block whose lines begin with ``#``.

    :param pem: text in UTF-8, UTF-16 or any encoding that has ASCII in it (bytes).
    """
    if _WIDE in pem:
        pem = pem.replace(b"\0", b"")
    return [(label, _rewrite(label, body) or block + b"\n")
            for comment, block, label, body in _BLOCK.findall(pem)
            if not (comment and b"#" in body)]


def certificates_in(pem):
    # type: (bytes) -> List[bytes]
    """Return the blocks of :func:`split_pem` that are certificates, all with the same label."""
    return [block.replace(b" X509 CERTIFICATE-", b" CERTIFICATE-")
            for label, block in split_pem(pem) if label in (b"CERTIFICATE", b"X509 CERTIFICATE")]


def keys_in(pem):
    # type: (bytes) -> List[bytes]
    """Return the blocks of :func:`split_pem` that are private keys of a kind that TLS can use."""
    return [block for label, block in split_pem(pem)
            if label.endswith(b"PRIVATE KEY") and label != b"OPENSSH PRIVATE KEY"]


def is_encrypted(block):
    # type: (bytes) -> bool
    """Return True if a block of :func:`split_pem` is a private key that needs a passphrase."""
    return b"ENCRYPTED PRIVATE KEY" in block or _PROC_TYPE in block


def der_of(block):
    # type: (bytes) -> bytes
    """Return the decoded content of a block of :func:`split_pem` without headers.

    :raises TypeError, ValueError: if it is not Base64.
    """
    return base64.b64decode(b"".join(block.splitlines()[1:-1]))


def _rewrite(label, body):
    # type: (bytes, bytes) -> bytes
    """Return a well-formed block, or b"" if its body is not recognised."""
    if b"\\" in body:
        body = _ESCAPES.sub(b"", body)
    body = body.translate(None, _BLANKS)
    headers = _HEADERS.match(body)
    lines = [b"-----BEGIN " + label + b"-----"]
    if headers:
        lines += [_PROC_TYPE, b"DEK-Info: " + headers.group(1), b""]
        body = body[headers.end():]
    if not _BASE64.match(body):
        return b""
    lines += [body[start:start + _LINE] for start in range(0, len(body), _LINE)]
    return b"\n".join(lines + [b"-----END " + label + b"-----", b""])
