"""Callers who leave at any line of another one's call: nothing of theirs stays behind."""

from __future__ import absolute_import, division, print_function

import os
import sys
import threading

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.sending.calls import Call
from apnsclient.sync import host
from apnsclient.sync.intake import work_of
from apnsclient.testing.simulator import ProviderScript
from effort import IS_BRIEF
from frame_peers import ACCEPTED, client_for, message, outcome
from net_support import SOON

pytestmark = pytest.mark.timeout(240)

#: Where callers and connections are brought together.
_FILES = tuple(os.path.join(os.path.dirname(host.__file__), name) for name in (
    "connections.py", "host.py", "http2.py"))


def call_at(number, strike, function):
    """Call a function, and ``strike()`` before one of the lines of the files.

    :param number: which of the lines (int, from 1).
    :return: whether there was such a line.
    """
    lines = []

    def trace_line(frame, event, argument):
        if event == "line":
            lines.append(frame.f_lineno)
            if len(lines) == number:
                sys.settrace(None)
                strike()
        return trace_line

    def trace_call(frame, event, argument):
        return trace_line if frame.f_code.co_filename.endswith(_FILES) else None

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        function()
    finally:
        sys.settrace(before)
    return len(lines) >= number


def in_thread(function):
    """Call a function in another thread, while this one waits for it."""
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive()


@pytest.mark.parametrize("leave", [
    lambda results: results.pop(), lambda results: in_thread(results.pop().close)],
    ids=["collected by the same thread", "closed by another thread"])
def test_a_caller_may_leave_at_any_line_of_anothers_call(apple, leave):
    """The lock may be held by this very thread, or by another one, which nobody waits for."""
    apple.script_provider(ProviderScript(settings={"max_concurrent_streams": 2}))
    session = apple.session(protocol="http2")
    client = client_for(session, apple)
    assert outcome(client.send(message())) == ACCEPTED
    for number in range(1, 5000, 4 if IS_BRIEF else 1):
        results = [client.send_many([message(), message(count=3)])]
        assert outcome(next(results[0])) == ACCEPTED
        assert "1 in use" in repr(session)
        sent = []
        is_struck = call_at(number, lambda results=results: leave(results),
                            lambda sent=sent: sent.append(client.send(message(5))))
        assert [outcome(one) for one in sent] == [ACCEPTED], number
        if not is_struck:
            break
        assert "1 idle, 0 in use, 0 callers waiting" in repr(session), number
    assert number > 100
    assert apple.provider_connections == 1


def test_two_callers_never_lead_at_the_same_time(apple, monkeypatch):
    """One comes while the connections are given back, and another one at any line from there on."""
    for number in range(1, 5000):
        client, joined = client_for(apple.session(protocol="http2"), apple), []
        shared = client._connection._host()
        give_back = shared._connections.release

        def join(shared=shared, joined=joined):
            call, sent = Call(), message()
            # Nobody comes in while this thread has the lock.
            if shared._lock.acquire(False):
                joined.append((call, shared._join(call, [work_of(sent, sent.request_template())])))
                shared._lock.release()

        def release(leases, opening, join=join, give_back=give_back):
            give_back(leases, opening)
            in_thread(join)

        monkeypatch.setattr(shared._connections, "release", release)
        is_struck = call_at(
            number, lambda join=join, joined=joined: joined and in_thread(join),
            lambda client=client: client.send(message(2)))
        leads = [lead or claim.lead for _, (lead, claim) in joined]
        assert len([one for one in leads if one is not None and not one.is_over]) == 1, number
        if not is_struck:
            break
    assert number > 100


def test_who_has_waited_longest_leads_next(apple):
    """Nobody waits on and on while others come and go."""
    shared, joined = client_for(apple.session(protocol="http2"), apple)._connection._host(), []
    for _ in range(4):
        sent = message()
        joined.append(shared._join(Call(), [work_of(sent, sent.request_template())]))
    shared._hand_over(joined[0][0])
    assert [claim.lead is not None for _, claim in joined[1:]] == [True, False, False]
