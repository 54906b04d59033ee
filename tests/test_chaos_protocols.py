"""Protocols: where the frames end in what passes."""

from __future__ import absolute_import, division, print_function

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import APNs, Message, Session
from apnsclient.protocols.http2 import frames as http2_frames
from apnsclient.testing.chaos import ChaosProxy, ConfigurationError
from apnsclient.testing.chaos.handlers.base import BaseHandler
from apnsclient.testing.chaos.protocols import Protocol
from apnsclient.testing.chaos.protocols.base import BaseProtocol
from apnsclient.testing.chaos.tls import ChaosTLS
from chaos_support import await_end, registered
from fault_support import Link, read_rest


class Lines(BaseProtocol):
    """A protocol as one writes it: the first byte says how many follow."""

    name = "lines"

    def frame_length(self, head, to_backend):
        length = bytearray(head)[0]
        if length == 255:
            raise ValueError("no frame")
        return 1 + length


def protocol(kind, **settings):
    made = Protocol.get(kind)() if not isinstance(kind, type) else kind()
    made.settings = settings
    return made


def find_ends(protocol, pieces, to_backend):
    found, position = [], 0
    for piece in pieces:
        found += [position + end for end in protocol.frame_ends(piece, to_backend)]
        position += len(piece)
    return found


@given(lengths=st.lists(st.integers(0, 254), max_size=8), data=st.data())
def test_frames_are_found_however_the_data_come(lengths, data):
    """Whole, in pieces, byte by byte, and in both directions at once."""
    stream = b"".join(bytes(bytearray([length])) + b"x" * length for length in lengths)
    ends = [sum(lengths[:number + 1]) + number + 1 for number in range(len(lengths))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[begin:end] for begin, end in zip([0] + cuts, cuts + [len(stream)])]
    both = protocol(Lines)
    assert find_ends(both, [stream], True) == ends
    assert find_ends(both, pieces, False) == ends
    single = [stream[at:at + 1] for at in range(len(stream))]
    assert find_ends(protocol(Lines), single, True) == ends


def test_what_is_no_frame_has_no_end():
    """Nothing is made up after the frames are lost."""
    assert find_ends(protocol(Lines), [b"\1x\xff\1x", b"\0\0"], True) == [2]
    assert protocol("tcp").frame_ends(b"abc", True) == [3]
    assert protocol("tcp").frame_ends(b"", True) == []


def test_a_protocol_without_frame_length_is_told():
    """By name, when it is used first."""
    with pytest.raises(NotImplementedError) as caught:
        type("Empty", (BaseProtocol,), {"name": "empty"})().frame_ends(b"x", True)
    assert "Empty has no frame_length()" in str(caught.value)


def test_a_protocol_that_cannot_be_made_ends_the_connection_alone(caplog):
    """Its record and the log say why, and the proxy goes on."""
    class Demanding(Lines):
        """Wants something that nobody gives it."""

        name = "demanding"

        def __init__(self, something):
            super(Demanding, self).__init__()

    Protocol.register(Demanding)
    try:
        with Link("dummy", protocol="demanding") as link:
            for _ in range(2):
                assert read_rest(link.connect()) == (b"", "reset")
            record = await_end(link.proxy, 2)
            assert record.error.startswith("the protocol failed: TypeError: ")
    finally:
        Protocol.unregister("demanding")
    assert "Connection 2: the protocol failed." in caplog.text


def test_frames_of_the_binary_protocol():
    """Notifications in the three formats, error frames and feedback rows."""
    token, payload = b"\0\x20" + b"t" * 32, b"\0\5hello"
    frames = [b"\0" + token + payload, b"\1" + b"i" * 8 + token + payload,
              b"\2\0\0\0\3abc"]
    ends = [len(b"".join(frames[:number])) for number in (1, 2, 3)]
    assert find_ends(protocol("apns"), [b"".join(frames)], True) == ends
    assert find_ends(protocol("apns"), [b"\7" + frames[0]], True) == []
    assert find_ends(protocol("apns"), [b"\x08\x08\0\0\0\1"], False) == [6]
    rows = b"time\0\2ab" + b"time\0\0"
    assert find_ends(protocol("apns", service="feedback"), [rows], False) == [8, 14]
    with pytest.raises(ConfigurationError):
        ChaosProxy(("127.0.0.1", 1), protocol="apns", protocol_settings={"service": "mail"})


def test_the_client_s_own_frames_are_found(simulator):
    """Of a message to three devices, each notification is a frame."""
    class Frames(BaseHandler):
        """Notes how many frames have ended."""

        name = "frames"

        def __call__(self, client_sock, backend_sock, to_backend):
            data = self.forward(client_sock, backend_sock, to_backend)
            for _ in self.frame_ends(data, to_backend):
                self.note("frame %s" % to_backend)
            return True

    tls = ChaosTLS.from_authority(simulator.authority)
    with registered(Frames), ChaosProxy(simulator.gateway_address, "100:frames", protocol="apns",
                                        tls=tls) as proxy:
        session = Session(ca_string=simulator.ca_string, read_tail_timeout=20)
        connection = session.get_connection(proxy.address, cert_string=simulator.cert_string)
        APNs(connection).send(Message(["aa" * 32, "bb" * 32, "cc"], alert="x"))
        session.shutdown()
        assert await_end(proxy).faults == ["frame True"] * 3 + ["frame False"]


def test_frames_of_http2():
    """The preface belongs to the first frame; what the server sends has none."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    frames = [http2_frames.frame(4, 0, 0, b""), http2_frames.frame(0, 1, 1, b"x" * 300)]
    assert find_ends(protocol("http2"), [preface + frames[0] + frames[1]], True) == [33, 342]
    assert find_ends(protocol("http2"), frames, False) == [9, 318]
    assert find_ends(protocol("http2"), [b"GET / HTTP/1.1\r\n\r\n" * 9], True) == []
