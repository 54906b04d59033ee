"""The file of ``apns simulator --record``."""

from __future__ import absolute_import, division, print_function

import io
import json
import os

from .._compat import MYPY
from ..testing.simulator.observer import Observer
from ._console import USAGE, Failure, one_line

if MYPY:
    from typing import Any, Dict, Optional, Sequence

    from ..testing.simulator import Exchange

__all__ = ["RecordFile"]


class RecordFile(Observer):
    """Appends the notifications that are accepted to a file; does nothing without a name.

    It is written by the simulator's thread.

    :param name: name of the file (str), or None.
    :raises Failure: if it cannot be opened.
    """

    def __init__(self, name):
        # type: (Optional[str]) -> None
        #: Why it could not be written completely (str), or None.
        self.error = None  # type: Optional[str]
        self._stream = None  # type: Any
        if name is not None:
            try:
                self._stream = io.open(name, "ab")
            except EnvironmentError as error:
                raise Failure("cannot write the record %r: %s"
                              % (str(name), os.strerror(error.errno or 0)), USAGE)

    def arrived(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Append notifications; after a failure nothing more is written."""
        if self._stream is None or self.error is not None:
            return
        rows = [json.dumps(_row(one), sort_keys=True) + "\n"
                for one in exchanges if one.is_processed]
        try:
            self._stream.write("".join(rows).encode("ascii"))
            self._stream.flush()
        except EnvironmentError as error:
            self.error = one_line(error)

    def __enter__(self):
        # type: () -> RecordFile
        return self

    def __exit__(self, *exception):
        # type: (*Any) -> None
        if self._stream is not None:
            try:
                self._stream.close()
            except EnvironmentError as error:
                self.error = self.error or one_line(error)


def _row(one):
    # type: (Exchange) -> Dict[str, Any]
    row = {
        "connection": one.connection.service_number, "identifier": one.stream,
        "expiry": one.expiration, "priority": one.priority, "token": (one.token or "").lower(),
        "payload": one.payload.decode("utf-8", "replace"), "protocol": one.protocol,
    }  # type: Dict[str, Any]
    if one.protocol == "http2":
        row.update(topic=one.topic, push_type=one.push_type, apns_id=one.apns_id,
                   collapse_id=one.collapse_id)
    return row
