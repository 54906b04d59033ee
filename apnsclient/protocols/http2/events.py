"""What a client's connection tells: what became of its requests, and how the peer ends it."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

__all__ = ["GoAway", "Response", "Reset"]

#: A request was answered: with anything but 200, or it was one of :meth:`ClientConnection.ask`.
#: ``block`` is its header block where that stands alone (bytes), else the fields in it (list).
#: If it is cut off, its end has not come, and the body may want something.
Response = namedtuple("Response", "batch stream status block body is_cut_off")
Response.__new__.__defaults__ = (False,)

#: A request was not answered, and will not be, because of an error code. If it is unprocessed that
#: is proven: the peer refused the stream, or named an earlier one in a GOAWAY. So it is if the
#: request is not whole: its end was not sent yet, and a part of one means nothing to anybody.
Reset = namedtuple("Reset", "batch stream code is_unprocessed is_whole")

#: What the peer said when it began to end the connection.
GoAway = namedtuple("GoAway", "last_stream code debug")
