"""Every token ends in exactly one place, whatever the gateway does: checked against a model of it.

The model is in ``gateway_model.py``; here chance combines its scripts with the calls of a client.
"""

from __future__ import absolute_import, division, print_function

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.apns import Message
from effort import examples
from gateway_model import REFUSE, SHUTDOWN, VERDICTS, Scenario, Script, numbered

scripts = st.lists(st.builds(
    Script,
    refuses_connection=st.sampled_from([False] * 9 + [True]),
    verdict=st.sampled_from((None, REFUSE, REFUSE, REFUSE, SHUTDOWN) + VERDICTS),
    after=st.integers(0, 8),
    status=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 128, 255]),
    hold=st.sampled_from([0, 0, 1, 2, 3, 5, 8, 1000]),
    cut=st.sampled_from([1, 4, 64]),
    shuts_writing=st.booleans(),
    write_limit=st.one_of(st.none(), st.none(), st.integers(0, 500), st.integers(0, 100000)),
    keeps_frame=st.booleans(),
    idle=st.sampled_from([None, None, "closed", "peek", "write", "swallow"]),
), max_size=6)

#: Sizes of the messages of one call; with True, one call of send() for each.
calls = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 6), max_size=5)), max_size=5)


# A client that hangs without a single read or write ends the run: hypothesis would take the usual
# exception for a finding, and run into the same again and again.
@pytest.mark.timeout(240, method="thread")
@examples(250)
@given(data=st.data(), scripts=scripts, calls=calls, can_detect_close=st.booleans(),
       tail=st.sampled_from([3, 3, 0]), buffer_size=st.sampled_from([1, 100, 2048]),
       pool_size=st.sampled_from([5, 5, 1, 0, None]), use_cache=st.booleans())
def test_every_token_of_every_message_ends_in_exactly_one_place(
        data, scripts, calls, can_detect_close, tail, buffer_size, pool_size, use_cache):
    """Accepted, failed, to be retried, refused as a whole, raised; never lost or out of order."""
    logging.disable(logging.CRITICAL)
    try:
        scenario = Scenario(scripts, can_detect_close, tail, buffer_size, pool_size, use_cache)
        first = 0
        for is_single, sizes in calls:
            messages = []
            for size in sizes:
                tokens = numbered(size, first)
                first += size
                if size > 3:
                    tokens[data.draw(st.integers(0, size - 1))] = data.draw(
                        st.sampled_from([None, "zz%d" % first]))
                # A large payload makes the driver look for an error frame within the message.
                payload = data.draw(st.sampled_from([2, 2, 30000])) * "x"
                messages.append(Message(tokens, payload=payload))
            # Without a pool, send() takes a last look when its result is decided already, which
            # cannot be told here from a result that ignores what was seen.
            if is_single and pool_size != 0:
                for one in messages:
                    scenario.send(one)
            else:
                scenario.send_many(messages, data.draw(st.booleans()))
        scenario.finish()
    finally:
        logging.disable(logging.NOTSET)
