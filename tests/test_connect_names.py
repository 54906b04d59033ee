"""Apple's names for its hosts: what is spoken there, and what is said when nobody listens.

Nothing here reaches any other machine: every host name resolves to a closed port of this one.
"""

from __future__ import absolute_import, division, print_function

import socket
import sys

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.addresses import environment_of
from apnsclient.backends.dummy import Backend as Dummy
from apnsclient.backends.stdio import Backend
from apnsclient.errors import ConnectError
from net_support import CLIENT, make_tokens
from tables import each

pytestmark = pytest.mark.timeout(240)

HOSTS = {
    "push_sandbox": ("gateway.sandbox.push.apple.com", 2195),
    "push_production": ("gateway.push.apple.com", 2195),
    "feedback_sandbox": ("feedback.sandbox.push.apple.com", 2196),
    "feedback_production": ("feedback.push.apple.com", 2196),
}
#: Where a session leads to that speaks HTTP/2.
SANDBOX, PRODUCTION = ("api.sandbox.push.apple.com", 443), ("api.push.apple.com", 443)
PROVIDERS = {"push_sandbox": SANDBOX, "push_production": PRODUCTION, "feedback_sandbox": SANDBOX,
             "feedback_production": PRODUCTION}


def handle_of(address, method="get_connection", **options):
    """Return a handle of a session of its own."""
    return getattr(Session(**options), method)(address, cert_string=CLIENT.pem)


def leads_to(handle):
    return handle.protocol, handle.address


@pytest.fixture
def asked(monkeypatch):
    """What the resolver was asked for; every name leads to a closed port of this machine."""
    questions = []
    closed = socket.socket()
    # Bound, and not listening: nobody else gets the port, and nobody responds.
    closed.bind(("127.0.0.1", 0))

    def getaddrinfo(host, port, *ignored, **also_ignored):
        questions.append((host, port))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", closed.getsockname())]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield questions
    closed.close()


@each("protocol", [None, "http2"])
@each("method", ["get_connection", "new_connection"])
@each("name", sorted(HOSTS))
def test_http2_is_spoken_to_apple(protocol, method, name):
    """By name, or by a host that was switched off, whatever the port, and however it is written."""
    host, port = HOSTS[name]
    for address in (name, (host, port), [host, port], (host.upper(), port), (host + ".", port),
                    (host, 1)):
        handle = handle_of(address, method, protocol=protocol)
        assert leads_to(handle) == ("http2", PROVIDERS[name])


@each("address, environment", [
    (SANDBOX, "sandbox"), (PRODUCTION, "production"), (("api.push.apple.com", 2197), "production"),
    (("api.development.push.apple.com", 443), "sandbox"),
    (("api-manage-broadcast.sandbox.push.apple.com", 2195), "sandbox"),
    (("api-manage-broadcast.push.apple.com", 2196), "production")])
def test_hosts_of_today_are_where_they_are(address, environment):
    """Also with the other port, and the other name of the sandbox (Apple, *Sending notification
    requests to APNs*)."""
    for host in (address[0], address[0].upper(), address[0] + "."):
        where = (host, address[1])
        assert leads_to(handle_of(where)) == ("http2", where)
        assert environment_of(where) == environment


@each("address", [("localhost", 2195), ("api.push.apple.com..", 443),
                  ("gateway.push.apple.com.example.com", 2195),
                  ("push.apple.com", 443), ("17.188.143.34", 443)])
def test_the_binary_protocol_is_spoken_elsewhere(address):
    """Unless the session is told to speak HTTP/2."""
    assert leads_to(handle_of(address)) == ("binary", address)
    assert leads_to(handle_of(address, protocol="http2")) == ("http2", address)


@each("name", sorted(HOSTS))
def test_the_binary_protocol_is_spoken_to_apple_where_nothing_else_can_be(name):
    """Over a back-end without ALPN; and where the session is told to."""
    for address in (name, HOSTS[name]):
        assert leads_to(handle_of(address, pool=Dummy, push=[])) == ("binary", HOSTS[name])
        assert leads_to(handle_of(address, protocol="binary")) == ("binary", HOSTS[name])


def test_the_protocol_is_that_of_the_back_end_in_use():
    """One that is set later may have ALPN, or none."""
    session = Session(Dummy, push=[])
    session.pool = Backend()
    assert session.get_connection(cert_string=CLIENT.pem).protocol == "http2"
    session.pool = Dummy(push=[])
    assert session.get_connection(cert_string=CLIENT.pem).protocol == "binary"


def test_the_names_of_channels_are_for_http2():
    """Nothing else was ever spoken there."""
    for name in ("channels_sandbox", "channels_production"):
        assert leads_to(handle_of(name)) == ("http2", Session.ADDRESSES[name])
        for options in ({"protocol": "binary"}, {"pool": Dummy, "push": []}):
            host, port = Session.ADDRESSES[name]
            for address in (name, (host, port), (host.upper(), port), (host + ".", port)):
                with pytest.raises(ValueError, match="speaks HTTP/2 alone"):
                    handle_of(address, **options)


def test_a_subclass_leads_somewhere_else():
    """The name decides about the protocol as long as it stands for a host of Apple's."""
    class Moved(Session):
        PROVIDER_ADDRESSES = dict(Session.PROVIDER_ADDRESSES, push_sandbox=("localhost", 443))

    class Old(Session):
        ADDRESSES = dict(Session.ADDRESSES, push_sandbox=("localhost", 2195))

    for address in ("push_sandbox", HOSTS["push_sandbox"]):
        assert leads_to(Moved().get_connection(address, cert_string=CLIENT.pem)) == (
            "http2", ("localhost", 443))
    assert leads_to(Old().get_connection(cert_string=CLIENT.pem)) == (
        "binary", ("localhost", 2195))
    assert leads_to(Old(protocol="http2").get_connection(cert_string=CLIENT.pem)) == (
        "http2", ("localhost", 2195))


def test_what_is_missing_for_http2_is_said_on_connecting(asked, monkeypatch):
    """Not before: a session that speaks the binary protocol alone has no need of it."""
    monkeypatch.setitem(sys.modules, "hpack", None)
    handle = handle_of("push_production")
    with pytest.raises(ImportError, match="pip install cryptography hpack"):
        APNs(handle).send(Message(make_tokens(1), alert="hello"))
    with pytest.raises(ImportError, match="pip install cryptography hpack"):
        Session(protocol="http2")
    assert asked == []


@pytest.mark.parametrize("name", ["push_sandbox", "push_production"])
def test_each_connection_asks_for_the_host_of_today(asked, name):
    """And says nothing of hosts that were switched off."""
    with pytest.raises(ConnectError) as caught:
        APNs(handle_of(name)).send(Message(make_tokens(1), alert="hello"))
    assert "2021" not in str(caught.value)
    assert asked == [PROVIDERS[name]]


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_retired_host_says_that_apple_retired_it_and_what_to_set(asked, name):
    """The exception names the host, the fact and the way out; its type is that of any connect."""
    client = APNs(handle_of(name, protocol="binary"))
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
        APNs(handle_of("push_sandbox", protocol="binary")).send(
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
    assert asked == [SANDBOX]


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
