"""The topics that a certificate is for, and the name of its application for feedback."""

from __future__ import absolute_import, division, print_function

import datetime
import hashlib
import time

import pytest
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.backends import _topics, dummy
from apnsclient.backends.stdio import Certificate
from apnsclient.provider_token import ProviderToken
from apnsclient.testing.certs import Authority

AUTHORITY = Authority()
KEY = AUTHORITY.issue("key").key_string


def der(tag, content):
    """Return one element of a DER encoding."""
    size = [len(content)]
    if len(content) > 127:
        size = [0x82, len(content) >> 8, len(content) & 0xFF]
    return bytes(bytearray([tag]) + bytearray(size) + bytearray(content))


def text(value, tag=0x0C):
    return der(tag, value.encode("utf-8"))


#: As in certificates of Apple's: each topic is followed by its kind.
APPLES = der(0x30, (text(u"com.example.app") + der(0x30, text(u"app"))
                    + text(u"com.example.app.voip") + der(0x30, text(u"voip"))))


def make(identifiers=(), extension=None, name=u"Apple Push Services"):
    """Return a certificate with these user identifiers and this value of Apple's extension."""
    key = ec.generate_private_key(ec.SECP256R1(), default_backend())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]
                     + [x509.NameAttribute(NameOID.USER_ID, one) for one in identifiers])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(
        datetime.datetime(2000, 1, 1)).not_valid_after(datetime.datetime(2049, 1, 1))
    if extension is not None:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(_topics._EXTENSION, extension), critical=False)
    signed = builder.sign(key, hashes.SHA256(), default_backend())
    return Certificate(cert_string=(
        signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())))


def test_subject_names_the_topic():
    """It is a native string, the default of messages, and the name for feedback."""
    certificate = Certificate(cert_string=AUTHORITY.issue("c", topic="com.example.app").pem)
    assert certificate.topics == ("com.example.app",)
    assert certificate.default_topic == certificate.source_name == "com.example.app"
    assert type(certificate.default_topic) is type(certificate.topics[0]) is str


def test_dates_and_environments_are_attributes():
    """In UTC, as the certificate has them; days that are not over do not count."""
    now = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))
    hours = datetime.timedelta(hours=1)
    for end, days in ((now + 49 * hours, 2), (now + 23 * hours, 0), (now - hours, -1)):
        credential = AUTHORITY.issue("c", not_after=end, environments=["production", "sandbox"])
        certificate = Certificate(cert_string=credential.pem)
        assert (certificate.expires, certificate.days_left) == (end, days)
        assert certificate.valid_from < certificate.expires
        assert certificate.environments == ("production", "sandbox")
    one = Certificate(cert_string=AUTHORITY.issue("c", environments=["sandbox"]).pem)
    assert one.environments == ("sandbox",)
    assert Certificate(cert_string=AUTHORITY.issue("c").pem).environments == ()


def test_other_back_ends_need_not_know_dates_and_environments():
    """The key of provider tokens, too, has no end."""
    for certificate in (dummy.Backend(push=[None]).get_certificate({"cert_string": "x"}),
                        ProviderToken("ABC123DEFG", "DEF123GHIJ", KEY)):
        assert (certificate.environments, certificate.valid_from, certificate.expires,
                certificate.days_left) == ((), None, None, None)


def test_extension_names_further_topics():
    """The subject's comes first and stays the default; each is there once."""
    certificate = make([u"com.example.app", u"com.example.app"], APPLES)
    assert certificate.topics == ("com.example.app", "com.example.app.voip")
    assert certificate.default_topic == certificate.source_name == "com.example.app"


def test_without_one_topic_in_the_subject_there_is_no_default():
    """The extension alone does not tell which of its topics is meant, nor do two identifiers."""
    for certificate, topics in [
            (make(), ()),
            (make([], der(0x30, text(u"com.example"))), ("com.example",)),
            (make([u"com.example.b", u"com.example.a"]), ("com.example.b", "com.example.a"))]:
        assert certificate.topics == topics
        assert certificate.default_topic is None
        assert len(certificate.source_name) == 64
        int(certificate.source_name, 16)


