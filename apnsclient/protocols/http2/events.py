"""Events of a client's connection: what became of its requests, and how the peer ends it."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ..._compat import MYPY

if MYPY:
    from typing import NamedTuple

__all__ = ["GoAway", "Response", "Reset"]

#: A response with any status but 200, or one to a request of :meth:`ClientConnection.request`.
#: ``block`` is its header block where that stands alone (bytes), else the fields in it (list).
#: If it is cut off, its end has not come, and the body may want something.
Response = namedtuple("Response", "batch stream status block body is_cut_off")
Response.__new__.__defaults__ = (False,)

#: A request had no response, and will have none, because of an error code. If it is unprocessed
#: that is proven: the peer refused the stream, or named an earlier one in a GOAWAY, or the request
#: is not whole: its end was not sent yet, and a part of one means nothing to anybody.
Reset = namedtuple("Reset", "batch stream code is_unprocessed is_whole")

#: What the peer said when it began to end the connection.
if MYPY:
    GoAway = NamedTuple("GoAway", [("last_stream", int), ("code", int), ("debug", bytes)])
else:
    GoAway = namedtuple("GoAway", "last_stream code debug")
