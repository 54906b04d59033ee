"""PEM text that has come through other hands is read as what it was, whichever way it is given."""

from __future__ import absolute_import, division, print_function

import base64
import codecs
import io
import json
import re

import pytest
import six
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

import stdio_support
from apnsclient import ProviderToken
from apnsclient._pem import is_encrypted, split_pem
from apnsclient.backends._tls import Trust
from apnsclient.backends.stdio import Certificate
from apnsclient.errors import CertificateError, PeerVerificationError
from apnsclient.testing.certs import Authority
from stdio_support import GONE, Server, discard, fails, open_connection, over_tls

PASSPHRASE = "correct horse"
AUTHORITY = Authority()
CLIENT = AUTHORITY.issue("Apple Push Services: com.example.app")


def traditional(key_string, passphrase=None):
    """Return a key as OpenSSL wrote it before version 1: with headers where it is encrypted."""
    key = serialization.load_pem_private_key(
        six.ensure_binary(key_string), None, default_backend())
    encryption = (serialization.BestAvailableEncryption(six.ensure_binary(passphrase))
                  if passphrase else serialization.NoEncryption())
    return six.ensure_str(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption))


#: What ``openssl ecparam -genkey`` puts before the key.
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
ATTRIBUTES = """\
Bag Attributes
    friendlyName: Apple Push Services: com.example.app
    localKeyID: 3F 9A 01 C7
Key Attributes: <No Attributes>
"""
LOCKED = traditional(CLIENT.key_string, PASSPHRASE)
DES = re.sub("DEK-Info: .*", "DEK-Info: DES-EDE3-CBC,0123456789ABCDEF", LOCKED)
BLOCKS = [CLIENT.certificate_string, AUTHORITY.ca_string, PARAMETERS,
          traditional(CLIENT.key_string), LOCKED, DES, CLIENT.key_string,
          AUTHORITY.issue("x", key="rsa", passphrase=PASSPHRASE).key_string]


def escape(text):
    return text.replace("\n", "\\n")


#: What happens to texts: each turns one into another.
DAMAGES = {
    "escaped line feeds": escape,
    "escaped line ends": lambda text: text.replace("\n", "\\r\\n"),
    "escaped twice": lambda text: text.replace("\n", "\\\\n"),
    "JSON": lambda text: json.dumps(text, ensure_ascii=False),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "line ends of old Macs": lambda text: text.replace("\n", "\r"),
    "blanks at line ends": lambda text: text.replace("\n", " \t\n"),
    "blanks for line breaks": lambda text: text.replace("\n", " "),
    "nothing for line breaks": lambda text: text.replace("\n", ""),
    "empty lines": lambda text: text.replace("\n", "\n\n"),
    "quoted": lambda text: '"' + text + '"',
    "quoted lines": lambda text: "\n".join("'%s'" % line for line in text.split("\n")),
    "stripped": lambda text: text.strip(),
    "indented": lambda text: "".join("    " + line for line in text.splitlines(True)),
    "indented with tabs": lambda text: "".join("\t" + line for line in text.splitlines(True)),
    "blanks of the web": lambda text: text.replace("\n", u"\xa0\n"),
    "byte order mark": lambda text: u"\ufeff" + text,
}
#: How text becomes bytes.
ENCODINGS = {
    "UTF-8": lambda text: text.encode("utf-8"),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
}


def parts_of(blocks):
    return [six.ensure_binary(block) for block in blocks]


def test_text_that_is_as_it_should_be_stays_as_it_is():
    """Each block, to the byte, and nothing of what is around them."""
    text = ATTRIBUTES.join([""] + BLOCKS)
    found = split_pem(six.ensure_binary(text))
    assert [block for _, block in found] == parts_of(BLOCKS)
    assert [label for label, _ in found] == [
        b"CERTIFICATE", b"CERTIFICATE", b"EC PARAMETERS", b"EC PRIVATE KEY", b"EC PRIVATE KEY",
        b"EC PRIVATE KEY", b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"]
    assert [is_encrypted(block) for _, block in found] == [
        False, False, False, False, True, True, False, True]


@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6),
       st.lists(st.sampled_from(["", "\n", ATTRIBUTES, "# key -----\n"]), min_size=7, max_size=7),
       st.lists(st.sampled_from(sorted(DAMAGES)), max_size=5), st.sampled_from(sorted(ENCODINGS)))
def test_blocks_are_found_whatever_was_done_to_the_text(blocks, between, damages, encoding):
    """Any composition of damages gives the same blocks."""
    text = "".join(a + b for a, b in zip(between, blocks + [""]))
    for name in damages:
        text = DAMAGES[name](text)
    found = split_pem(ENCODINGS[encoding](six.ensure_text(text)))
    assert [block for _, block in found] == parts_of(blocks)


@given(st.binary() | st.lists(st.sampled_from(
    [b"-----BEGIN ", b"CERTIFICATE", b"-----", b"-----END ", b"\n", b"\\", b"#", b"AAAA", b"=",
     b"Proc-Type: 4,ENCRYPTED", b"\0"])).map(b"".join))
def test_anything_else_is_no_block_or_one_that_is_left_as_it_is(data):
    """No input is an error, and what is made of a block is that block again."""
    for label, block in split_pem(data):
        assert split_pem(block) == [(label, block)] or b"#" in block or b"\0" in block


