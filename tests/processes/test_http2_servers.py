"""The client against HTTP/2 servers that other people wrote: nginx, node, nghttpd, h2.

Each takes thousands of tokens while it does what it does in ordinary life: few streams at a time,
GOAWAY in the middle, responses in any order. Every token has exactly one outcome, and the one that
the server speaks of; nothing is sent twice but what nobody could know.
"""

from __future__ import absolute_import, division, print_function

import threading

import pytest

from apnsclient import Message
from apnsclient.errors import ConnectError
from apnsclient.testing.simulator import Simulator
from http2_peers import GoServer, H2Server, serving
from http2_servers import HANG, Nginx, Node, Tally, client_of, nghttpd
from net_support import make_tokens, tokens_of

PAYLOAD = '{"aps":{"alert":"Dinner is ready"}}'
TOPIC = "com.example.app"


def push(tokens, payload=PAYLOAD):
    return Message(tokens, payload=payload, apns_topic=TOPIC)


def ending(tokens, digits):
    """Return the tokens whose last digit is one of those."""
    return sorted(token for token in tokens if token[-1] in digits)


def deliver(address, tokens, payload=PAYLOAD, pool_size=5):
    with client_of(address, pool_size) as client:
        return Tally().deliver(client, push(tokens, payload))


def check_failures(tally, tokens, may_be_cut_off=False):
    """See that the servers' verdict over a token, which is in its last digit, has arrived.

    Where the connection ended behind a status, its reason may be wanting.
    """
    assert sorted(tally.failed) == ending(tokens, "ab")
    for token, failure in tally.failed.items():
        if may_be_cut_off and (failure.status, failure.reason) == (410, None):
            continue
        expected = (400, "BadDeviceToken", None) if token.endswith("a") else (
            410, "Unregistered", 1454402113)
        assert (failure.status, failure.reason, failure.timestamp) == expected
        assert failure.apns_id == "ec1bf194-b3b2-424a-89a9-5a918a6e6b5d"


# nginx.

@pytest.mark.parametrize("options, count", [
    ("http2_max_concurrent_streams 3; keepalive_requests 400;", 2000),
    ("keepalive_requests 900;", 10000),
    ("keepalive_requests 7;", 500),
])
def test_nginx_ends_connections_in_the_middle_of_a_batch(tmpdir, options, count):
    """After so many requests it sends GOAWAY, and responds; nothing is lost or doubled."""
    tokens = make_tokens(count)
    with Nginx.running(tmpdir, options) as server:
        tally = deliver(server.address, tokens)
        tally.check(tokens, server.statuses(count))
    check_failures(tally, tokens)
    assert tally.errors == [] and tally.undelivered == []


def test_nginx_is_shut_down_in_the_middle(tmpdir):
    """It responds to what it has taken; the rest is proven unprocessed."""
    tokens = make_tokens(2000)
    tally = Tally()

    def messages(server):
        for number in range(0, 2000, 10):
            if number == 1000:
                server.leave()
            yield push(tokens[number:number + 10])

    with Nginx.running(tmpdir, "http2_max_concurrent_streams 30;") as server:
        with client_of(server.address) as client, pytest.raises(ConnectError):
            for result in client.send_many(messages(server)):
                retry = tally.note(result)
                tally.undelivered += tokens_of(retry)
        processed = len(tally.accepted) + len(tally.failed)
        statuses = server.statuses(processed)
    tally.check(tokens[:processed + len(tally.undelivered)], statuses)
    assert tally.undelivered and not tally.unknown
    assert len(statuses) == processed >= 900
    assert all(text.startswith("Not sent: ") for _, text in tally.errors)


def test_nginx_responds_before_it_has_the_payload(tmpdir):
    """The window of a stream is 0: what it does not want any more is never sent."""
    tokens = make_tokens(2000)
    with Nginx.running(tmpdir, "http2_body_preread_size 0; keepalive_requests 900;") as server:
        tally = deliver(server.address, tokens, '{"aps":{"alert":"%s"}}' % ("x" * 4000))
        tally.check(tokens, server.statuses(2000))
    check_failures(tally, tokens)
    assert tally.errors == []


def test_nginx_wants_a_certificate(tmpdir):
    """Without one the response to each request is 400, in HTML: it does not concern the token."""
    tokens = make_tokens(2000)
    key = Simulator().token_parameters
    with Nginx.running(tmpdir) as server, client_of(server.address, **key) as client:
        tally = Tally().deliver(client, push(tokens))
        tally.check(tokens)
    assert tally.errors == [(400, "HTTP status 400")]
    assert sorted(tally.undelivered) == tokens


