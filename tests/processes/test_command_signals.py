"""``apns`` as a process: Ctrl-C and SIGTERM, and the status that a shell gets."""

from __future__ import absolute_import, division, print_function

import json
import os
import signal

from apnsclient.testing.simulator import Script, Simulator
from chaos_support import echo, exchange
from cli_processes import apns_process, command, finish, interrupt_until_ended, running
from cli_support import Bed, token
from stdio_support import Server

TOKENS = [token(number) for number in range(1, 4)]


def _lines(tokens):
    return ("\n".join(tokens) + "\n").encode("ascii")


def test_the_status_reaches_the_shell():
    """A command that is wrong ends in one line."""
    ended = apns_process("chaos", "--behavior", "20:nothing")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("apns: error: there is no handler 'nothing'; expected one of ")
    assert ended.err.count("\n") == 1


def test_ctrl_c_while_reading_tokens_ends_in_good_order(simulator, tmp_path):
    """What was sent is waited for and reported; status 130, no traceback."""
    bed = Bed(simulator, tmp_path)
    with running(command(*bed.arguments("--alert", "hi", "--slice", "1"))) as process:
        process.stdin.write(_lines(TOKENS))
        process.stdin.flush()
        assert simulator.wait_for(lambda: simulator.accepted_count == 3, 30)
        process.send_signal(signal.SIGINT)
        # Its standard input stays open: only the signal ends it.
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait() == 130
    assert out.startswith(b"3 of 3 tokens accepted, 0 failed, 0 not sent, 0 unknown")
    assert b"apns: the list of tokens was not read to its end" in err
    assert b"Traceback" not in err


def test_ctrl_c_twice_does_not_wait(tmp_path):
    """Each token is accounted for: what is on its way is unknown."""
    tokens = [token(number) for number in range(1, 3001)] * 10
    # It reads 300 notifications, and then nothing more.
    with Simulator(receive_buffer=4096, script=Script(stall_after=300)) as simulator:
        bed = Bed(simulator, tmp_path)
        arguments = bed.arguments("--alert", "hi", "--json", "--slice", "100", "--tokens-file",
                                  bed.file("tokens", _lines(tokens)))
        with running(command(*arguments)) as process:
            assert simulator.wait_for(lambda: simulator.accepted_count == 300, 30)
            ended = interrupt_until_ended(process)
    assert ended.status == 130
    assert "Traceback" not in ended.err
    shown = ended.document
    assert shown["interrupted"] is True
    assert len(shown["unknown"]) >= 300
    assert (shown["accepted"] + len(shown["failed"]) + len(shown["not_sent"])
            + len(shown["unknown"])) == shown["tokens"] == 30000
    assert shown["read_to_end"] is True


def test_the_simulator_runs_until_a_signal():
    """Status 0. The temporary files are gone then."""
    with running(command("simulator", "--json", "--temporary")) as process:
        ready = json.loads(process.stdout.readline().decode("ascii"))
        assert ready["pid"] == process.pid
        assert os.path.exists(ready["cert_file"])
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["event"] == "summary"
    assert not os.path.exists(os.path.dirname(ready["cert_file"]))


def test_the_chaos_proxy_runs_until_a_signal():
    """A line for each connection as soon as it is over, and a summary. Status 0."""
    with Server(echo) as backend, running(command(
            "chaos", "--json", "--proxy", "127.0.0.1:0", "--backend",
            "%s:%d" % backend.address)) as process:
        ready = json.loads(process.stdout.readline().decode("ascii"))
        host, port = ready["proxy"].split(":")
        process.address = host, int(port)
        assert exchange(process, b"hello") == b"hello"
        row = json.loads(process.stdout.readline().decode("ascii"))
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert (row["event"], row["bytes_to_client"]) == ("connection", 5)
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["connections"] == 1
