"""What becomes of each token over HTTP/2, whatever the server does: compared with what it recorded.

The faults are scripts of the simulator, for several connections in a row. A token that the result
counts as accepted is in the record once. One that is in the record without being accepted is
unknown, and the result says so. Nothing else is ever sent twice.
"""

from __future__ import absolute_import, division, print_function

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import APNs, Message, ProviderToken, Session
from apnsclient.errors import ConnectError
from apnsclient.protocols.http2.frames import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    REFUSED_STREAM,
)
from effort import examples
from net_support import make_tokens
from stdio_support import AUTHORITY, CLIENT

simulator = pytest.importorskip("apnsclient.testing.simulator")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

Script = simulator.ProviderScript

pytestmark = pytest.mark.timeout(300)

#: Seconds that a send may take at most, a limit for what hangs.
LIMIT = 60
#: Seconds to wait for a response where a script leaves requests without.
IMPATIENT = 0.3
TOPIC = "com.example.app"


def within(limit, function):
    """Return what a function returns; it fails if that takes longer than the limit."""
    returned, raised = [], []

    def run():
        try:
            returned.append(function())
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()
    thread.join(limit)
    assert not thread.is_alive(), "it does not return"
    if raised:
        raise raised[0]
    return returned[0]


class Scene(object):
    """A simulator with scripts, a client of it, and the books on what became of each token.

    :param scripts: one for each connection, in order.
    :param is_token: whether the client has a provider token in place of a certificate.
    :param is_many: whether messages are sent with ``send_many()``.
    """

    def __init__(self, scripts=(), is_token=False, is_many=True, read_timeout=20):
        self.apns = simulator.Simulator(authority=AUTHORITY)
        self._scripts = scripts
        self._is_token = is_token
        self._is_many = is_many
        self._session = Session(protocol="http2", ca_string=AUTHORITY.ca_string,
                                connect_timeout=20, read_timeout=read_timeout)
        self.ok, self.failed, self.undelivered = set(), set(), set()
        self.unknown, self.retries, self.errors = set(), [], []

    def __enter__(self):
        self.apns.start()
        self.apns.script_provider(*self._scripts)
        credential = ({"certificate": ProviderToken(**self.apns.token_parameters)}
                      if self._is_token else {"cert_string": CLIENT.pem})
        self.client = APNs(self._session.get_connection(self.apns.provider_address, **credential))
        return self

    def __exit__(self, *exception):
        self._session.shutdown()
        self.apns.stop()

    def send(self, messages):
        """Send messages; check their results and enter them into the books."""
        self.retries, self.errors = [], []
        results = within(LIMIT, lambda: self._send(messages))
        for result, message in zip(results, messages):
            assert result.message is message
            self._enter(result)
        self.check(messages[len(results):])

    def _send(self, messages):
        results = []
        try:
            if self._is_many:
                for result in self.client.send_many(messages):
                    results.append(result)
            else:
                for message in messages:
                    results.append(self.client.send(message))
        except ConnectError:
            # A script refuses the connection, or ends it before its settings are there.
            assert any(script.refuse or script.ending and script.ending[1] == 0
                       for script in self._scripts)
        return results

    def _enter(self, result):
        retry = result.retry()
        ways = [set(retry.tokens) if retry is not None else set(), set(result.failed),
                set(result.undelivered)]
        rest = set(result.message.tokens).difference(*ways)
        assert sum(map(len, ways)) + len(rest) == len(result.message.tokens)
        assert all(code is not None or text.startswith(("Unknown", "Not sent"))
                   for code, text in result.errors)
        self.errors += result.errors
        if retry is not None:
            assert result.errors or result.failed
            self.retries.append(retry)
            if any(text.startswith("Unknown") for _, text in result.errors):
                self.unknown |= ways[0]
        self.ok |= rest
        self.failed |= ways[1]
        self.undelivered |= ways[2]

    def check(self, unsent=()):
        """Compare the books with the record of the simulator."""
        # Requests without a response may still be on their way; they concern unknown tokens only.
        record = Counter(self.apns.accepted_tokens())
        assert [token for token in self.ok if not record[token]] == []
        assert [token for token in record if record[token] > 1 and token not in self.unknown] == []
        assert [token for token in self.failed | self.undelivered
                if record[token] and token not in self.unknown] == []
        unprocessed = set(token for message in list(unsent) + self.retries
                          for token in message.tokens) - self.unknown
        assert [token for token in unprocessed if record[token]] == []
        assert set(record) <= self.ok | self.unknown


