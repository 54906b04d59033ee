"""The fault ``cut-after-frames``: the connection is closed between two frames."""

from __future__ import absolute_import, division, print_function

import socket

import pytest

from apnsclient.protocols import binary
from apnsclient.protocols.http2 import frames
from fault_support import DATA, Link, both_ways, modes, read_exactly, read_rest


def notification(number):
    """Return the frame of a notification; its length depends on the number."""
    encoder = binary.NotificationEncoder(b"{" + b" " * number + b"}", 0, 10)
    return b"".join(chunk for _, _, chunk in encoder.chunks(["%064x" % number], 1000, number))


#: By protocol and direction: frames that are different in length.
FRAMES = {
    ("apns", "to_backend"): [notification(number) for number in range(6)],
    ("apns", "to_client"): [binary.encode_error(8, number) for number in range(6)],
    ("http2", "to_backend"): (
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames.settings_frame([(3, 100)])]
        + [frames.header_frames(1, b"\x88" * number, False) for number in range(3)]
        + [frames.data_frames(1, DATA, True), frames.ping(b"12345678")]),
    ("http2", "to_client"): [
        frames.settings_frame([]), frames.SETTINGS_ACK, frames.ping(b"12345678"),
        frames.data_frames(1, DATA, True), frames.header_frames(1, b"", True),
        frames.goaway(9, 2, b"{}")],
}

each_protocol = pytest.mark.parametrize("protocol", ["apns", "http2"])


@modes
@both_ways
@each_protocol
@pytest.mark.parametrize("count", [1, 3, 6])
def test_exactly_so_many_frames_get_through(mode, direction, protocol, count):
    """All that is sent comes in one piece, and is cut within it; both sides see the end."""
    sent = FRAMES[protocol, direction]
    with Link("cut-after-frames", mode, protocol=protocol, count=count,
              direction=direction) as link:
        sender, receiver = link.ends(direction)
        receiver.sendall(DATA)
        assert read_exactly(sender, len(DATA)) == DATA
        sender.sendall(b"".join(sent))

        assert read_rest(receiver) == (b"".join(sent[:count]), "end")
        assert read_rest(sender) == (b"", "end")
        link.await_faults("cut after %d frames %s" % (count, direction))


@both_ways
@each_protocol
def test_frames_may_come_byte_by_byte(protocol, direction):
    """What has come of a frame is passed on at once, and the end is with its last byte."""
    sent = b"".join(FRAMES[protocol, direction][:3])
    with Link("cut-after-frames", protocol=protocol, count=3, direction=direction) as link:
        sender, receiver = link.ends(direction)
        for position in range(len(sent)):
            sender.sendall(sent[position:position + 1])
            assert read_exactly(receiver, 1) == sent[position:position + 1]

        assert read_rest(receiver) == (b"", "end")


@each_protocol
def test_a_connection_with_fewer_frames_is_not_touched(protocol):
    """One frame short of the limit, both directions come to their own end."""
    with Link("cut-after-frames", protocol=protocol, count=7) as link:
        client, backend = link.open()
        client.sendall(b"".join(FRAMES[protocol, "to_backend"]))
        client.shutdown(socket.SHUT_WR)

        assert read_rest(backend) == (b"".join(FRAMES[protocol, "to_backend"]), "end")
        backend.sendall(b"".join(FRAMES[protocol, "to_client"]))
        backend.close()
        assert read_rest(client) == (b"".join(FRAMES[protocol, "to_client"]), "end")
        assert link.await_end().faults == []


def test_what_is_no_frame_is_never_cut():
    """Nor is TLS that passes through: there are no frames in it to be seen."""
    with Link("cut-after-frames", protocol="apns") as link:
        client, backend = link.open()
        client.sendall(DATA[9:])
        client.shutdown(socket.SHUT_WR)

        assert read_rest(backend) == (DATA[9:], "end")
        assert link.record.faults == []
    with Link("cut-after-frames", "through", protocol="apns") as link:
        client, backend = link.open()
        for _ in range(3):
            client.sendall(notification(1))
        assert read_exactly(backend, 3 * len(notification(1))) == 3 * notification(1)


def test_nothing_gets_through_with_a_count_of_0():
    """Both sides see the end as soon as the connection stands."""
    with Link("cut-after-frames", protocol="apns", count=0) as link:
        client, backend = link.open()

        assert read_rest(client) == read_rest(backend) == (b"", "end")
        link.await_faults("cut after 0 frames to_backend")


def test_without_frames_each_piece_of_data_counts():
    """That is what the protocol tcp takes for a frame."""
    with Link("cut-after-frames", count=2, direction="to_backend") as link:
        client, backend = link.open()
        client.sendall(b"one")
        assert read_exactly(backend, 3) == b"one"
        client.sendall(b"two")

        assert read_rest(backend) == (b"two", "end")
