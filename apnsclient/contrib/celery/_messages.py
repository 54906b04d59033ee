"""Messages as they travel through the broker: JSON, with the payload rendered once.

The payload is the text that Apple gets: it is not made again for each task and each attempt, and a
worker needs none of the classes that it was made of. The time at which a message expires is
absolute, so that it is the same however long a task waits in the broker.
"""

from typing import Any, Dict, List, Mapping

from ...message import Message

__all__ = ["NOW_OR_NEVER", "dump_message", "last_moment", "load_message"]

#: Version of the format. A worker refuses what it does not know.
VERSION = 1
#: For how many seconds a message is tried that Apple is not to store (expiry 0).
NOW_OR_NEVER = 60.0
#: The arguments of a message that its payload has.
_PARTS = ("alert", "badge", "sound", "content_available", "extra")


def dump_message(message: Message) -> Dict[str, Any]:
    """Return a message as a dict that can be expressed in JSON.

    :raises ValueError: if it cannot be sent: the payload is too large, or a header is not valid.
    :raises TypeError, ValueError: if the payload cannot be expressed in JSON, or a token is not
        text.
    """
    payload = message.get_json_payload()
    message.request_template(payload=payload, warn=_ignore)
    state: Dict[str, Any] = message.__getstate__()
    for part in _PARTS:
        state.pop(part, None)
    state.update(version=VERSION, payload=payload.decode("utf-8"), expiry=message.expiry,
                 tokens=check_tokens(state["tokens"]))
    return state


def _ignore(text: str) -> None:
    """Say nothing of a value that is corrected: the worker will."""


def check_tokens(tokens: List[Any]) -> List[str]:
    """Return tokens, if all of them are str, and raise :class:`TypeError` otherwise."""
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError("a token is of type %s, expected hexadecimal digits as str or bytes"
                            % type(token).__name__)
    return tokens


def load_message(state: Mapping[str, Any]) -> Message:
    """Return the message of a dict that :func:`dump_message` made, each token once.

    The state of a message (``message.__getstate__()``) is understood as well, so that a program
    without this package's contrib can queue one.

    :raises ValueError: if the dict is of a later version of this package.
    """
    arguments = dict(state)
    version = arguments.pop("version", VERSION)
    if version != VERSION:
        raise ValueError("the message is of version %r, and this package knows version %d: bring "
                         "the workers up to date before the programs that queue messages"
                         % (version, VERSION))
    arguments["tokens"] = list(dict.fromkeys(arguments["tokens"]))
    return Message(**arguments)


def last_moment(expiry: int, now: float) -> float:
    """Return when a message is not sent any more, in seconds since 1970.

    :param expiry: when it expires, in seconds since 1970; 0 if Apple is not to store it.
    :param now: when it was queued.
    """
    return float(expiry) if expiry else now + NOW_OR_NEVER
