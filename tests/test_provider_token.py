"""The provider token: what it says, when it changes, and that its key stays where it is."""

from __future__ import absolute_import, division, print_function

import datetime
import itertools
import pickle
import threading
import traceback

import hypothesis
import jwt
import pytest
import six
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import strategies as st

from apnsclient import provider_token
from apnsclient.backends.dummy import Certificate as DummyCertificate
from apnsclient.errors import CertificateError
from apnsclient.provider_token import Bearer, ProviderToken
from effort import examples
from threads_support import held_elsewhere

pytestmark = pytest.mark.timeout(240)

KEY_ID, TEAM_ID = "ABC123DEFG", "DEF123GHIJ"

#: Start of a half hour, some time in 2025.
EPOCH = 1750000000 // 1800 * 1800

#: Apple's limits for a token, in seconds.
LIFETIME, SHORTEST_USE = 3600, 1200


def pem_of(key, encryption=None, kind=serialization.PrivateFormat.PKCS8):
    encryption = encryption or serialization.NoEncryption()
    return six.ensure_str(key.private_bytes(serialization.Encoding.PEM, kind, encryption))


PRIVATE = ec.generate_private_key(ec.SECP256R1(), default_backend())
PEM = pem_of(PRIVATE)
OTHER_PEM = pem_of(ec.generate_private_key(ec.SECP256R1(), default_backend()))
WRONG_CURVE = pem_of(ec.generate_private_key(ec.SECP384R1(), default_backend()))
RSA = pem_of(rsa.generate_private_key(65537, 2048, default_backend()))
LOCKED = pem_of(PRIVATE, serialization.BestAvailableEncryption(b"secret passphrase"))
PUBLIC = six.ensure_str(PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


class Clock(object):
    """A clock that stands still until it is set."""

    def __init__(self, now=float(EPOCH + 1000)):
        self.now = now

    def __call__(self):
        return self.now


def new_token(clock=None, **changes):
    arguments = {"key_id": KEY_ID, "team_id": TEAM_ID, "key_string": PEM}
    if clock is not None:
        arguments["clock"] = clock
    return ProviderToken(**dict(arguments, **changes))


def decode(bearer):
    """Check the signature with an independent library; return header and claims."""
    assert isinstance(bearer, bytes) and bearer.startswith(b"bearer ")
    text = bearer[len(b"bearer "):].decode("ascii")
    claims = jwt.decode(text, PRIVATE.public_key(), algorithms=["ES256"],
                        options={"verify_iat": False})
    return jwt.get_unverified_header(text), claims


def issued(bearer):
    return decode(bearer)[1]["iat"]


# What is in it.

def test_another_library_accepts_the_signature_and_finds_what_apple_wants():
    """Algorithm and key in the header, team and time of issue in the claims, and nothing else."""
    header, claims = decode(new_token(Clock(EPOCH + 1000.5)).bearer())
    assert header == {"alg": "ES256", "kid": KEY_ID}
    assert claims == {"iss": TEAM_ID, "iat": EPOCH}
    assert type(claims["iat"]) is int


@hypothesis.given(st.integers(1, 2 ** 256 - 1), st.integers(1, 2 ** 256 - 1))
def test_numbers_of_a_signature_are_padded(first, second):
    """Both have 32 bytes, however small they are: RFC 7518, 3.4."""
    for number in (first, second, 1, 2 ** 256 - 1):
        digits = provider_token._bytes_of(number)
        assert type(digits) is bytes and len(digits) == 32
        assert int(bytearray(digits).hex() if hasattr(bytearray, "hex")
                   else digits.encode("hex"), 16) == number


def test_many_signatures_verify():
    """One in 128 has a number that is shorter than the others."""
    clock = Clock()
    token = new_token(clock)
    for number in range(300):
        clock.now = EPOCH + 1800.0 * number
        decode(token.bearer())


@pytest.mark.parametrize("convert", [six.ensure_str, six.ensure_binary, six.ensure_text])
def test_arguments_may_be_text_or_bytes(convert):
    """All of them; what comes out is the same."""
    token = ProviderToken(convert(KEY_ID), convert(TEAM_ID), key_string=convert(PEM))
    assert token == new_token()
    assert (token.key_id, token.team_id) == (KEY_ID, TEAM_ID)
    assert type(token.key_id) is type(token.team_id) is str
    assert decode(token.bearer())[0]["kid"] == KEY_ID


@pytest.mark.parametrize("text", [
    PEM.replace("\n", "\\n"), PEM.replace("\n", "\r\n"), "\n  " + PEM, PEM.rstrip(),
    pem_of(PRIVATE, kind=serialization.PrivateFormat.TraditionalOpenSSL),
], ids=["escaped", "crlf", "indented", "cut", "traditional"])
def test_key_may_have_come_through_other_hands(text):
    """Environment variables and editors do things to line breaks."""
    assert new_token(key_string=text) == new_token()


def test_key_may_lie_in_a_file(tmpdir):
    """Named by a string or by a path."""
    path = tmpdir.join("AuthKey.p8")
    path.write(PEM)
    for name in (str(path), path):
        assert ProviderToken(KEY_ID, TEAM_ID, key_file=name) == new_token()


# What is refused, and that the key does not get out.

GARBAGE = PEM.replace(PEM.splitlines()[1], "M" + "A" * 63)


@pytest.mark.parametrize("changes, text", [
    ({"key_string": None}, "no key given: set key_string"),
    ({"key_string": ""}, "no key given: set key_string"),
    ({"key_string": "", "key_file": b""}, "no key given: set key_string"),
    ({"key_file": "/no/such/key.p8"}, "key.p8' cannot be read: No such file"),
    ({"key_string": "garbage"}, "key_string holds no private key in PEM format"),
    ({"key_string": PUBLIC}, "key_string holds no private key in PEM format"),
    ({"key_string": GARBAGE}, "the private key in key_string is garbage"),
    ({"key_string": LOCKED}, "the private key in key_string is encrypted"),
    ({"key_string": RSA}, "is not for ES256, which needs EC"),
    ({"key_string": WRONG_CURVE}, "is not for ES256, which needs EC"),
    ({"key_string": 5}, "key_string is of type int"),
    ({"key_string": None, "key_file": PEM}, "key_file holds PEM text"),
    ({"key_string": None, "key_file": PEM.splitlines()[1] + "\n"}, "key_file cannot be read"),
    ({"key_string": None, "key_file": PEM.splitlines()[1]}, "key_file cannot be read: No such"),
    ({"key_string": None, "key_file": PEM.splitlines()[1] * 9}, "key_file cannot be read"),
    ({"key_string": None, "key_file": PEM.splitlines()[1].encode("ascii")}, "key_file cannot be"),
    ({"key_string": None, "key_file": "/no/such/key.p8"}, "key.p8' cannot be read: No such file"),
    ({"key_string": None, "key_file": object()}, "key_file cannot be read: not the name of a"),
    ({"key_id": None}, "key_id is missing"),
    ({"team_id": None}, "team_id is missing"),
    ({"key_id": ""}, "key_id is another text, of 0 characters"),
    ({"key_id": u"ABC\xe9"}, "key_id is another text, of 4 characters"),
    ({"key_id": KEY_ID + "\n"}, "key_id is another text, of 11 characters"),
    ({"team_id": PEM}, "team_id is another text"),
    ({"team_id": "".join(PEM.splitlines()[1:-1])}, "team_id is another text"),
    ({"team_id": 123}, "team_id is of type int"),
])
def test_what_cannot_be_used_is_refused_without_repeating_it(changes, text):
    """One type of exception; its text says what is wrong with which argument."""
    with pytest.raises(CertificateError) as caught:
        new_token(**changes)
    assert text in str(caught.value)
    shown = "".join(traceback.format_exception_only(type(caught.value), caught.value))
    shown += repr(caught.value) + repr(getattr(caught.value, "__cause__", None))
    shown += repr(getattr(caught.value, "__context__", None))
    for pem in (PEM, GARBAGE, LOCKED, RSA, WRONG_CURVE):
        assert not any(line in shown for line in pem.splitlines()[1:-1])


def test_representation_has_no_key():
    """It names key and team by their identifiers."""
    token = new_token()
    shown = repr(token) + str(token) + repr(token.new_bearer()) + repr([token])
    assert KEY_ID in repr(token) and TEAM_ID in repr(token)
    assert token.bearer().decode("ascii")[7:30] not in shown
    assert not any(line in shown for line in PEM.splitlines())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_key_is_not_pickled(protocol):
    """It would lie in a queue, in plain text."""
    with pytest.raises(TypeError, match="private key and cannot be pickled"):
        pickle.dumps(new_token(), protocol)


# A stand-in for a certificate.

def test_equality_is_that_of_identifiers_and_key(tmpdir):
    """Two loads of the same key share one pool; another key, or another name, does not."""
    tmpdir.join("key.p8").write(PEM.replace("\n", "\r\n"))
    same = ProviderToken(KEY_ID, TEAM_ID, key_file=str(tmpdir.join("key.p8")))
    assert same == new_token() and hash(same) == hash(new_token())
    assert {new_token(): "pool"}[same] == "pool"
    for other in (new_token(key_id="X"), new_token(team_id="X"), new_token(key_string=OTHER_PEM),
                  new_token(key_id=TEAM_ID, team_id=KEY_ID), DummyCertificate(cert_string=PEM),
                  PEM, None):
        assert other != same and not other == same
        assert same != other and not same == other


def test_what_a_pool_and_a_feedback_store_ask_a_certificate():
    """There is nothing to present in a handshake; the team names the source of feedback."""
    token = new_token()
    assert token.get_context() is None
    assert (token.topics, token.default_topic) == ((), None)
    assert token.source_name == "team " + TEAM_ID


# Time.

def at(seconds):
    return issued(new_token(Clock(EPOCH + seconds)).bearer()) - EPOCH


def test_time_of_issue_is_the_half_hour_that_began_five_minutes_ago():
    """Rounded down, so that everybody has the same; and not in the future of a slower clock."""
    assert [at(seconds) for seconds in (299.9, 300, 301, 2099.9, 2100, 3900)] == [
        -1800, 0, 0, 0, 1800, 3600]


def test_time_of_issue_and_end_are_attributes():
    """In UTC; an hour lies between them."""
    clock = Clock()
    token = new_token(clock)
    issued_at = decode(token.bearer())[1]["iat"]
    assert token.token_issued == datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=issued_at)
    assert token.token_expires - token.token_issued == datetime.timedelta(hours=1)
    token.renew(token.bearer())
    assert token.token_issued > datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=issued_at)


