"""What is given in place of PEM text is named, and so is the command that converts it."""

from __future__ import absolute_import, division, print_function

import base64
import re

import pytest
import six
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from apnsclient import ProviderToken
from apnsclient.backends._tls import Trust
from apnsclient.backends.stdio import Certificate
from apnsclient.cli import _explain
from apnsclient.errors import CertificateError
from apnsclient.testing.certs import Authority
from tables import each

PASSPHRASE = "correct horse"
CLIENT = Authority().issue("Apple Push Services: com.example.app")
BACKEND = default_backend()
CERTIFICATE = x509.load_pem_x509_certificate(
    six.ensure_binary(CLIENT.certificate_string), BACKEND)
KEY = serialization.load_pem_private_key(six.ensure_binary(CLIENT.key_string), None, BACKEND)
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
OPEN = serialization.NoEncryption()
LOCKED = serialization.BestAvailableEncryption(six.ensure_binary(PASSPHRASE))
REQUEST = x509.CertificateSigningRequestBuilder().subject_name(CERTIFICATE.subject).sign(
    KEY, hashes.SHA256(), BACKEND)


def der(tag, *parts):
    """Return a short value of ASN.1."""
    content = b"".join(parts)
    assert len(content) < 128
    return six.int2byte(tag) + six.int2byte(len(content)) + content


def pem(label, content):
    lines = re.findall(".{1,64}", six.ensure_str(base64.b64encode(content)))
    return "\n".join(["-----BEGIN %s-----" % label] + lines + ["-----END %s-----\n" % label])


#: pkcs7-signedData, and what is never looked at.
PKCS7 = der(0x30, der(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), der(0xa0, der(0x30)))

#: What it is, and what the message says.
OTHERS = [
    (CERTIFICATE.public_bytes(DER),
     "a certificate in DER format, as Apple's aps.cer is; convert it: openssl x509 -inform der"),
    (pkcs12.serialize_key_and_certificates(b"x", KEY, CERTIFICATE, None, LOCKED),
     "a PKCS #12 archive, as push.p12 of a keychain is; convert it: openssl pkcs12 -in push.p12"),
    (b"\x30\x80\x02\x01\x03\x30\x80", "a PKCS #12 archive"),
    (PKCS7, "certificates in PKCS #7 format; convert them: openssl pkcs7"),
    (pem("PKCS7", PKCS7), "certificates in PKCS #7 format; convert them: openssl pkcs7"),
    (pem("TRUSTED CERTIFICATE", CERTIFICATE.public_bytes(DER)),
     "a TRUSTED CERTIFICATE; convert it: openssl x509 -in trusted.pem"),
    (REQUEST.public_bytes(DER), "a request for one; take the certificate"),
    (REQUEST.public_bytes(PEM), "a request for one; take the certificate"),
    (KEY.private_bytes(DER, PKCS8, OPEN), "a private key in DER format; convert it: openssl pkey"),
    (KEY.private_bytes(DER, TRADITIONAL, OPEN), "a private key in DER format; convert it"),
    (KEY.private_bytes(DER, PKCS8, LOCKED),
     "an encrypted private key in DER format; convert it: openssl pkcs8 -inform der"),
    (KEY.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, OPEN),
     "a key in OpenSSH's format; convert a copy of it: ssh-keygen -p -m PEM"),
    (KEY.public_key().public_bytes(DER, PUBLIC), "a public key; take the private key"),
    (KEY.public_key().public_bytes(PEM, PUBLIC), "a public key; take the private key"),
    (base64.b64encode(six.ensure_binary(CLIENT.pem)),
     "PEM text that is Base64 once more; decode it: openssl base64 -d"),
    ("\n".join(CLIENT.key_string.splitlines()[1:-1]), "Base64 without the lines -----BEGIN"),
    (CLIENT.key_string[:100], "cut off: the line -----END PRIVATE KEY----- is missing"),
    ("push.pem", "the name of a file; pass its content, or the name as"),
    ("/etc/apns/push", "the name of a file; pass its content, or the name as"),
    (" \n", ": it is empty"),
]


DOORS = {
    "cert_string": lambda content: Certificate(cert_string=content),
    "key_string": lambda content: Certificate(
        cert_string=CLIENT.certificate_string, key_string=content),
    "ca_string": lambda content: Trust(ca_string=content).check(),
    "key_string of p8": lambda content: ProviderToken(
        "ABC123DEFG", "DEF123GHIJ", key_string=content),
}
FILE_DOORS = {
    "cert_file": lambda path: Certificate(cert_file=path),
    "key_file": lambda path: Certificate(cert_string=CLIENT.certificate_string, key_file=path),
    "ca_file": lambda path: Trust(ca_file=path).check(),
    "key_file of p8": lambda path: ProviderToken("ABC123DEFG", "DEF123GHIJ", key_file=path),
}
SECRETS = [line for line in CLIENT.key_string.splitlines() if "-----" not in line]