#: Ends of a connection; the number is how many requests come before it.
ENDINGS = ["close_after", "reset_after", "garbage_after", "goaway_after", "silent_after",
           "stall_after"]

numbers = st.integers(1, 120)


@st.composite
def scripts(draw):
    """A script with an end or without, with some faults of single requests, and with noise."""
    options = draw(st.fixed_dictionaries({
        "padding": st.sampled_from([None, None, 0, 200]),
        "piece": st.sampled_from([None, None, 1, 40]),
        "split": st.sampled_from([None, 1]),
        "trailers": st.booleans(),
        "interim": st.booleans(),
        "pings": st.integers(0, 1),
        "noise": st.booleans(),
        "compressed": st.booleans(),
        "upper_case_ids": st.booleans(),
        "window_step": st.sampled_from([None, None, 1, 3000]),
        "late": st.integers(0, 10),
        "reset_at": st.dictionaries(numbers, st.sampled_from(
            [REFUSED_STREAM, REFUSED_STREAM, CANCEL, INTERNAL_ERROR, ENHANCE_YOUR_CALM, 1000]),
            max_size=3),
        "response_at": st.dictionaries(numbers, st.sampled_from(
            ["TooManyRequests", "InternalServerError", "Shutdown", "BadDeviceToken", "BadPath",
             "Unregistered", "PayloadTooLarge", "InvalidProviderToken", "ExpiredProviderToken",
             "TooManyProviderTokenUpdates", (418, "Teapot"), (599, None)]), max_size=2),
        "settings": st.fixed_dictionaries({
            "max_concurrent_streams": st.sampled_from([1000, 1000, 100, 3, 1, 2 ** 32 - 1]),
            "initial_window_size": st.sampled_from([65535, 65535, 10, 0x7FFFFFFF]),
            "header_table_size": st.sampled_from([4096, 0, 100, 65536]),
        }),
        "settings_at": st.dictionaries(numbers, st.fixed_dictionaries({
            "max_concurrent_streams": st.sampled_from([2, 1000]),
            "initial_window_size": st.sampled_from([1, 65535]),
            "header_table_size": st.sampled_from([0, 200, 4096]),
        }), max_size=2),
    }))
    ending = draw(st.sampled_from([None, None] + ENDINGS))
    if ending is not None:
        options[ending] = draw(st.integers(0, 120))
    if draw(st.integers(0, 4)) == 0:
        options["no_response_at"] = [draw(numbers)]
    if draw(st.integers(0, 7)) == 0:
        options["warning_after"] = draw(st.integers(0, 30))
    if draw(st.integers(0, 15)) == 0:
        options["refuse"] = True
    return Script(**options)


#: Messages by how many tokens and how many characters they have.
mixes = st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 30, 200]),
                           st.sampled_from([0, 30, 30, 3500])), min_size=1, max_size=12)


@examples(25)
@given(behaviour=st.lists(scripts(), min_size=1, max_size=4), mix=mixes, is_token=st.booleans(),
       is_many=st.booleans(), bad=st.sets(st.integers(0, 300), max_size=5),
       invalid=st.sets(st.integers(0, 300), max_size=2))
def test_each_token_has_one_outcome_and_the_record_agrees(
        behaviour, mix, is_token, is_many, bad, invalid):
    """Whatever happens on several connections, and again when what is left is sent once more."""
    with Scene(behaviour, is_token, is_many, read_timeout=IMPATIENT) as scene:
        messages, first = [], 0
        for count, size in mix:
            tokens = make_tokens(count, first)
            for index in range(count):
                if first + index in bad:
                    scene.apns.devices.bad(tokens[index])
                elif first + index in invalid:
                    tokens[index] = "no token %d" % (first + index)
            first += count
            messages.append(Message(tokens, alert="x" * size, apns_topic=TOPIC))
        scene.send(messages)
        for _ in range(len(behaviour) + 1):
            if not scene.retries:
                break
            scene.send(scene.retries)
        assert scene.ok.isdisjoint(make_tokens(1, number)[0] for number in bad)