@hypothesis.given(st.floats(0, 4e9))
def test_current_token_is_5_to_35_minutes_old(now):
    """At any time, also before 1970 has got anywhere."""
    age = now - new_token(Clock(now))._issue_time(now)
    assert 300 <= age <= 2100


def test_token_is_signed_once():
    """Each call within the half hour returns the very same object, also after the clock jumped."""
    clock = Clock()
    token = new_token(clock)
    first = token.bearer()
    clock.now += 1800
    second = token.bearer()
    clock.now -= 1799
    assert token.bearer() is first
    clock.now += 1800
    assert token.bearer() is second


def test_memory_does_not_grow_with_time():
    """Tokens of the past are forgotten, in whatever direction the clock goes."""
    clock = Clock()
    token = new_token(clock)
    for step in [1800] * 20 + [-1800] * 20:
        clock.now += step
        assert token.bearer() is token.bearer()
    assert len(token._tokens) <= 5


def test_expired_token_is_replaced_by_one_of_now():
    """What Apple calls expired comes from a slow clock, so that any rounding would do harm."""
    clock = Clock(EPOCH + 1000.7)
    token = new_token(clock)
    refused = token.bearer()
    token.renew(refused)
    assert issued(token.bearer()) == EPOCH + 1000
    for seconds in (1001, 2099, 2101, 3899):
        clock.now = EPOCH + seconds
        assert issued(token.bearer()) == (EPOCH + 1000 if seconds < 2100 else EPOCH + 1800)


