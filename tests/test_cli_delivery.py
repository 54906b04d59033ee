"""The books of ``apns send``: where tokens come from, and that each ends in exactly one place."""

from __future__ import absolute_import, division, print_function

import argparse
import io
import os
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient._compat import PY2
from apnsclient.apns import Message, Result
from apnsclient.cli import _options
from apnsclient.cli._console import Console, Failure, one_line, write_line
from apnsclient.cli._delivery import Delivery
from apnsclient.cli._tokens import TokenSource
from apnsclient.errors import REMEDIES, ConnectError
from apnsclient.outcomes import RequestOutcomes
from apnsclient.reasons import RESPONSES, reason_of_response
from cli_support import token, write_file
from effort import examples
from tables import each


def _source(tokens):
    return TokenSource([], io.BytesIO("\n".join(tokens).encode("ascii")))


def _deliver(send_many, source, **options):
    options.setdefault("pause", 0.001)
    delivery = Delivery(send_many, lambda tokens: Message(tokens, alert="x"), source, **options)
    delivery.run()
    return delivery


# Where tokens come from.

def test_a_slice_has_no_token_twice():
    """In either case; what comes again starts the next slice."""
    source = TokenSource(["aa", "bb", "AA", "cc", "bb", "cc"])
    slices = []
    while not source.is_exhausted:
        slices.append(source.take(3))
    assert slices == [["aa", "bb"], ["AA", "cc", "bb"], ["cc"]]
    assert source.count == 6
    assert source.take(3) == []


def test_arguments_come_before_lines():
    """And the number of lines of a pipe is not known."""
    source = TokenSource(["1"], io.BytesIO(b"2\n3\n"))
    assert source.expected() == 1
    assert source.take(2) == ["1", "2"]
    assert source.expected() == 2
    assert source.rest() == []
    assert not source.is_exhausted


@pytest.mark.parametrize("start", [b"#", b"a", b" "])
def test_the_end_of_a_line_that_is_too_long_is_no_token(start):
    """Nobody would get a message because a comment, or garbage, ends like a token."""
    rest = b"5f" * 32
    line = start + b"a" * ((1 << 18) - 1) + rest
    source = TokenSource([], io.BytesIO(b"1\n" + line + b"\n2\n" + line))
    tokens = source.take(9)
    assert [token for token in tokens if len(token) < 1000] == ["1", "2"]
    assert len(tokens) == (2 if start == b"#" else 3)  # The second long line is the first again.


def test_a_token_behind_much_space_is_one():
    """Space is no part of a line that is too long."""
    assert TokenSource([], io.BytesIO(b" " * (1 << 18) + b"5f\n1")).take(9) == ["5f", "1"]