#: Faults that prove what was processed: nothing is left over, and nothing was sent twice.
HARMLESS = {
    "goaway": [Script(goaway_after=20, late=7)],
    "goaway with a drain": [Script(goaway_after=20, late=7, goaway_delay=0.05)],
    "goaway before anything": [Script(goaway_after=0), Script(goaway_after=0)],
    "goaway with a reason": [Script(goaway_after=9, goaway_reason="Shutdown", late=5)],
    "goaway that leaves the closing to us": [Script(goaway_after=5, late=2, goaway_stays=True)],
    "goaway with an error": [Script(goaway_after=5, goaway_code=INTERNAL_ERROR)],
    "goaway and a warning before": [Script(warning_after=3, goaway_after=90)],
    "warning": [Script(warning_after=3)],
    "refused stream": [Script(reset_at={3: REFUSED_STREAM, 9: REFUSED_STREAM})],
    "first stream refused": [Script(reset_at={1: REFUSED_STREAM})],
    "all streams refused": [Script(reset_at={n: REFUSED_STREAM for n in range(1, 301)})],
    "refused again": [Script(reset_at={3: REFUSED_STREAM}), Script(reset_at={1: REFUSED_STREAM})],
    "fewer streams": [Script(settings_at={3: {"max_concurrent_streams": 2}})],
    "one stream": [Script(settings={"max_concurrent_streams": 1})],
    "tiny windows": [Script(settings={"initial_window_size": 5}, window_step=1)],
    "windows that shrink": [Script(settings_at={2: {"initial_window_size": 1},
                                                40: {"initial_window_size": 500}}, window_step=1)],
    "no table": [Script(settings={"header_table_size": 0})],
    "table that changes": [Script(settings_at={3: {"header_table_size": 0},
                                               50: {"header_table_size": 4096}})],
    "odd responses": [Script(padding=7, piece=3, split=2, trailers=True, interim=True, pings=2,
                           noise=True, upper_case_ids=True, compressed=True)],
}


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
@pytest.mark.parametrize("fault", sorted(HARMLESS))
def test_what_is_proven_not_to_be_processed_goes_out_again_by_itself(fault, is_many, is_token):
    """In the end every token has its notification, exactly once, and there is no error."""
    with Scene(HARMLESS[fault], is_token) as scene:
        tokens = make_tokens(300)
        if is_many:
            messages = [Message([token], alert="hello", apns_topic=TOPIC) for token in tokens]
        else:
            messages = [Message(tokens, alert="hello", apns_topic=TOPIC)]
        scene.send(messages)
        assert (scene.errors, scene.retries) == ([], [])
        assert scene.ok == set(tokens)
        assert sorted(scene.apns.accepted_tokens()) == tokens


#: Faults that leave single requests in the dark: their tokens, and no others, are unknown. The
#: longer times are for machines that are too slow for the shorter ones.
DARK = {
    "reset after processing": (Script(reset_at={3: CANCEL, 9: INTERNAL_ERROR}), 2, [20]),
    "no response": (Script(no_response_at=[3, 9]), 2, [IMPATIENT, 2, 10]),
    "response too late": (Script(delay_at={3: 10 * LIMIT}), 1, [IMPATIENT, 2, 10]),
}


@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
@pytest.mark.parametrize("fault", sorted(DARK))
def test_a_request_without_a_response_is_unknown_alone(fault, is_many):
    """It is in errors and in retry, and nothing is sent twice by ourselves."""
    script, count, read_timeouts = DARK[fault]
    for read_timeout in read_timeouts:
        with Scene([script], read_timeout=read_timeout) as scene:
            left, errors = _send_into_the_dark(scene, is_many)
        if (len(left), errors) == (count, []):
            break
    assert (len(left), errors) == (count, [])
    assert len(scene.unknown) == count
    assert Counter(scene.apns.accepted_tokens()) == Counter(make_tokens(20) + left)


def _send_into_the_dark(scene, is_many):
    """Send to 20 tokens, and again what was unknown; return that, and the errors of that."""
    tokens = make_tokens(20)
    scene.send([Message([token], alert="hello") for token in tokens] if is_many
               else [Message(tokens, alert="hello")])
    left = [token for message in scene.retries for token in message.tokens]
    assert len(scene.ok) == 20 - len(left)
    scene.send(scene.retries)
    return left, scene.errors


@pytest.mark.parametrize("ending", ["close_after", "reset_after", "garbage_after", "silent_after"])
def test_a_connection_that_ends_without_a_word_leaves_what_was_written_unknown(ending):
    """What had a response is accepted; what was processed without one is in retry."""
    with Scene([Script(late=10, **{ending: 50})], read_timeout=IMPATIENT) as scene:
        tokens = make_tokens(100)
        scene.send([Message(tokens, alert="hello")])
        left = [token for message in scene.retries for token in message.tokens]
        assert set(tokens[40:50]) <= scene.unknown
        assert scene.ok | set(left) == set(tokens)
        # That a request had no response in time, that the connection had none, or both.
        assert Counter(text.split(":")[0] for _, text in scene.errors)["Unknown"] in (1, 2)
