"""One attempt and what follows, in a time that is set: the simulator in memory, and no Celery."""

import random as random_module

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from apnsclient import Message
from apnsclient.contrib.celery._breaker import Breaker, Pauses
from apnsclient.contrib.celery._counts import count, settled
from apnsclient.contrib.celery._delivery import Delivery, Order
from apnsclient.contrib.celery._schedule import back_off, longest_countdown
from apnsclient.contrib.celery._sessions import CredentialUnavailable, Lifetimes, Sessions
from apnsclient.errors import CertificateError, PeerVerificationError
from apnsclient.provider_token import ProviderToken
from apnsclient.testing.simulator import ProviderScript
from tables import each

PLACE = ("default", "production")


class Clock:
    now = 1000000.0

    def __call__(self):
        return self.now


class World:
    """A delivery to the simulator in memory; its clock is set, its credential can be replaced."""

    def __init__(self, apple, policy="resend"):
        self.apple, self.clock = apple, Clock()
        self.given = ProviderToken(**apple.token_parameters)
        self.asked = 0
        self.breaker = Breaker(Pauses(30.0, 300.0), self.clock)
        self.sessions = Sessions(
            self.find, {"production": apple.provider_address},
            {"pool": apple.session().pool, "protocol": "http2"}, Lifetimes(300.0, 21600.0),
            self.breaker.forget_proof, True, self.clock)
        self.delivery = Delivery(self.sessions, self.breaker, policy, self.clock)
        self.first = 0

    def find(self, name):
        self.asked += 1
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    def order(self, number, lifetime=3600.0, **options):
        tokens = ["%064x" % each for each in range(self.first, self.first + number)]
        self.first += number
        return Order(Message(tokens, alert="x", apns_topic="com.example.dinner"), PLACE,
                     self.clock.now + lifetime, counts=count(tokens=number), **options)

    def run(self, order, most=50):
        """Attempt an order until nothing is left, and return the outcomes."""
        outcomes = [self.delivery.attempt(order, None)]
        while outcomes[-1].rest is not None:
            assert len(outcomes) < most
            self.clock.now += outcomes[-1].delay
            outcomes.append(self.delivery.attempt(outcomes[-1].rest, None))
        return outcomes


@pytest.fixture
def world(apple):
    return World(apple)


def test_an_outage_is_sat_out_until_the_message_expires(world):
    """The pauses double, up to ten minutes; the last attempt is right before the end."""
    world.apple.script_provider(*[ProviderScript(refuse=True)] * 100)
    outcomes = world.run(world.order(3, lifetime=3600.0))

    delays = [outcome.delay for outcome in outcomes[:-1]]
    assert all(2 ** number <= delay <= 2 ** number * 1.5 for number, delay in enumerate(delays[:9]))
    assert max(delays) <= 900
    assert outcomes[-1].counts["expired"] == settled(outcomes[-1].counts) == 3
    assert 3600 - 6 <= sum(delays) <= 3600
    assert not world.apple.accepted


def test_an_outage_that_ends_costs_nobody_anything(world):
    """And what was accepted before is not sent again."""
    world.apple.script_provider(ProviderScript(refuse=True), ProviderScript(refuse=True))
    outcomes = world.run(world.order(5))
    assert len(outcomes) == 3 and outcomes[-1].counts["accepted"] == 5
    assert len(world.apple.accepted) == 5


def test_apple_is_given_the_time_that_it_asks_for(world):
    """15 minutes after a 5XX, a minute after a 429, or not at all if it is too late by then."""
    for reason, least in (("ServiceUnavailable", 900), ("TooManyRequests", 60)):
        world.apple.script_provider(ProviderScript(response_at={2: reason}))
        world.sessions.close()
        first, second = world.run(world.order(3))
        assert least <= first.delay <= least * 1.25
        assert first.counts["accepted"] == 2 and len(first.rest.message.tokens) == 1
        assert second.counts["accepted"] == 3
    world.apple.script_provider(ProviderScript(response_at={2: "ServiceUnavailable"}))
    world.sessions.close()
    [only] = world.run(world.order(3, lifetime=600))
    assert (only.counts["accepted"], only.counts["expired"]) == (2, 1)


