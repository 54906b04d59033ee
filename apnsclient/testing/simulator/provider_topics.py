"""The topics of the types of push.

Source: Apple, *Sending notification requests to APNs*. The table is the simulator's own, so that a
mistake in the client's shows here.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY

if MYPY:
    from typing import Optional, Tuple

__all__ = ["PLAIN_TYPES", "SUFFIXES", "TOKEN_TYPES", "split_topic"]

#: What follows the bundle identifier in the topic of a type of push.
SUFFIXES = {
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
#: The same by the last part of the suffix.
_BY_LAST_PART = {suffix.rpartition(".")[2]: kind for kind, suffix in SUFFIXES.items()}
#: Types of push whose topic has no suffix.
PLAIN_TYPES = frozenset(["alert", "background", "mdm"])
#: Types of push that are not sent with a certificate. Location: Apple, *Sending notification
#: requests to APNs* (read). Live Activities: jerryliurui/Live-Activities-Demo-NBA-Score 1, which
#: also has the reason, TopicDisallowed (seen).
TOKEN_TYPES = frozenset(["liveactivity", "location"])


def split_topic(topic):
    # type: (str) -> Tuple[str, Optional[str]]
    """Return the bundle identifier in a topic, and the type of push that its suffix stands for.

    The latter is None where there is no suffix. Which applications there are nobody knows here: one
    whose bundle identifier ends like a suffix is taken for the other.
    """
    kind = _BY_LAST_PART.get(topic.rpartition(".")[2])
    suffix = SUFFIXES.get(kind or "")
    if suffix is None or not topic.endswith(suffix):
        return topic, None
    return topic[:-len(suffix)], kind
