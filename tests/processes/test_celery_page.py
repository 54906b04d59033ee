"""The worker of docs/celery.rst, as it stands there, with a real broker."""

import json

import pytest

pytest.importorskip("celery")
pytest.importorskip("redis")

from celery import Celery

from apnsclient import Message
from celery_brokers import redis_server
from celery_support import TOPIC, Worker
from docs_support import find_blocks, read_files, read_page
from net_support import SOON, make_tokens


def test_the_worker_of_the_page_sends(tmp_path, simulator):
    """Its files are all that a worker needs, and another program queues by the name of the task."""
    for name, text in read_files(find_blocks(read_page("docs/celery.rst"))).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "site.json").write_text(json.dumps(simulator.provider_address))
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_text(simulator.ca_string)
    (tmp_path / "certs" / "key.p8").write_text(simulator.key_string)
    tokens = make_tokens(100)
    simulator.devices.uninstall(tokens[7], 1700000000)
    message = Message(tokens, alert="Dinner is ready", apns_topic=TOPIC)

    with redis_server(tmp_path) as url, Celery(broker=url, backend=url) as program:
        worker = Worker(tmp_path, "prefork", application="shop", CELERY_BROKER_URL=url,
                        CELERY_RESULT_BACKEND=url)
        try:
            counts = program.send_task("apns.send_push", [message.__getstate__()],
                                       {"target": "simulator"}).get(timeout=SOON)
        finally:
            worker.stop()

    assert (counts["accepted"], counts["gone"]) == (99, 1), worker.output
    assert sorted(simulator.accepted_tokens()) == tokens[:7] + tokens[8:]