def test_a_task_that_comes_early_goes_back(world):
    """As it does where a broker does not wait as long."""
    order = world.order(1, not_before=world.clock.now + 100)
    outcome = world.delivery.attempt(order, None)
    assert (outcome.rest, outcome.delay) == (order, 100)
    assert not world.asked


def test_what_may_have_arrived_is_the_policys(apple):
    """Sent again, dropped, or whatever a function says; one that raises loses nothing."""
    def choose(message, tokens):
        assert tokens == message.tokens[1:]
        return tokens[:1]

    def fail(message, tokens):
        raise RuntimeError("a bug")

    for policy, expected in (("resend", {"accepted": 3, "resent": 2}),
                             ("drop", {"accepted": 1, "dropped": 2}),
                             (choose, {"accepted": 2, "dropped": 1, "resent": 1}),
                             (fail, {"accepted": 3, "resent": 2})):
        world = World(apple, policy)
        apple.script_provider(ProviderScript(close_after=3, no_response_at=[2, 3]))
        counts = world.run(world.order(3))[-1].counts
        assert {name: value for name, value in counts.items() if value} == dict(
            expected, tokens=3)
        world.sessions.close()


def test_a_soft_time_limit_leaves_all_to_the_policy(world, monkeypatch):
    """It is raised by a signal handler, in the middle of anything."""
    monkeypatch.setattr(world.sessions, "client", raising(SoftTimeLimitExceeded()))
    order = world.order(3)
    outcome = world.delivery.attempt(order, None)
    assert outcome.rest.message.tokens == order.message.tokens
    assert outcome.counts["resent"] == 3


def raising(error):
    def fail(*arguments):
        raise error
    return fail


def test_what_has_to_be_mended_stops_all_and_is_logged_once(world, caplog):
    """Whatever it is; its tokens are sent when it is mended, by the probe."""
    good = world.given
    for problem in (CredentialError("-----BEGIN PRIVATE KEY-----"), CertificateError("no key"),
                    PeerVerificationError("not Apple")):
        caplog.clear()
        if isinstance(problem, CredentialError):
            world.given = problem
            world.sessions.close()
            patched = world.sessions.client
        else:
            patched, world.sessions.client = world.sessions.client, raising(problem)
        outcomes = [world.delivery.attempt(world.order(2), None) for _ in range(5)]
        assert all(len(outcome.rest.message.tokens) == 2 for outcome in outcomes)
        assert all(1 <= outcome.delay <= 30 * 1.25 for outcome in outcomes)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "PRIVATE" not in caplog.text and "apns_close_breaker" in caplog.text

        world.given, world.sessions.client = good, patched
        for outcome in outcomes:
            world.clock.now += 40
            assert world.run(outcome.rest)[-1].counts["accepted"] == 2


class CredentialError(Exception):
    """What the application's own code raises."""


def test_a_probe_without_a_connection_leaves_the_breaker_open(world):
    """It has found out nothing, and another one follows after the first pause."""
    world.breaker.fail(PLACE, "revoked", False)
    world.clock.now += 30
    world.apple.script_provider(ProviderScript(refuse=True))
    world.delivery.attempt(world.order(1), None)
    assert world.breaker.wait(PLACE) == 30


def test_a_probe_has_the_newest_credential(world):
    """Whoever has mended it need not wait for the interval."""
    world.run(world.order(1))
    world.apple.revoke_key(world.apple.key_id)
    rest = world.delivery.attempt(world.order(2), None).rest
    key_string = world.apple.add_key("ANOTHERKEY")
    world.given = ProviderToken(**dict(world.apple.token_parameters, key_id="ANOTHERKEY",
                                       key_string=key_string))
    world.clock.now += 40
    assert world.delivery.attempt(rest, None).counts["accepted"] == 2