@each("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_way(end):
    """Those of old Macs as well, of which nobody reads one at a time; also where they are many."""
    tokens = [token(number) for number in range(9000)]
    content = b"\xef\xbb\xbf# ours" + end + end.join(one.encode("ascii") for one in tokens)
    assert len(content) > 1 << 19
    for last in (b"", end, end + b"#", end + end):
        assert TokenSource([], io.BytesIO(content + last)).take(9999) == tokens


def test_a_line_of_an_old_mac_that_is_too_long_is_cut_like_any_other():
    """What comes after it is a line again."""
    long = b"a" * (1 << 18) + b"5f" * (1 << 17)
    source = TokenSource([], io.BytesIO(b"1\r" + long + b"\r2\r" + long + b"\r3"))
    assert [one for one in source.take(9) + source.take(9) if len(one) < 1000] == ["1", "2", "3"]


def test_the_number_of_tokens_in_a_file_is_estimated(tmp_path):
    """From its size and the lines so far; it is exact where all lines are of one length."""
    name = write_file(tmp_path / "tokens", "".join(token(number) + "\n" for number in range(1000)))
    with open(name, "rb") as stream:
        source = TokenSource([], stream)
        assert source.expected() == 0
        source.take(10)
        assert source.expected() == 1000
        assert len(source.rest()) == 990
        assert source.is_exhausted
        assert source.expected() == source.count == 1000


def test_the_rest_has_what_waits_for_the_next_slice():
    """A token that came again had been read already."""
    source = TokenSource(["1", "1", "2"])
    assert source.take(9) == ["1"]
    assert source.rest() == ["1", "2"]
    assert source.is_exhausted


def test_the_rest_has_what_an_interrupted_read_left():
    """Also a token that waits for the next slice because it came twice."""
    class Interrupted(io.BytesIO):
        def readline(self, size=-1):
            line = io.BytesIO.readline(self, size)
            if not line:
                raise KeyboardInterrupt
            return line

    source = TokenSource([], Interrupted(b"1\n2\n1\n"))
    assert source.take(9) == ["1", "2"]
    with pytest.raises(KeyboardInterrupt):
        source.take(9)
    assert source.rest() == ["1"]
    assert source.is_waiting


def test_a_read_that_fails_ends_the_source():
    """The reason is kept; what had been read is delivered."""
    class Failing(io.BytesIO):
        def readline(self, size=-1):
            line = io.BytesIO.readline(self, size)
            if not line:
                raise IOError(5, "Input/output error")
            return line

    source = TokenSource([], Failing(b"1\n2\n"))
    assert source.take(9) == ["1", "2"]
    assert source.error == "Input/output error"


# The books.

class Gateway(object):
    """Takes messages as ``send_many`` does, and responds as a list of numbers says.

    0 and 1: all accepted. 2: the token in the middle is bad. 3: nothing is known. 4: shut down
    after the first. 5: discarded whole. 6: the connection cannot be had. 7: processing error.
    """

    def __init__(self, responses):
        self.responses = list(responses)
        self.accepted = []

    def send_many(self, messages):
        for message in messages:
            response = self.responses.pop(0) if self.responses else 0
            if response == 6:
                raise ConnectError("nobody there")
            yield self.respond(response, message)

    def respond(self, response, message):
        middle = len(message.tokens) // 2
        failure = {2: (8, middle), 3: (None, 0), 4: (10, 0), 7: (1, 0)}.get(response)
        taken = {2: middle, 3: 0, 4: 1, 5: 0, 7: 0}.get(response, len(message.tokens))
        self.accepted.extend(message.tokens[:taken])
        return Result(message, failure, unprocessed=response == 5)


@examples(200)
@given(responses=st.lists(st.integers(0, 7), max_size=30), count=st.integers(0, 12),
       size=st.integers(1, 5), retries=st.integers(0, 2))
def test_every_token_ends_in_exactly_one_place(responses, count, size, retries):
    """Whatever the gateway responds: accepted, failed or not sent, and once."""
    tokens = [token(number) for number in range(count)]
    gateway = Gateway(responses)
    source = TokenSource(tokens)
    delivery = _deliver(gateway.send_many, source, slice_size=size, retries=retries)
    ended = (gateway.accepted + [one[0] for one in delivery.failed]
             + [one[0] for one in delivery.not_sent])
    assert sorted(ended) == tokens
    assert delivery.accepted == len(gateway.accepted)
    assert delivery.unknown == []
    assert source.count == count
    assert all(reason for _, _, reason in delivery.not_sent)


class Provider(object):
    """Takes messages as ``send_many`` does over HTTP/2, and responds to each token as a list says.

    None accepts; a reason rejects; "unknown" processes it and says nothing, "lost" neither;
    "nobody" is no connection.
    """

    def __init__(self, responses):
        self.responses = list(responses)
        self.processed = []

    def send_many(self, messages):
        for message in messages:
            outcomes = RequestOutcomes()
            count = len(message.tokens)
            for index, one in enumerate(message.tokens):
                response = self.responses.pop(0) if self.responses else None
                if response == "nobody":
                    if not index:
                        raise ConnectError("nobody there")
                    response = "lost"
                if response in (None, "unknown"):
                    self.processed.append(one)
                if response == "unknown":
                    outcomes.add_unknown(index, "no response")
                elif response == "lost":
                    outcomes.add_unprocessed([index], (None, "Not sent: lost"))
                elif response is not None:
                    reason = reason_of_response(RESPONSES[response].status, response)
                    outcomes.add_response(index, reason)
                    if reason.stops_message or reason.stops_everything:
                        report = (outcomes.add_unprocessed if reason.retries_reported
                                  else outcomes.add_undelivered)
                        report(range(index + 1, count), reason)
                        break
            yield Result(message, outcomes=outcomes)


RESPONSE = st.sampled_from([None] * 6 + [
    "unknown", "lost", "nobody", "BadDeviceToken", "Unregistered", "BadPath", "ServiceUnavailable",
    "TooManyRequests", "BadTopic", "Forbidden", "TooManyProviderTokenUpdates"])


@examples(200)
@given(responses=st.lists(RESPONSE, max_size=30), count=st.integers(0, 12), size=st.integers(1, 5),
       retries=st.integers(0, 2))
def test_every_token_ends_in_exactly_one_place_over_http2(responses, count, size, retries):
    """And none is processed twice: what has no response is unknown, and not sent again."""
    tokens = [token(number) for number in range(count)]
    provider = Provider(responses)
    delivery = _deliver(provider.send_many, TokenSource(tokens), slice_size=size, retries=retries,
                        resends_unknown=False)
    aside = [one[0] for one in delivery.failed + delivery.not_sent + delivery.unknown]
    accepted = [one for one in tokens if one not in aside]
    assert delivery.accepted == len(accepted)
    assert sorted(accepted + aside) == tokens
    assert len(set(provider.processed)) == len(provider.processed)
    assert set(accepted) <= set(provider.processed)
    assert not set(provider.processed) & set(one[0] for one in delivery.failed + delivery.not_sent)
    assert all(one[-1] for one in delivery.not_sent + delivery.unknown)
    assert (delivery.rejection is None) or delivery.rejection.reason in ("BadTopic", "Forbidden")


def test_only_what_has_no_response_is_unknown():
    """The rest of the same slice is sent again."""
    provider = Provider([None, "unknown", "lost", "TooManyRequests"])
    tokens = [token(number) for number in range(4)]
    delivery = _deliver(provider.send_many, TokenSource(tokens), resends_unknown=False)
    assert delivery.unknown == [(tokens[1], "Unknown: no response")]
    assert (delivery.accepted, delivery.resent, delivery.not_sent) == (3, 2, [])
    assert provider.processed == tokens


def test_who_asks_for_a_long_pause_is_left_alone():
    """Apple wants 15 minutes after 5XX; what it took is no reason to ask it for the rest again."""
    tokens = [token(number) for number in range(6)]
    for taken in (1, 0):
        provider = Provider([None] * taken + ["ServiceUnavailable"] * (2 - taken) + [None] * 9)
        delivery = _deliver(provider.send_many, TokenSource(tokens), slice_size=2)
        put_off = tokens[1:2] if taken else tokens
        assert [one[0] for one in delivery.not_sent] == put_off
        assert set(one[1:] for one in delivery.not_sent) == set([
            (None, "ServiceUnavailable; send again in 900 s, the server asks")])
        assert (delivery.accepted, delivery.resent) == (6 - len(put_off), 0)


def test_what_cannot_be_sent_says_why():
    """Such as a header that is longer than the server takes, which has no response."""
    def send_many(messages):
        for message in messages:
            outcomes = RequestOutcomes()
            outcomes.add_undelivered(range(len(message.tokens)), (None, "Not sent: too long"))
            yield Result(message, outcomes=outcomes)

    delivery = _deliver(send_many, TokenSource([token(0)]), resends_unknown=False)
    assert delivery.not_sent == [(token(0), None, "Not sent: too long")]


@each("loss", ["add_unknown", "add_unprocessed", "add_undelivered"])
def test_what_a_result_says_to_do_is_explained_in_options(loss):
    """There it is text, at the end of another; the library's own words mean nothing here."""
    text = "Unknown: end of stream; " + REMEDIES["http2"]

    def send_many(messages):
        for message in messages:
            outcomes = RequestOutcomes()
            if loss == "add_unknown":
                outcomes.add_unknown(0, text[9:])
            else:
                getattr(outcomes, loss)([0], (None, text))
            yield Result(message, outcomes=outcomes)

    delivery = _deliver(send_many, TokenSource([token(0)]), resends_unknown=False, retries=0)
    said = [one[-1] for one in delivery.unknown + delivery.not_sent] + [delivery.error]
    assert said == ["Unknown: end of stream; if it speaks HTTP/2, give --http2"] * 2


def test_nothing_is_sent_after_a_rejection_that_concerns_every_token():
    """What is rejected for every token is not tried with further slices."""
    provider = Provider([None, "Forbidden"])
    source = TokenSource([token(number) for number in range(6)])
    delivery = _deliver(provider.send_many, source, slice_size=2, resends_unknown=False)
    assert delivery.accepted == 1
    assert [one[1:] for one in delivery.not_sent] == [(403, "Forbidden")] * 5
    assert len(provider.processed) == 1
    assert delivery.rejection.status == 403


def test_a_late_result_is_sent_again_and_counted_once():
    """What counted as accepted and was not leaves the count, and comes back into it."""
    tokens = [token(number) for number in range(6)]
    first = []

    def send_many(messages):
        for message in messages:
            if not first:
                first.append(message)
            yield Result(message)

    def close():
        if len(first) == 1:
            first.append(None)
            delivery.apply_late_result(Result(first[0], (8, 1)))

    delivery = Delivery(send_many, lambda tokens: Message(tokens, alert="x"), TokenSource(tokens),
                        slice_size=3, close=close)
    delivery.run()
    assert delivery.accepted == 5
    assert [one[0] for one in delivery.failed] == [tokens[1]]
    assert delivery.not_sent == []
    assert delivery.resent == 1


def test_pauses_grow_while_nothing_goes(monkeypatch):
    """Each is twice as long as the one before, up to a minute; progress starts them anew."""
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    gateway = Gateway([7] * 10 + [2] + [7] * 3)
    delivery = _deliver(gateway.send_many, TokenSource(["1", "2", "3"]), retries=12, pause=1.0)
    assert delivery.not_sent == []
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 1, 2]


