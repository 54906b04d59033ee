"""PEM text as people have it: out of environment variables, editors, web forms and archives.

On the way there line breaks turn into the two characters ``\\n``, into blanks or into nothing, and
texts are quoted, indented, or saved as UTF-16. All of that leaves the BEGIN and END lines, and the
order of what is between them, which without its blanks is Base64 (RFC 7468). So each block is taken
from there and written anew, in the one way that every TLS library reads.
"""

from __future__ import absolute_import, division, print_function

import base64
import re

from ._compat import MYPY

if MYPY:
    from typing import List, Tuple

__all__ = ["certificates_in", "der_of", "is_encrypted", "keys_in", "split_pem"]

#: Of UTF-16 of either byte order.
_WIDE = b"B\0E\0G\0I\0N"
_BLOCK = re.compile(br"(#[ \t]*)?(-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \3-----)", re.DOTALL)
#: A line break or a tab as an escape, however often it was escaped.
_ESCAPES = re.compile(br"\\+[nrt]?")
#: Blanks; quotes, where each line has its own; and what is not ASCII, as the blanks of web pages.
_BLANKS = b" \t\n\r\v\f\"'" + bytes(bytearray(range(0x80, 0x100)))
#: The headers of keys that are encrypted in the traditional way (RFC 1421), without blanks. Nothing
#: but its length, which the cipher tells, says where the last number ends.
_HEADERS = re.compile(br"Proc-Type:4,ENCRYPTEDDEK-Info:"
                      br"((?:AES|ARIA|CAMELLIA|SEED|SM4)[A-Z0-9-]*,[0-9A-Fa-f]{32}"
                      br"|[A-Z0-9-]+,[0-9A-Fa-f]{16})")
_BASE64 = re.compile(br"[A-Za-z0-9+/]+={0,2}\Z")
_PROC_TYPE = b"Proc-Type: 4,ENCRYPTED"
_LINE = 64


def split_pem(pem):
    # type: (bytes) -> List[Tuple[bytes, bytes]]
    """Return ``(label, block)`` for each PEM block, well-formed where it can be made so.

    Text around the blocks is skipped, and so is a block in which each line begins with ``#``.

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
    """Return the blocks of :func:`split_pem` that are private keys, as far as TLS can use them."""
    return [block for label, block in split_pem(pem)
            if label.endswith(b"PRIVATE KEY") and label != b"OPENSSH PRIVATE KEY"]


def is_encrypted(block):
    # type: (bytes) -> bool
    """Return True if a block of :func:`split_pem` is a private key that needs a passphrase."""
    return b"ENCRYPTED PRIVATE KEY" in block or _PROC_TYPE in block


def der_of(block):
    # type: (bytes) -> bytes
    """Return what a block of :func:`split_pem` without headers holds, decoded.

    :raises TypeError, ValueError: if it is no Base64.
    """
    return base64.b64decode(b"".join(block.splitlines()[1:-1]))


def _rewrite(label, body):
    # type: (bytes, bytes) -> bytes
    """Return a block as it should be, b"" if its body is nothing that is known."""
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