def test_what_is_no_base64_is_handed_on_as_it_was():
    """Then the TLS library says what it makes of it; a key with a header of its own is whole."""
    odd = CLIENT.key_string.replace("KEY-----\n", "KEY-----\nComment: my key\n\n", 1)
    damaged = CLIENT.certificate_string.replace("\n", "\n*", 2)
    for text in (odd, damaged):
        assert split_pem(six.ensure_binary(text))[0][1].rstrip() == six.ensure_binary(text.rstrip())


def test_lines_that_a_backslash_continues_are_lines():
    """As shells and Makefiles have them."""
    for text in BLOCKS:
        found = split_pem(six.ensure_binary(text.replace("\n", "\\\n")))
        assert [block for _, block in found] == parts_of([text])


def test_block_that_is_commented_out_is_none():
    """As OpenSSL reads files of authorities."""
    commented = "".join("# " + line for line in CLIENT.certificate_string.splitlines(True))
    found = split_pem(six.ensure_binary(commented + "#\n" + AUTHORITY.ca_string))
    assert [block for _, block in found] == parts_of([AUTHORITY.ca_string])


# The doors.

KEY_ID, TEAM_ID = "ABC123DEFG", "DEF123GHIJ"


def as_string(name, others):
    """Return what loads a text that is given as it is."""
    return lambda text, path: dict({name + "_string": text}, **others)


def as_file(name, others):
    """Return what loads a text that is given in a file."""
    def arguments(text, path):
        with io.open(path, "wb") as stream:
            stream.write(text if isinstance(text, bytes) else text.encode("utf-8"))
        return dict({name + "_file": path}, **others)

    return arguments


def open_certificate(arguments):
    assert Certificate(**arguments) == Certificate(cert_string=CLIENT.pem)


def open_trust(arguments):
    """See that a certificate of the authority verifies."""
    trust = Trust(**arguments)
    trust.check()
    context = trust.new_context(None)  # The store lives as long as this does.
    client = crypto.load_certificate(
        crypto.FILETYPE_PEM, six.ensure_binary(CLIENT.certificate_string))
    crypto.X509StoreContext(context.get_cert_store(), client).verify_certificate()


def open_token(arguments):
    assert (ProviderToken(KEY_ID, TEAM_ID, **arguments)
            == ProviderToken(KEY_ID, TEAM_ID, key_string=CLIENT.key_string))


BUNDLE = ATTRIBUTES.join(["", PARAMETERS, LOCKED, CLIENT.certificate_string, AUTHORITY.ca_string])
DOORS = [(as_way(name, others), load, text) for as_way in (as_string, as_file)
         for name, others, load, text in [
             ("cert", {"passphrase": PASSPHRASE}, open_certificate, BUNDLE),
             ("key", {"cert_string": CLIENT.certificate_string, "passphrase": PASSPHRASE},
              open_certificate, ATTRIBUTES + PARAMETERS + LOCKED),
             ("ca", {}, open_trust, ATTRIBUTES + AUTHORITY.ca_string),
             ("key", {}, open_token, CLIENT.key_string)]]


@pytest.mark.parametrize("way, load, text", DOORS, ids=[
    way + door for way in ("text of ", "file of ") for door in ("cert", "key", "ca", "p8")])
def test_each_door_takes_each_damage(tmpdir, way, load, text):
    """As text, as bytes in each encoding, and in a file."""
    for name in sorted(DAMAGES):
        damaged = six.ensure_text(DAMAGES[name](text))
        for given_as in [damaged] + [encode(damaged) for encode in ENCODINGS.values()]:
            load(way(given_as, str(tmpdir.join("text.pem"))))


def test_text_that_is_not_text_is_refused_without_repeating_it():
    """Half of a surrogate pair; what was not text in the environment does no harm."""
    if six.PY3:
        open_certificate({"cert_string": u"M\udcfcller\n" + CLIENT.pem})
        with pytest.raises(CertificateError, match="half of a surrogate pair") as caught:
            Certificate(cert_string=u"\ud800" + CLIENT.pem)
        assert caught.value.__context__ is None


#: X509_CERT_AUX: trusted for the authentication of servers, or of clients.
FOR_SERVERS = b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
FOR_CLIENTS = FOR_SERVERS[:-1] + b"\x02"


def trusted(text, purpose):
    """Return a certificate as ``openssl x509 -addtrust`` writes it."""
    der = base64.b64decode("".join(text.splitlines()[1:-1])) + purpose
    lines = re.findall(".{1,64}", six.ensure_str(base64.b64encode(der)))
    return "\n".join(["-----BEGIN TRUSTED CERTIFICATE-----"] + lines
                     + ["-----END TRUSTED CERTIFICATE-----", ""])


def test_authorities_that_say_what_they_are_trusted_for_are_left_to_openssl(tmpdir):
    """Only OpenSSL understands what they say, and it reads them from files only."""
    path = tmpdir.join("trusted.pem")
    with Server(over_tls(discard), ignore=GONE) as server:
        path.write(trusted(stdio_support.AUTHORITY.ca_string, FOR_SERVERS))
        open_connection(server.address, ca_string=None, ca_file=path).close()
        path.write(trusted(stdio_support.AUTHORITY.ca_string, FOR_CLIENTS))
        assert "not trusted" in fails(
            PeerVerificationError, server.address, ca_string=None, ca_file=path)
    path.write(trusted(AUTHORITY.ca_string, b"\x30").replace("M", "A", 1))
    with pytest.raises(CertificateError, match="trusted.pem' cannot be used: one of its cert"):
        Trust(ca_file=path).check()
