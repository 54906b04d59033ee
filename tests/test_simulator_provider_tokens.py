"""Provider tokens at the simulator: signature, key, team, age, changes, and the one stream."""

from __future__ import absolute_import, division, print_function

import base64
import json
import time

import pytest

from apnsclient.testing.simulator import Simulator
from apnsclient.testing.simulator.documents import exchange_document
from apnsclient.testing.simulator.provider_callers import TokenCaller
from apnsclient.testing.simulator.provider_keys import ProviderKeys
from provider_client import TOKEN, ProviderClient, jwt, new_token, with_certificate, with_token

pytestmark = pytest.mark.timeout(240)

TOPIC = "com.example"
NOW = 1500000000


class Clock(object):
    """A clock that a test sets."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


def push(apns, token=None, **fields):
    """Push once on a connection of its own, and return the reason, None if it was accepted."""
    with ProviderClient(apns.provider_address) as client:
        if token is not None:
            fields["authorization"] = token if " " in token else "bearer " + token
        fields.setdefault("apns_topic", TOPIC)
        response = client.push(**{name: value for name, value in fields.items() if value})
    assert response.status == {None: 200, "MissingTopic": 400, "TopicDisallowed": 400}.get(
        response.said and response.said["reason"], 403)
    return response.said and response.said["reason"]


def test_a_valid_token_is_accepted(apns):
    """In place of a client certificate."""
    assert push(apns, new_token(apns)) is None
    assert push(apns, "Bearer " + new_token(apns)) is None
    assert apns.accepted_tokens() == [TOKEN, TOKEN]
    assert (apns.provider_connections, apns.resumed) == (2, 0)


def test_without_a_certificate_there_must_be_a_token(apns):
    """No authorization header at all."""
    assert push(apns) == "MissingProviderToken"


def forged(apns, **changes):
    """Return a token whose header or claims were changed after it was signed."""
    parts = new_token(apns).split(".")
    for index, name in ((0, "header"), (1, "claims")):
        text = base64.urlsafe_b64decode(parts[index] + "==")
        content = dict(json.loads(text.decode("ascii")), **changes.get(name, {}))
        raw = base64.urlsafe_b64encode(json.dumps(content).encode("ascii"))
        parts[index] = raw.rstrip(b"=").decode("ascii")
    return ".".join(parts)


def test_tokens_that_nobody_should_accept(apns):
    """Garbage, forged, signed with another key or algorithm, of another team or an unknown key."""
    other = Simulator()
    bad = ["garbage", "a.b.c", "bearer ", "basic " + new_token(apns), new_token(apns) + "x",
           new_token(apns, key_string=other.key_string),
           new_token(apns, key_id="UNKNOWN123"), new_token(apns, team_id="OTHERTEAM1"),
           forged(apns, claims={"iat": int(time.time()) + 1}), forged(apns, header={"alg": "none"}),
           forged(apns, header={"kid": 5}), new_token(apns, iat="now"), new_token(apns, iat=True),
           new_token(apns, iat=None), new_token(apns, iat=str(int(time.time()))),
           new_token(apns, iat=10 ** 400), new_token(apns, iat=-10 ** 400),
           new_token(apns, iat=float("nan")), new_token(apns, iat=float("inf")),
           forged(apns, claims={"iss": None})]
    hs256 = jwt.encode({"iss": apns.team_id, "iat": int(time.time())}, "x" * 32,
                       algorithm="HS256", headers={"kid": apns.key_id})
    bad.append(hs256 if isinstance(hs256, str) else hs256.decode("ascii"))

    assert [push(apns, token) for token in bad] == ["InvalidProviderToken"] * len(bad)


def test_a_token_is_good_for_an_hour(apns):
    """Older ones have expired; one from a clock that runs far ahead is not valid."""
    assert push(apns, new_token(apns, age=3500)) is None
    assert push(apns, new_token(apns, age=3700)) == "ExpiredProviderToken"
    assert push(apns, new_token(apns, age=-30)) is None
    assert push(apns, new_token(apns, age=-300)) == "InvalidProviderToken"


def test_whatever_a_token_says_of_its_time_can_be_shown(apns):
    """As a time and an age in seconds where it is one; a fraction of a second is one, too."""
    for issued, text in [(10 ** 400, None), (-10 ** 400, None), (float("nan"), None),
                         ("1700000000", None), (-1, "1969-12-31T23:59:59.000Z"),
                         (1700000000.5, "2023-11-14T22:13:20.500Z")]:
        push(apns, new_token(apns, iat=issued))
        document = exchange_document(apns.journal.find(limit=1)[0])
        json.dumps(document, allow_nan=False)
        credential = document["credential"]
        assert (credential["key_id"], credential["issued_at"]) == (apns.key_id, text)
        assert (credential["age_seconds"] is None) == (text is None)
    assert push(apns, new_token(apns, iat=time.time())) is None


def test_a_token_expires_while_it_is_used():
    """Its age is judged at each request."""
    clock = Clock()
    with Simulator(clock=clock) as apns:
        with with_token(apns) as client:
            client.bearer = new_token(apns, now=NOW)
            assert client.push(apns_topic=TOPIC).status == 200
            clock.now += 3601
            assert client.push(apns_topic=TOPIC).said == {"reason": "ExpiredProviderToken"}


def test_a_topic_is_required_and_has_to_be_the_teams(apns):
    """Unlike with a certificate, which may name it."""
    limited = apns.add_key("LIMITED123", topics=["com.example.one"])
    token = new_token(apns, key_id="LIMITED123", key_string=limited)

    assert push(apns, new_token(apns), apns_topic=None) == "MissingTopic"
    assert push(apns, token, apns_topic="com.example.one") is None
    assert push(apns, token, apns_topic="com.example.two") == "TopicDisallowed"


@pytest.mark.parametrize("production", [False, True])
def test_a_key_may_be_for_one_environment(production):
    """Of the other one it is rejected."""
    with Simulator(production=production) as apns:
        for environment in ("sandbox", "production"):
            key = apns.add_key("ONLY" + environment, "TEAM", environment)
            token = new_token(apns, key_id="ONLY" + environment, team_id="TEAM", key_string=key)
            is_right = (environment == "production") is production
            assert push(apns, token) == (None if is_right else "BadEnvironmentKeyInToken")
        with pytest.raises(ValueError, match="environment is 'test'"):
            apns.add_key("KEY", environment="test")


def test_a_revoked_key_is_rejected_at_once(apns):
    """Also on a connection that it has been used on."""
    with with_token(apns) as client:
        assert client.push(apns_topic=TOPIC).status == 200
        apns.revoke_key(apns.key_id)
        assert client.push(apns_topic=TOPIC).said == {"reason": "InvalidProviderToken"}


def test_another_key_on_the_same_connection_is_refused(apns):
    """For another key, Apple wants another connection."""
    key = apns.add_key("SECOND1234")
    with with_token(apns) as client:
        assert client.push(apns_topic=TOPIC).status == 200
        client.bearer = new_token(apns, key_id="SECOND1234", key_string=key)
        assert client.push(apns_topic=TOPIC).said == {"reason": "UnrelatedKeyIdInToken"}
    assert push(apns, client.bearer) is None


def test_related_keys_take_turns_on_a_connection(apns):
    """In either order, each with tokens and topics of its own; of another team it is not related.
    """
    first = apns.add_key("FIRST", topics=["com.one"])
    second = apns.add_key("SECOND", topics=["com.two"], related="FIRST")
    stolen = apns.add_key("STOLEN", "OTHERTEAM1", related="FIRST")
    tokens = [new_token(apns, key_id=name, key_string=key, team_id=team)
              for name, key, team in (("FIRST", first, apns.team_id),
                                      ("SECOND", second, apns.team_id),
                                      ("STOLEN", stolen, "OTHERTEAM1"))]
    for order in ([0, 1, 0, 2], [1, 0, 1, 2]):
        reasons = []
        with with_token(apns) as client:
            for number in order:
                client.bearer = tokens[number]
                topic = ["com.one", "com.two", "com.one"][number]
                reasons.append((client.push(apns_topic=topic).said or {}).get("reason"))
                assert client.push(apns_topic="com.none").status >= 400
        assert reasons == [None, None, None, "UnrelatedKeyIdInToken"]
    with pytest.raises(ValueError, match="no key 'NONE'"):
        apns.add_key("THIRD", related="NONE")


def test_a_token_must_not_change_more_than_once_in_20_minutes():
    """The old one goes on being good; after 20 minutes another one is, and the old one is not."""
    clock = Clock()
    with Simulator(clock=clock) as apns, with_token(apns) as client:
        def status(token):
            client.bearer = token
            return client.push(apns_topic=TOPIC).status

        old, new = new_token(apns, now=NOW), new_token(apns, now=NOW + 60)
        assert status(old) == 200
        clock.now += 1100
        assert (status(new), status(old)) == (429, 200)
        clock.now += 100
        assert (status(new), status(old), status(new)) == (200, 429, 200)


def test_an_invalid_token_is_no_change(apns):
    """What was rejected does not count, so that the right token can follow at once."""
    with with_token(apns) as client:
        good, client.bearer = client.bearer, new_token(apns, age=4000)
        assert client.push(apns_topic=TOPIC).status == 403
        client.bearer = good
        assert client.push(apns_topic=TOPIC).status == 200


def test_with_a_certificate_tokens_are_ignored(apns):
    """Apple: the certificate counts."""
    with with_certificate(apns) as client:
        assert client.push(authorization="bearer garbage").status == 200


def test_one_stream_until_a_valid_token_has_come(apns):
    """A second stream is refused; a request with a bad token does not change the limit."""
    fields = [("apns-topic", TOPIC)]
    with with_token(apns) as client:
        good, client.bearer = client.bearer, "garbage"
        assert client.push().status == 403
        assert client.h2.remote_settings.max_concurrent_streams == 1
        client.bearer = good
        # Two requests in one write: the server sees the second before the first is complete.
        client.h2.send_headers(3, [
            (":method", "POST"), (":scheme", "https"), (":authority", "localhost"),
            (":path", "/3/device/" + TOKEN), ("authorization", "bearer " + good)] + fields)
        client.h2.remote_settings[3] = 100
        client.h2.remote_settings.acknowledge()
        client.next_stream = 5
        refused = client.request("/3/device/" + TOKEN, fields)
        assert client.was_refused(refused) == 7
        client.h2.send_data(3, b"{}", end_stream=True)
        client.flush()
        assert client.response(3).status == 200
        client.wait(lambda: client.h2.remote_settings.max_concurrent_streams == 1000)
        streams = [client.request("/3/device/" + TOKEN, fields) for _ in range(100)]
        assert {client.response(stream).status for stream in streams} == {200}


def test_with_a_certificate_all_streams_are_allowed_at_once(apns):
    """The settings say so."""
    with with_certificate(apns) as client:
        client.push()
        assert client.h2.remote_settings.max_concurrent_streams == 1000


def test_checked_tokens_are_kept_up_to_a_limit(monkeypatch):
    """A client that sends other tokens again and again does not fill the memory."""
    monkeypatch.setattr("apnsclient.testing.simulator.provider_keys._KEPT_TOKENS", 10)
    keys = ProviderKeys()
    caller = TokenCaller(keys, "sandbox", Clock())
    for number in range(100):
        assert caller.authenticate(b"bearer %d" % number) == "InvalidProviderToken"

    assert len(keys._checked) <= 10
