"""The exceptions: what each can be caught as, and how a timeout is recognised."""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import pickle
import socket
import ssl

import pytest
import six

from apnsclient import errors
from tables import each

#: Each exception with the types that callers may catch it by.
BASES = [
    (errors.CertificateError, (errors.APNsError, ValueError)),
    (errors.Timeout, (errors.APNsError, socket.timeout)),
    (errors.ConnectionLost, (errors.APNsError, IOError)),
    (errors.ConnectError, (errors.APNsError, IOError)),
    (errors.ConnectTimeout, (errors.ConnectError, errors.Timeout, socket.timeout)),
    (errors.PeerVerificationError, (errors.ConnectError,)),
    (errors.CertificateRefused, (errors.ConnectError,)),
    (errors.ProtocolError, (errors.APNsError,)),
    (errors.RequestRejected, (errors.APNsError,)),
]


@each("error, bases", BASES)
def test_each_exception_can_be_caught_by_its_bases(error, bases):
    """Code that catches IOError, ValueError or socket.timeout keeps working."""
    for base in bases:
        with pytest.raises(base) as caught:
            raise error("what happened")
        assert str(caught.value) == "what happened"


def test_every_public_exception_is_in_the_table():
    """None is forgotten here."""
    public = [getattr(errors, name) for name in errors.__all__]
    exceptions = set(one for one in public if isinstance(one, type)) - {errors.APNsError}
    assert exceptions == set(row[0] for row in BASES)


@each("error", [row[0] for row in BASES])
def test_exceptions_can_be_pickled(error):
    """They cross the borders of processes, as tasks of a queue do."""
    copy = pickle.loads(pickle.dumps(error("what happened"), 2))
    assert type(copy) is error
    assert str(copy) == "what happened"


def test_a_protocol_error_knows_its_identifier():
    """It is None where there is none."""
    assert errors.ProtocolError("x").identifier is None
    assert errors.ProtocolError("x", 7).identifier == 7


@each("error, expected", [
    (errors.Timeout("x"), True),
    (socket.timeout("timed out"), True),
    (errors.ConnectTimeout("x"), False),
    (errors.ConnectError("x"), False),
    (errors.ConnectionLost("x"), False),
    (socket.error(errno.ETIMEDOUT, "the system gave the connection up"), False),
    (ValueError("x"), False),
])
def test_a_timeout_is_silence_and_nothing_worse(error, expected):
    """ETIMEDOUT is a dead connection, although Python 3.10 gives it the type of a timeout."""
    assert errors.is_timeout(error) is expected


def test_a_timeout_of_the_standard_librarys_tls_is_one(simulator, tmpdir):
    """A back-end over it may pass its exceptions on: Python 2.7 has a type of its own for them."""
    pem = tmpdir.join("client.pem")
    pem.write(simulator.cert_string)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS if six.PY2 else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(str(pem))
    raw = socket.create_connection(simulator.gateway_address, 60)
    with contextlib.closing(context.wrap_socket(raw)) as connection:
        connection.settimeout(0.01)
        with pytest.raises(socket.error) as silence:
            connection.recv(1)
        assert errors.is_timeout(silence.value)
    with pytest.raises(socket.error) as closed:
        connection.recv(1)
    assert not errors.is_timeout(closed.value)


def test_a_rejected_request_crosses_the_border_of_a_process_with_its_reason():
    """Status and reason are what a caller acts on."""
    copy = pickle.loads(pickle.dumps(errors.RequestRejected("refused", 400, "BadChannelId"), 2))
    assert (str(copy), copy.status, copy.reason) == ("refused", 400, "BadChannelId")
