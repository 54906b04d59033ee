"""Topics and push types: which topic a kind of notification goes to.

A topic is what Apple knows the receiver of a notification by. For alerts and background
notifications it is the bundle identifier of the application; each other kind has a suffix of its
own. A notification to a topic without the suffix, or with another push type than the suffix is for,
is refused (``DeviceTokenNotForTopic``, ``TopicDisallowed``, ``InvalidPushType``).

Source: Apple, *Sending notification requests to APNs*, the table of push types.
"""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Optional, Tuple

__all__ = ["SUFFIXES", "advise", "split_topic", "topic_for"]

#: ``{push type: suffix of its topics}`` of all push types that Apple documents. The topic of
#: ``mdm`` is no bundle identifier, but the user identifier (UID) in the subject of the MDM
#: certificate.
SUFFIXES = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}

#: Push types that are refused with a certificate: of location Apple's page says so, of Live
#: Activities users of other clients.
_BY_TOKEN = ("liveactivity", "location")

_PUSH_TYPES = dict((suffix, push_type) for push_type, suffix in SUFFIXES.items() if suffix)
_NAMED = tuple(_PUSH_TYPES)


def topic_for(bundle_id, push_type):
    # type: (str, str) -> str
    """Return the topic of an application for a kind of notification.

    :param bundle_id: bundle identifier of the application (str), without any suffix.
    :param push_type: one of :data:`SUFFIXES`, like ``"voip"`` (str).
    :return: like ``"com.example.app.voip"`` (str).
    :raises ValueError: if the push type is not known.
    """
    suffix = SUFFIXES.get(push_type)
    if suffix is None:
        raise ValueError("the push type is %.200r, expected one of %s"
                         % (push_type, ", ".join(sorted(SUFFIXES))))
    return bundle_id + suffix


def split_topic(topic):
    # type: (str) -> Tuple[str, Optional[str]]
    """Return the bundle identifier and the push type that a topic is for.

    :param topic: like ``"com.example.app.voip"`` (str).
    :return: ``("com.example.app", "voip")``. The push type is None for a topic without a suffix,
        which may be for an alert, for a background notification or for MDM.
    """
    # Most have none, and one question is enough to know.
    if topic.endswith(_NAMED):
        for suffix, push_type in _PUSH_TYPES.items():
            if topic.endswith(suffix) and topic != suffix:
                return topic[:-len(suffix)], push_type
    return topic, None


def advise(topic, push_type):
    # type: (Optional[str], Optional[str]) -> str
    """Return what to look at after Apple has refused a topic, or a token for a topic.

    :param topic: what was sent (str), or None.
    :param push_type: likewise.
    """
    suffix = SUFFIXES.get(push_type or "alert")
    if topic is None:
        ending = " with the ending %s" % suffix if suffix else ""
        return ("the request had no apns-topic, which is the bundle identifier of the application%s"
                % ending)
    if suffix is None:
        return "push type %s is none of those that Apple documents: %s" % (
            push_type, ", ".join(sorted(SUFFIXES)))
    bundle_id = split_topic(topic)[0]
    if bundle_id + suffix != topic:
        return "push type %s belongs to topic %s, not to %s" % (
            push_type, bundle_id + suffix, topic)
    needed = ", which takes a provider token and no certificate" if push_type in _BY_TOKEN else ""
    return ("its topic was %s and its push type %s%s; what is another application's is refused, "
            "the topic of another push type has another suffix (like .voip or "
            ".push-type.liveactivity), and what is of the other environment (sandbox or "
            "production) goes to the other address" % (topic, push_type, needed))