def test_a_new_credential_has_proven_nothing(world):
    """It may be that of another app, to which all tokens are strange."""
    world.run(world.order(1))
    world.given = ProviderToken(**dict(world.apple.token_parameters, key_id="ANOTHERKEY",
                                       key_string=world.apple.add_key("ANOTHERKEY")))
    world.apple.devices.strict = True
    world.clock.now += 300
    order = world.order(20)
    assert len(world.delivery.attempt(order, None).rest.message.tokens) == 20


def test_a_revoked_key_is_replaced_without_a_restart(world, caplog):
    """The application is asked when Apple refuses: with another key nothing has to be stopped."""
    world.run(world.order(1))
    world.apple.revoke_key(world.apple.key_id)
    parameters = dict(world.apple.token_parameters, key_id="ANOTHERKEY",
                      key_string=world.apple.add_key("ANOTHERKEY"))
    world.given = ProviderToken(**parameters)
    first, second = world.run(world.order(3))
    assert len(first.rest.message.tokens) == 3 and second.counts["accepted"] == 3
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_wrong_environment_deletes_nothing_and_loses_nothing(world, caplog):
    """One error; no token is reported; where tokens were accepted before, it is the tokens."""
    world.apple.devices.strict = True
    order = world.order(20)
    outcome = world.delivery.attempt(order, None)
    assert outcome.reports == () and not settled(outcome.counts)
    assert sorted(outcome.rest.message.tokens) == order.message.tokens
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1

    world.apple.devices.strict = False
    assert world.run(outcome.rest)[-1].counts["accepted"] == 20
    world.apple.devices.strict = True
    [bulk] = world.run(world.order(20))
    assert bulk.counts["rejected"] == {"BadDeviceToken": 20} and bulk.reports == ()


def test_a_credential_is_asked_for_at_an_interval_and_a_session_has_an_age(world):
    """Connections are kept until then; who still sends with the old session is not disturbed."""
    world.run(world.order(1))
    world.clock.now += 299
    world.run(world.order(1))
    assert world.asked == 1
    world.clock.now += 1
    world.run(world.order(1))
    assert world.asked == 2 and world.apple.provider_connections == 1
    world.given = CredentialError("the database is away")
    world.clock.now += 300
    assert world.run(world.order(1))[-1].counts["accepted"] == 1
    world.given = ProviderToken(**world.apple.token_parameters)
    world.clock.now += 21600
    with world.sessions.client(PLACE) as old:
        world.clock.now += 21600
        with world.sessions.client(PLACE) as new:
            assert new is not old
        assert old.send(world.order(1).message).failed == {}
        world.sessions.close()
        assert old.send(world.order(1).message).failed == {}
    assert world.apple.open_provider_connections == 0


def test_only_the_type_of_the_applications_exception_is_repeated(world):
    """Its text may have the credential; and a value of the wrong type is named by its type."""
    for given, text in ((CredentialError("secret"), "CredentialError"), ("secret", "str")):
        world.given = given
        with pytest.raises(CredentialUnavailable) as caught, world.sessions.client(PLACE):
            pass
        assert text in str(caught.value) and "secret" not in str(caught.value)
        assert caught.value.__context__ is None


@each("urls, options, longest", [
    ("redis://", None, 1800), ("rediss://x", {}, 1800), ("sentinel://a;sentinel://b", None, 1800),
    (["amqp://a", "redis://b"], {}, 900), ("sqs://", {}, 900), (None, None, 900), ([], {}, 900),
    ("redis://", {"visibility_timeout": 60}, 30), ("redis+socket:///x", {}, 1800),
])
def test_no_countdown_comes_near_what_the_broker_allows(urls, options, longest):
    """Half of it is left for the wait for a process, and for the run."""
    assert longest_countdown(urls, options) == longest


def test_the_pause_grows_and_is_spread():
    """Tasks that failed together do not come back together."""
    random = random_module.Random(1).random
    pauses = [back_off(5, random) for _ in range(100)]
    assert 32 <= min(pauses) < 34 and 46 < max(pauses) <= 48
    assert back_off(10 ** 6, random) <= 900