def test_no_more_tokens_are_taken_while_nothing_goes():
    """A list of any length does not end up in memory because the gateway is out of order."""
    source = TokenSource([], io.BytesIO(b"1\n2\n3\n4\n5\n6\n"))
    delivery = _deliver(Gateway([3] * 100).send_many, source, slice_size=1, retries=2)
    assert source.count == len(delivery.not_sent) == 1
    assert not source.is_exhausted


def test_it_works_where_signals_cannot_be_handled(monkeypatch):
    """In a thread that is not the main one, SIGINT is somebody else's business."""
    def refuse(number, handler):
        raise ValueError("signal only works in main thread")

    monkeypatch.setattr(signal, "signal", refuse)
    assert _deliver(Gateway([]).send_many, TokenSource(["1"])).accepted == 1


def test_sigint_before_the_first_message_sends_nothing():
    """What had been taken by then is reported as not sent."""
    before = signal.getsignal(signal.SIGINT)
    sent = []

    def send_many(messages):
        for message in messages:
            sent.append(message)
            yield Result(message)

    def interrupted(tokens):
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        return Message(tokens, alert="x")

    delivery = Delivery(send_many, interrupted, TokenSource(["1", "2", "3"]), slice_size=2)
    try:
        delivery.run()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent == []
    assert delivery.is_interrupted
    assert [one[0] for one in delivery.not_sent] == ["1", "2", "3"]


