"""Programs with the same key make the same provider token: Apple sees one of all of them."""

from __future__ import absolute_import, division, print_function

import subprocess
import sys

import jwt
import pytest
import six
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apnsclient.provider_token import ProviderToken
from net_support import script_environment

KEY_ID, TEAM_ID = "ABC123DEFG", "DEF123GHIJ"

#: Start of a half hour, some time in 2025.
EPOCH = 1750000000 // 1800 * 1800

PRIVATE = ec.generate_private_key(ec.SECP256R1(), default_backend())
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption()).decode("ascii")

PROGRAM = """
import sys
from apnsclient.provider_token import ProviderToken
token = ProviderToken(%r, %r, key_file=sys.argv[1], clock=lambda: float(sys.argv[2]))
sys.stdout.write(token.bearer().decode("ascii"))
""" % (KEY_ID, TEAM_ID)


def can_sign_deterministically():
    """Return True if the library can; it is the library that is asked, not what is tested."""
    try:
        PRIVATE.sign(b"x", ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    except (TypeError, UnsupportedAlgorithm):
        return False
    return True


@pytest.fixture(scope="module")
def tokens(tmpdir_factory):
    """What three processes make, in the same half hour, with dicts in different orders."""
    path = tmpdir_factory.mktemp("key").join("key.p8")
    path.write(PEM)
    command = [sys.executable] + ["-R"] * six.PY2 + ["-c", PROGRAM, str(path)]
    made = []
    for number in range(3):
        child = subprocess.Popen(
            command + [str(EPOCH + 400 + 700 * number)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=dict(script_environment(), PYTHONHASHSEED=str(number)))
        output, errors = child.communicate()
        assert child.returncode == 0, errors
        made.append(output)
    return made


def test_processes_agree_about_all_but_the_signature(tokens):
    """Whenever they start in the half hour, and in whatever order their dicts are."""
    assert len(set(token.rpartition(b".")[0] for token in tokens)) == 1
    claims = [jwt.decode(token.split()[1].decode("ascii"), PRIVATE.public_key(),
                         algorithms=["ES256"], options={"verify_iat": False})
              for token in tokens]
    assert [each["iat"] for each in claims] == [EPOCH] * 3


@pytest.mark.skipif(not can_sign_deterministically(), reason="no deterministic signatures here")
def test_processes_make_the_same_token(tokens):
    """To the byte, so that Apple sees one token of all of them, and this process makes it too."""
    own = ProviderToken(KEY_ID, TEAM_ID, key_string=PEM, clock=lambda: EPOCH + 500.0)
    assert set(tokens) == {own.bearer()}
