"""Apple's names for its gateways, and what is said when nobody answers there any more.

Nothing here reaches any other machine: every host name resolves to a closed port of this one.
"""

from __future__ import absolute_import, division, print_function

import socket

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.errors import ConnectError
from net_support import CLIENT, make_tokens

pytestmark = pytest.mark.timeout(240)

HOSTS = {
    "push_sandbox": ("gateway.sandbox.push.apple.com", 2195),
    "push_production": ("gateway.push.apple.com", 2195),
    "feedback_sandbox": ("feedback.sandbox.push.apple.com", 2196),
    "feedback_production": ("feedback.push.apple.com", 2196),
}


@pytest.fixture
def asked(monkeypatch):
    """What the resolver was asked for; every name leads to a closed port of this machine."""
    questions = []
    closed = socket.socket()
    # Bound, and not listening: nobody else gets the port, and nobody answers.
    closed.bind(("127.0.0.1", 0))

    def getaddrinfo(host, port, *ignored, **also_ignored):
        questions.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", closed.getsockname())]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield questions
    closed.close()


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_retired_host_says_that_apple_retired_it_and_what_to_set(asked, name):
    """The exception names the host, the fact and the way out; its type is that of any connect."""
    client = APNs(Session().get_connection(name, cert_string=CLIENT.pem))
    with pytest.raises(ConnectError) as caught:
        if name.startswith("feedback"):
            next(client.feedback())
        else:
            client.send(Message(make_tokens(1), alert="hello"))
    text = str(caught.value)
    assert HOSTS[name][0] in text
    assert "31 March 2021" in text
    assert "address" in text
    assert "http2" in text
    assert asked == [HOSTS[name]]


def test_a_name_that_does_not_resolve_any_more_says_so_too(monkeypatch):
    """Apple may take the names away as well."""

    def getaddrinfo(*ignored, **also_ignored):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ConnectError, match="31 March 2021"):
        APNs(Session().get_connection(cert_string=CLIENT.pem)).send(
            Message(make_tokens(1), alert="hello"))


def test_another_host_says_nothing_of_apple(asked):
    """Whoever runs a gateway of their own is not told about Apple's."""
    client = APNs(Session().get_connection(("gateway.example.com", 2195), cert_string=CLIENT.pem))
    with pytest.raises(ConnectError) as caught:
        client.send(Message(make_tokens(1), alert="hello"))
    assert "Apple" not in str(caught.value)
    assert "gateway.example.com:2195" in str(caught.value)


def test_the_name_that_the_documents_misspell_is_accepted(asked):
    """``push_sanbox`` leads where ``push_sandbox`` does."""
    handle = Session().get_connection("push_sanbox", cert_string=CLIENT.pem)
    assert repr(handle) == repr(Session().get_connection(cert_string=CLIENT.pem))
    with pytest.raises(ConnectError):
        APNs(handle).send(Message(make_tokens(1), alert="hello"))
    assert asked == [HOSTS["push_sandbox"]]


@pytest.mark.parametrize("address", ["push", "gateway.push.apple.com", "", None, ("host",),
                                     ("host", "2195"), 2195, ("host", 1, 2)])
def test_an_unknown_name_lists_the_known_ones(asked, address):
    """Anything that is neither a name nor host and port is an error that says what would do."""
    session = Session()
    for method in (session.get_connection, session.new_connection):
        with pytest.raises(ValueError) as caught:
            method(address, cert_string=CLIENT.pem)
        for name in HOSTS:
            assert name in str(caught.value)
    assert asked == []


def test_a_client_says_what_it_sends_over():
    """Subclasses go by their own names."""
    class Mine(APNs):
        pass

    handle = Session().get_connection(("gateway.test", 2195), cert_string=CLIENT.pem)
    assert repr(Mine(handle)) == "<Mine over %r>" % handle
    assert repr(APNs(handle)).startswith("<APNs over <Connection to gateway.test:2195 over binary")
