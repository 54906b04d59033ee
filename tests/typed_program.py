"""A program that uses the package: the type checker reads it, and nothing runs it."""

from __future__ import absolute_import, division, print_function

from datetime import datetime, timedelta

from apnsclient import APNs, Message, ProviderToken, Result, Session
from apnsclient.testing.simulator import Simulator


def tell(result):
    # type: (Result) -> int
    for token, (code, explanation) in result.failed.items():
        print("refused", token, code, explanation)
    for token, when in result.gone.items():
        print("dead", token, when.year)
    print(result.hint or "", result.retry_after or 0)
    for failure in result.errors:
        print(failure.status, failure.reason, failure.apns_id)
    retry = result.retry()
    return 0 if retry is None else len(retry.tokens)


with Simulator() as simulator:
    session = Session(protocol="http2", ca_string=simulator.ca_string, pool_size=3)
    credential = ProviderToken(**simulator.token_parameters)
    client = APNs(session.get_connection(simulator.provider_address, certificate=credential))
    messages = [
        Message(["aa" * 32], alert={"title": "Dinner"}, expiry=datetime.now(), table=4),
        Message(b"bb" * 32, payload='{"aps": {}}', expiry=timedelta(hours=1), apns_topic="x.y"),
    ]
    print(tell(client.send(messages[0])))

    results = client.send_many(messages)
    print(tell(next(results)))
    results.close()

    rows = client.feedback()
    for gone, when in rows:
        print(gone.decode("ascii"), when.year)
    rows.close()

    session.get_connection(simulator.gateway_address, **simulator.token_parameters)
    session.outdate(timedelta(minutes=5))
