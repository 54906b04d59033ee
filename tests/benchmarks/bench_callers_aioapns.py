"""The tasks of aioapns that ``bench_callers.py`` compares with: one connection.

Python 3 only. aioapns knows a response by the ``apns-id`` of its request, so that it needs a server
that returns it.
"""

from __future__ import absolute_import, division, print_function

import asyncio
import json
import os
import ssl
import tempfile

import aioapns
import aioapns.connection
from bench_callers_client import Calls
from bench_http2 import TOPIC, measured
from bench_support import clock, new_tokens


def tasks(job):
    """Send as that many tasks at a time; return what was measured."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    callers, tokens = job["callers"], new_tokens(job["callers"] * job["each"])
    sender = loop.run_until_complete(_new_sender(job))

    def run(lists):
        loop.run_until_complete(_gather(sender, lists))

    if job["is_warm"]:
        run([tokens[:1]])
        run([[token] for token in tokens[:callers]])
        sender.calls = Calls()
    figure = measured(len(tokens), lambda: run([tokens[number::callers]
                                                for number in range(callers)]))
    return sender.calls.summary(figure, 1)


async def _new_sender(job):
    """aioapns wants to be made while its loop runs."""
    protocol = aioapns.connection.APNsProductionClientProtocol
    protocol.APNS_SERVER, protocol.APNS_PORT = job["address"]
    return _Sender(job)


async def _gather(sender, lists):
    """Send as one task for each list of tokens."""
    await asyncio.gather(*[sender.send_all(tokens) for tokens in lists])


class _Sender(object):
    """Sends single messages, and keeps what came out.

    :ivar calls: :class:`~bench_callers_client.Calls`.
    """

    def __init__(self, job):
        self.calls = Calls()
        self._client = _new_client(job["certificate"])
        self._payload = json.loads(job["payload"])

    async def send_all(self, tokens):
        """Send to one token after the other."""
        for token in tokens:
            begin = clock()
            request = aioapns.NotificationRequest(
                device_token=token, message=self._payload, priority=10,
                push_type=aioapns.PushType.ALERT)
            try:
                response = await self._client.send_notification(request)
                assert response.is_successful, response.description
            except Exception as error:
                self.calls.errors.append(repr(error))
            self.calls.seconds.append(clock() - begin)


def _new_client(certificate):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    handle, path = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as target:
            target.write(certificate)
        context.load_cert_chain(path)
        return aioapns.APNs(client_cert=path, topic=TOPIC, max_connections=1, ssl_context=context)
    finally:
        os.remove(path)