@pytest.mark.parametrize("identifiers, topic", [
    ([u"com.example.app"], "com.example.app.voip"),
    ([u"com.example.app.voip"], "com.example.app.voip"),
    ([u"com.example.app", u"com.example.b"], None), ([], None)])
def test_default_of_a_certificate_for_voip_alone(identifiers, topic):
    """Its common name says that it is one, and its subject whose."""
    certificate = make(identifiers, APPLES, u"VoIP Services: com.example.app")
    assert certificate.default_topic == topic
    assert type(certificate.default_topic) is type(topic)


def test_source_name_without_a_topic_is_that_of_the_content():
    """Two loads have the same, two certificates have not, and no kind of comparison matters."""
    class Whole(Certificate):
        equality_check = None

    credential, other = AUTHORITY.issue("a"), AUTHORITY.issue("a")
    names = [kind(cert_string=one.pem).source_name
             for kind in (Certificate, Whole) for one in (credential, credential, other)]
    assert names[0] == names[1] != names[2]
    assert names[3] == names[4] != names[5]


@pytest.mark.parametrize("tag", [0x0C, 0x13, 0x16])
def test_all_kinds_of_strings_are_read(tag):
    """UTF8String, PrintableString and IA5String."""
    extension = der(0x30, text(u"com.example", tag))
    assert make([], extension).topics == ("com.example",)


def test_long_extension_is_read():
    """Lengths above 127 take more than one byte."""
    names = [u"com.example.application-with-a-long-name.%d" % number for number in range(20)]
    extension = der(0x30, b"".join(text(name) for name in names))
    assert make([], extension).topics == tuple(str(name) for name in names)


@pytest.mark.parametrize("extension", [
    b"", b"\x30", b"\x30\x05\x0c", APPLES[:-1], APPLES + b"\x00", APPLES + APPLES, b"\x30\x80",
    b"\x30\x89" + b"\x00" * 9, b"\x30\x82\x01", text(u"com.example"),
    der(0x04, text(u"com.example")),
    der(0x30, der(0x0C, b"\xff\xfe")), der(0x30, b"\x0c\x05ab"),
])
def test_extension_that_cannot_be_read_names_nothing(extension):
    """The certificate loads all the same."""
    certificate = make([u"com.example.app"], extension)
    assert certificate.topics == ("com.example.app",)


class Garbled(object):
    """A certificate with a given extension, or whose parts raise."""

    def __init__(self, value):
        self._value = value

    @property
    def extensions(self):
        return self

    def get_extension_for_oid(self, oid):
        return type(str("Extension"), (), {
            "value": x509.UnrecognizedExtension(oid, self._value)})

    @property
    def subject(self):
        raise ValueError("the subject is garbage")


@given(st.binary(max_size=60))
def test_no_extension_raises(value):
    """Whatever it holds."""
    for data in (value, b"\x30" + value, der(0x30, value)):
        assert all(type(name) is str for name in _topics.extension_topics(Garbled(data)))


def test_names_that_cannot_be_sent_are_no_topics():
    """A topic travels as the value of a header."""
    names = [u"com.example", u"", u"com.\u00e4.example", u"com.\nexample", u"com. example"]
    extension = der(0x30, b"".join(text(name) for name in names))
    assert make([], extension).topics == ("com.example",)
    assert make([u"com.\u00e4.example"]).default_topic is None


def test_subject_that_cannot_be_read_names_nothing():
    """Nor does it raise."""
    assert _topics.subject_topics(Garbled(b"")) == []


def test_certificates_of_other_back_ends_name_no_topic():
    """By default; the source is a digest of what they are compared by."""
    certificate = dummy.Certificate(cert_string="text")
    assert certificate.topics == () and certificate.default_topic is None
    assert certificate.source_name == hashlib.sha256(hashlib.sha1(b"text").digest()).hexdigest()
    assert type(certificate.source_name) is str


def test_certificates_of_other_back_ends_may_name_topics():
    """One is the default; of several none is."""
    class Named(dummy.Certificate):
        topics = ("com.example",)

    class Several(dummy.Certificate):
        topics = ("com.example", "com.example.voip")

    assert Named().default_topic == Named().source_name == "com.example"
    assert Several().default_topic is None and len(Several().source_name) == 64