@pytest.mark.parametrize("can_say", [True, False])
def test_sigint_while_responses_are_awaited_says_so_once(can_say):
    """Where that cannot be written, the delivery ends all the same."""
    before = signal.getsignal(signal.SIGINT)
    said = []

    def say(line):
        said.append(line)
        if not can_say:
            raise Failure("cannot write", 4)

    def send_many(messages):
        messages = list(messages)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        for message in messages:
            yield Result(message)

    delivery = Delivery(send_many, lambda tokens: Message(tokens, alert="x"),
                        TokenSource(["1", "2", "3"]), slice_size=2, notify=say)
    try:
        delivery.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(said) == 1
    assert (delivery.accepted, delivery.is_interrupted, delivery.unknown) == (3, True, [])


@pytest.mark.parametrize("is_connected", [True, False])
def test_sigint_before_the_first_response_waits_for_it_if_there_is_a_connection(is_connected):
    """Whether the client asks for the next message then or not; it is said once."""
    before = signal.getsignal(signal.SIGINT)
    said = []

    def send_many(messages):
        messages = iter(messages)
        message = next(messages)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        assert list(messages) == []
        yield Result(message)

    delivery = Delivery(send_many, lambda tokens: Message(tokens, alert="x"),
                        TokenSource(["1", "2", "3"]), slice_size=2, notify=said.append,
                        is_connected=lambda: is_connected)
    try:
        delivery.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert [one[0] for one in delivery.not_sent] == ["3"]
    assert delivery.is_interrupted
    if is_connected:
        assert (delivery.accepted, delivery.unknown, len(said)) == (2, [], 1)
    else:
        assert [one[0] for one in delivery.unknown] == ["1", "2"]
        assert said == []


