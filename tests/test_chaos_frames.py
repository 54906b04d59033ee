"""What the protocols of the chaos proxy take for a frame, and what not."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.testing.chaos.protocols import Protocol

#: The beginning of what a server of TLS says.
TLS = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"


@pytest.mark.parametrize("name, to_backend", [
    ("apns", True), ("apns", False), ("http2", True)])
def test_tls_has_no_frames(name, to_backend):
    """It is recognised by its first byte, and no frame is counted however long it goes on."""
    protocol = Protocol.get(name)()

    assert protocol.frame_ends(TLS * 100, to_backend) == []
    assert protocol.frame_ends(b"\x08" * 100, to_backend) == []