def test_renewed_token_is_renewed_once_for_all_who_report_the_old_one():
    """Also for those who come much later."""
    clock = Clock(EPOCH + 1000)
    token = new_token(clock)
    refused = token.bearer()
    for later in (0, 0, 1, 50):
        clock.now = EPOCH + 1000 + later
        token.renew(refused)
        assert issued(token.bearer()) == EPOCH + 1000


class Interrupted(ProviderToken):
    """Calls a function in the middle of things."""

    interruption = None

    def _bearer_of(self, issued):
        token = super(Interrupted, self)._bearer_of(issued)
        function, self.interruption = self.interruption, None
        if function is not None:
            function()
        return token


def test_threads_that_report_the_same_token_at_once_renew_it_once():
    """The second one comes when the first has found that there is no other token yet."""
    ticks = itertools.count(EPOCH + 1000)
    token = Interrupted(KEY_ID, TEAM_ID, key_string=PEM, clock=lambda: next(ticks))
    refused, seen = token.bearer(), []

    def report():
        token.renew(refused)
        seen.append(token.bearer())

    second = threading.Thread(target=report)

    def interrupt():
        second.start()
        second.join(0.3)  # One that waits for the first goes on afterwards.

    token.interruption = interrupt
    report()
    second.join()
    assert len(seen) == 2 and len(set(seen)) == 1 and refused not in seen