# Small things that the commands share.

@pytest.mark.parametrize("given_text, expected", [
    ("push_sandbox", "push_sandbox"), ("localhost:2195", ("localhost", 2195)),
    ("[::1]:2195", ("::1", 2195)), ("192.0.2.1:1", ("192.0.2.1", 1))])
def test_addresses(given_text, expected):
    """Names are left to the session, which knows them."""
    assert _options.address(given_text) == expected


def test_times():
    """A pause may be none; a time limit may not."""
    assert [_options.pause(value) for value in ("0", "0.0", "2.5")] == [0, 0, 2.5]
    for kind, value in ((_options.pause, "-0.1"), (_options.pause, "nan"), (_options.pause, "1e9"),
                        (_options.seconds, "0"), (_options.seconds, "inf"), (_options.seconds, "")):
        with pytest.raises(argparse.ArgumentTypeError):
            kind(value)


@pytest.mark.parametrize("value, expected", [
    (ValueError("two\nlines"), "two lines"), (IOError(2, "No such file"), "No such file"),
    (ValueError(), "ValueError"), (ValueError(u"Gr\u00fc\u00dfe"), u"Gr\u00fc\u00dfe"),
    (u"text", "text"), (b"bytes", "bytes")])
def test_one_line(value, expected):
    """Whatever an exception says, the user gets one line of it."""
    assert one_line(value) == expected


def test_what_the_encoding_lacks_is_escaped():
    """A terminal that knows only ASCII is no reason to fail."""
    raw = io.BytesIO()

    class Stream(object):
        encoding = "ascii"

        def write(self, text):
            raw.write(text if isinstance(text, bytes) else text.encode("ascii"))

    write_line(Stream(), u"Gr\u00fc\u00dfe")
    assert raw.getvalue() == b"Gr\\xfc\\xdfe\n"


def test_a_closed_stream_is_no_terminal(monkeypatch):
    """And nothing to fail over."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    console = Console()
    assert not console.is_terminal()
    console.abandon()


def test_a_write_that_fails_says_so():
    """With status 4."""
    class Full(object):
        name = "<full>"
        encoding = None

        def write(self, text):
            raise IOError(28, "No space left on device")

    with pytest.raises(Failure) as failure:
        write_line(Full(), "x")
    assert failure.value.status == 4
    assert str(failure.value) == "cannot write to <full>: No space left on device"


@pytest.mark.timeout(240)
def test_a_source_that_was_stopped_does_not_wait_for_a_pipe():
    """An interruption right before the read counts as one in the midst of it."""
    theirs, ours = os.pipe()
    with io.open(theirs, "rb") as stream:
        source = TokenSource(["aa"], stream)
        source.stop()
        with pytest.raises(KeyboardInterrupt):
            source.take(2)
        assert source.rest() == ["aa"]
    os.close(ours)


class _Interrupting(io.RawIOBase):
    """A terminal that gets a signal from outside in the middle of the first write."""

    def __init__(self):
        super(_Interrupting, self).__init__()
        self.written = bytearray()
        self.has_noted = False

    def writable(self):
        return True

    def write(self, data):
        self.written += bytearray(data)
        if not self.has_noted:
            self.has_noted = True
            os.kill(os.getpid(), signal.SIGINT)
        return len(data)


def test_a_note_in_the_middle_of_another_follows_it(monkeypatch):
    """A stream refuses to be written to by a signal handler that interrupts a write to it."""
    terminal = _Interrupting()
    stream = io.BufferedWriter(terminal)
    if not PY2:
        stream = io.TextIOWrapper(stream, "ascii", write_through=True, line_buffering=True)
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console()
    previous = signal.signal(signal.SIGINT, lambda number, frame: console.note("interrupted"))
    try:
        with console.writing():
            stream.write("a bar\n")
            stream.flush()
    finally:
        signal.signal(signal.SIGINT, previous)
    stream.flush()
    assert terminal.written == b"a bar\ninterrupted\n"
