"""TCP to the first address of a host that responds.

The addresses are tried one after the other, each of them a moment after the one before, and those
of IPv6 and IPv4 in turns (RFC 8305). asyncio has that, too, but leaves a socket open if its caller
leaves at the wrong moment. uvloop has it not, and cannot be given a socket: see
:class:`._stream.TlsStream`.
"""

import asyncio
import codecs
import itertools
import os
import socket
from typing import Any, Dict, List, Sequence, Tuple

from ..backends._names import display
from ..backends._sockets import describe

__all__ = ["connect", "look_up"]

# Names are encoded with it, and the first one would have the event loop wait for the import.
codecs.lookup("idna")

#: What ``getaddrinfo()`` returns of an address.
Found = Tuple[int, int, int, str, Any]

#: Seconds that an address has before the next one is tried beside it.
_DELAY = 0.25


async def look_up(host: str, port: int) -> List[Found]:
    """Return the addresses of a host, in the order in which they are to be tried.

    :raises socket.gaierror: if there are none.
    """
    try:
        # No name, so that nobody has to be asked, and no thread.
        found: Sequence[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                  flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: Dict[int, List[Found]] = {}
    for address in found:
        families.setdefault(address[0], []).append(address)
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


async def connect(addresses: Sequence[Found]) -> socket.socket:
    """Return a socket that is connected to one of the addresses.

    :raises OSError: if none of them responds.
    """
    loop = asyncio.get_running_loop()
    left = list(addresses)
    problems: List[Tuple[str, str]] = []
    attempts: Dict[asyncio.Task[socket.socket], Found] = {}
    try:
        while left or attempts:
            if left:
                address = left.pop(0)
                attempts[loop.create_task(_attempt(address))] = address
            done, _ = await asyncio.wait(attempts, timeout=_DELAY if left else None,
                                         return_when=asyncio.FIRST_COMPLETED)
            for attempt in [one for one in attempts if one in done]:
                address, error = attempts.pop(attempt), attempt.exception()
                if error is None:
                    return attempt.result()
                problems.append((display(address[4]), _text(error)))
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)
    if len(problems) == 1:
        raise OSError(problems[0][1])
    raise OSError("; ".join("%s: %s" % problem for problem in problems))


async def _attempt(address: Found) -> socket.socket:
    """Return a socket that is connected to an address."""
    family, kind, protocol, _, where = address
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made


def _text(error: BaseException) -> str:
    """Return the system's text; that of asyncio repeats the address."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else describe(error)


def _close(attempt: "asyncio.Task[socket.socket]") -> None:
    """Close what an attempt has come to that is of no use any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