@pytest.mark.parametrize("seconds", [0, 0.5, 300, 1000])
def test_next_token_always_differs_from_the_refused_one(seconds):
    """Even if it was made in this very second."""
    token = new_token(Clock(EPOCH + seconds))
    seen = [token.bearer()]
    for _ in range(4):
        token.renew(seen[-1])
        assert token.bearer() not in seen
        seen.append(token.bearer())


def test_renewal_does_not_outlive_a_clock_that_is_set_back():
    """A time of issue in the future is of no use to anybody."""
    clock = Clock(EPOCH + 100000)
    token = new_token(clock)
    token.renew(token.bearer())
    clock.now = EPOCH + 1000
    assert issued(token.bearer()) == EPOCH


# One connection.

def test_connection_keeps_its_token_longer_than_apple_demands():
    """However the clock jumps meanwhile."""
    wall, steady = Clock(EPOCH + 2099), Clock(50.0)
    bearer = Bearer(new_token(wall), steady)
    first = bearer.current()
    for seconds, jump in ((1, 2), (600, 100000), (900, -200000), (SHORTEST_USE, 3600)):
        steady.now = 50 + seconds
        wall.now = EPOCH + 2099 + jump
        assert bearer.current() is first
    steady.now = 50 + 1260
    assert issued(bearer.current()) == EPOCH + 1800 * 2


def test_connection_changes_its_token_when_there_is_another_one():
    """And not before, though it has had it long enough."""
    wall, steady = Clock(EPOCH + 400), Clock(0.0)
    bearer = Bearer(new_token(wall), steady)
    assert issued(bearer.current()) == EPOCH
    for seconds, expected in ((1699, 0), (1701, 1800), (1701 + 1798, 1800), (1701 + 1800, 3600)):
        steady.now, wall.now = float(seconds), float(EPOCH + 400 + seconds)
        assert issued(bearer.current()) == EPOCH + expected


def test_clock_that_stands_still_does_not_keep_a_token_for_ever():
    """After 56 minutes at most there is another one."""
    wall, steady = Clock(EPOCH + 400), Clock(0.0)
    bearer = Bearer(new_token(wall), steady)
    first = bearer.current()
    steady.now = 3360 - 400 - 1.0
    assert bearer.current() is first
    steady.now += 2
    assert issued(bearer.current()) == EPOCH + 400


def test_renewed_token_reaches_new_connections_only():
    """The one whose token was refused would change it too early; it is replaced."""
    token = new_token(Clock())
    old = token.new_bearer()
    refused = old.current()
    token.renew(refused)
    assert old.current() == refused
    assert token.new_bearer().current() == token.bearer() != refused


@examples(60)
@hypothesis.given(
    st.integers(0, 1799), st.lists(st.integers(1, 1500), min_size=1, max_size=40),
    st.integers(-240, 299))
def test_tokens_in_use_are_valid_and_change_seldom(start, steps, error):
    """With requests at any times, and a clock that is a few minutes wrong."""
    now = float(EPOCH + start)
    wall, steady = Clock(now + error), Clock(now)
    bearer = Bearer(new_token(wall), steady)
    used = []
    for step in steps:
        token = bearer.current()
        assert 0 <= now - issued(token) <= LIFETIME
        if not used or used[-1][0] != token:
            assert not used or now - used[-1][1] > SHORTEST_USE
            used.append((token, now))
        now += step
        wall.now, steady.now = now + error, now


# Processes.

def test_forked_child_has_the_token_of_its_parent(in_forked_child):
    """Although another thread of the parent's was renewing, and held the lock."""
    token = new_token(Clock(EPOCH + 1000))
    current = token.bearer()

    def child():
        assert token.bearer() == current
        token.renew(current)
        assert token.bearer() != current
        assert token.new_bearer().current() == token.bearer()

    with held_elsewhere(token._lock()):
        in_forked_child(child)
    assert token.bearer() == current
