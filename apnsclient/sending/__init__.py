"""Drivers: each drives one protocol over a connection that was leased from a back-end.

A driver knows when to write, when to look for an answer and how long to wait for one. What the
bytes mean is the protocol's business, how they travel the back-end's.

:mod:`.binary`, :mod:`.binary_stream` and :mod:`.binary_message` decide, and leave waiting, reading
and writing to :mod:`apnsclient.sync.binary`. :mod:`.http2` drives one connection,
:mod:`.http2_dispatch` sends many messages over one connection after the other, and
:mod:`.http2_parcels` is what goes out over HTTP/2.
"""