def refusal(load, argument):
    """Return what a door says; nothing of the key is in it, or behind it."""
    with pytest.raises(CertificateError) as caught:
        load(argument)
    assert caught.value.__class__ is CertificateError
    shown = repr(caught.value) + repr(getattr(caught.value, "__context__", None))
    assert not any(line[:40] in shown for line in SECRETS)
    return str(caught.value)


@each("door", sorted(DOORS))
@each("content, text", OTHERS)
def test_what_is_given_as_text_is_named(door, content, text):
    """At each door, with the command that converts it."""
    said = refusal(DOORS[door], content)
    assert re.match(r"%s (cannot be used: it )?holds no (private key|certificate) in PEM format"
                    % door.split()[0], said), said
    assert text in said
    if text.endswith("the name as"):
        assert text + " " + door.split()[0].replace("string", "file") in said


def test_what_is_in_a_file_is_named(tmpdir):
    """The same for files, but for OpenSSL's own format, which is good for authorities."""
    path = tmpdir.join("it.pem")
    for door, load in sorted(FILE_DOORS.items()):
        for content, text in OTHERS:
            if text.endswith("the name as") or "TRUSTED" in text and door == "ca_file":
                continue
            path.write_binary(six.ensure_binary(content))
            said = refusal(load, str(path))
            assert text in said and "it.pem" in said


def test_the_command_says_it_in_its_own_words():
    """No argument of the library is left in what is wrong with a file."""
    for load in DOORS.values():
        for content, _ in OTHERS:
            with pytest.raises(CertificateError) as caught:
                load(content)
            said = _explain.explain(caught.value)
            assert not re.search("(?:cert|key|ca)_(?:string|file)", said)


# Keys that are encrypted in ways that are no more, or were never usual.

#: pbeWithSHA1AndRC2-CBC (1.2.840.113549.1.5.11) with a salt and a count, and a key of noise.
RC2 = pem("ENCRYPTED PRIVATE KEY", der(0x30, der(
    0x30, der(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0b"),
    der(0x30, der(4, b"saltsalt"), der(2, b"\x08\x00"))), der(4, b"noise!!!" * 8)))
#: The same with DES-EDE3-CBC (1.2.840.113549.1.12.1.3), which every OpenSSL has.
DES3 = pem("ENCRYPTED PRIVATE KEY", der(0x30, der(
    0x30, der(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03"),
    der(0x30, der(4, b"saltsalt"), der(2, b"\x08\x00"))), der(4, b"noise!!!" * 8)))
HEADERS = six.ensure_str(KEY.private_bytes(PEM, TRADITIONAL, LOCKED))
OLD = "is encrypted with a cipher that is not supported here"


def with_cipher(name, iv="0123456789ABCDEF"):
    return re.sub("DEK-Info: .*", "DEK-Info: %s,%s" % (name, iv), HEADERS)


@each("key, text", [
    (RC2, OLD), (with_cipher("DES-CBC"), OLD + " (DES-CBC)"),
    (with_cipher("RC2-40-CBC"), OLD + " (RC2-40-CBC)"),
    (with_cipher("SEED-CBC", "0123456789ABCDEF" * 2), OLD + " (SEED-CBC)"),
    (with_cipher("NONSENSE-CBC"), OLD + " (NONSENSE-CBC)")])
def test_key_under_a_cipher_of_old_may_have_to_be_encrypted_anew(key, text):
    """Some libraries know the cipher and call it a wrong passphrase, and so do some that do not."""
    said = refusal(lambda key: Certificate(
        cert_string=CLIENT.certificate_string, key_string=key, passphrase="secret"), key)
    assert said.startswith("the private key in key_string " + text)
    assert ". Encrypt it with another one: openssl pkey -in push.pem -aes256 -out new.pem" in said


@each("key", [HEADERS, DES3, with_cipher("DES-EDE3-CBC"),
              six.ensure_str(KEY.private_bytes(PEM, PKCS8, LOCKED))])
def test_wrong_passphrase_of_a_usual_cipher_is_called_so(key):
    """There is nothing to convert then."""
    said = refusal(lambda key: Certificate(
        cert_string=CLIENT.certificate_string, key_string=key, passphrase="secret"), key)
    assert said == ("the private key in key_string does not open with this passphrase: it is the "
                    "wrong passphrase, or the key is damaged")