def test_threads_share_the_connections_to_nginx(tmpdir):
    """Each has its own results, however often the connections end."""
    batches = [make_tokens(500, 500 * number) for number in range(8)]
    tallies = [Tally() for _ in batches]
    with Nginx.running(tmpdir, "keepalive_requests 300;") as server:
        with client_of(server.address, pool_size=3) as client:
            threads = [threading.Thread(target=tally.deliver, args=(client, push(tokens)))
                       for tally, tokens in zip(tallies, batches)]
            for thread in threads:
                thread.daemon = True
                thread.start()
            for thread in threads:
                thread.join(HANG)
        statuses = server.statuses(4000)
    for tally, tokens in zip(tallies, batches):
        tally.check(tokens, dict((token, statuses[token]) for token in tokens))
        check_failures(tally, tokens)
        assert tally.errors == []


# node.

@pytest.mark.parametrize("options", [
    {"padding": True, "refuse": 40}, {"limits": [3, 40, 1, 100], "streams": 50},
    {"goaway": 600}, {"close": 300},
], ids=lambda options: "-".join(sorted(options)))
def test_node_responds_in_any_order(tmpdir, options):
    """With DATA in pieces, trailers, interim responses, other settings, and GOAWAY."""
    tokens = make_tokens(1000)
    with Node.running(tmpdir, body=PAYLOAD, **options) as server:
        tally = deliver(server.address, tokens)
        tally.check(tokens, server.statuses())
    check_failures(tally, tokens)
    assert set(tally.errors) == {(429, "TooManyRequests")}
    assert not tally.unknown and not tally.undelivered


def test_node_destroys_its_sessions(tmpdir):
    """What was written and has no response is unknown, and sent again only by the caller."""
    tokens = make_tokens(1000)
    with Node.running(tmpdir, body=PAYLOAD, destroy=300) as server:
        tally = deliver(server.address, tokens)
        tally.check(tokens, server.statuses())
    check_failures(tally, tokens, may_be_cut_off=True)
    assert tally.unknown


def test_messages_with_payloads_of_their_own_reach_node(tmpdir):
    """They share the connections, and the results come in order; node compares each payload."""
    tokens = make_tokens(1000)
    messages = [push([token], '{"aps":{"badge":%d}}' % int(token, 16)) for token in tokens]
    tally = Tally()
    with Node.running(tmpdir, close=350) as server, client_of(server.address) as client:
        results = list(client.send_many(messages))
        assert [result.message for result in results] == messages
        for retry in filter(None, map(tally.note, results)):
            tally.deliver(client, retry)
        tally.check(tokens, server.statuses())
    check_failures(tally, tokens)
    assert set(tally.errors) == {(429, "TooManyRequests")} and not tally.undelivered


# nghttpd.

def test_nghttpd_gives_small_windows(tmpdir):
    """A payload goes out bit by bit, and comes back padded, with trailers."""
    tokens = make_tokens(2000)
    payload = '{"aps":{"alert":"%s"}}' % ("x" * 3000)
    with nghttpd(tmpdir, "--echo-upload", "-w", "10", "-W", "16", "-m", "7", "-b", "255",
                 "--trailer", "a: b") as address:
        tally = deliver(address, tokens, payload)
    tally.check(tokens)
    assert len(tally.accepted) == 2000 and tally.errors == []


@pytest.mark.parametrize("option", ["-e", "--early-response"])
def test_nghttpd_knows_no_device(tmpdir, option):
    """A status without Apple's reason decides about its own token alone."""
    tokens = make_tokens(1000)
    with nghttpd(tmpdir, option) as address:
        tally = deliver(address, tokens)
    tally.check(tokens)
    assert [code for code, _ in tally.errors] == [404]
    assert sorted(tally.undelivered) == tokens


# Servers in a thread.

def test_h2_takes_all_that_we_send():
    """It raises for whatever it does not expect, also while it changes the limit of streams."""
    tokens = make_tokens(2000)
    server = H2Server(PAYLOAD.encode("ascii"), [100, 3, 50, 1])
    with serving(server) as running:
        # With a larger pool its speed decides whether another connection is worth it.
        tally = deliver(running.address, tokens, pool_size=1)
    tally.check(tokens, server.statuses)
    check_failures(tally, tokens)
    assert tally.errors == [] and server.connections == 1


@pytest.mark.parametrize("early, size, count", [(7, 40, 3000), (3, 20000, 600)])
def test_go_shuts_down_in_two_steps(early, size, count):
    """A GOAWAY that allows for all streams is the end of new ones; the last names the last stream.
    """
    tokens = make_tokens(count)
    payload = '{"aps":{"alert":"%s"}}' % ("x" * size)
    server = GoServer(payload.encode("ascii"), early, count * 11 // 30)
    with serving(server) as running:
        tally = deliver(running.address, tokens, payload, pool_size=1)
    tally.check(tokens, server.statuses)
    check_failures(tally, tokens)
    assert tally.errors == [] and not tally.undelivered
    assert server.connections == 3
