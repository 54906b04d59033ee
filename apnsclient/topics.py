"""Topics and push types: the topic for each kind of notification.

A topic identifies the receiver of a notification to Apple. For alerts and background notifications
it is the bundle identifier of the application; each other kind adds a suffix. A notification for a
topic without the suffix, or with a push type that the suffix is not for, is rejected
(``DeviceTokenNotForTopic``, ``TopicDisallowed``, ``InvalidPushType``).

Source: Apple, *Sending notification requests to APNs*, the table of push types.
"""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Optional, Tuple

__all__ = ["SUFFIXES", "advise", "split_topic", "topic_for", "with_suffix"]

#: ``{push type: suffix of its topics}`` of all push types that Apple documents. The topic of
#: ``mdm`` is not a bundle identifier, but the user identifier (UID) in the subject of the MDM
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

#: Push types that are rejected with a certificate: location according to Apple's page, Live
#: Activities according to users of other clients.
_BY_TOKEN = ("liveactivity", "location")

_PUSH_TYPES = dict((suffix, push_type) for push_type, suffix in SUFFIXES.items() if suffix)
_NAMED = tuple(_PUSH_TYPES)


def topic_for(bundle_id, push_type):
    # type: (str, str) -> str
    """Return the topic of an application for a kind of notification.

    :param bundle_id: bundle identifier of the application (str), without any suffix.
    :param push_type: a key of :data:`SUFFIXES`, such as ``"voip"`` (str).
    :return: the topic (str), such as ``"com.example.app.voip"``.
    :raises ValueError: if the push type is unknown.
    """
    suffix = SUFFIXES.get(push_type)
    if suffix is None:
        raise ValueError("the push type is %.200r, expected one of %s"
                         % (push_type, ", ".join(sorted(SUFFIXES))))
    return bundle_id + suffix


def split_topic(topic):
    # type: (str) -> Tuple[str, Optional[str]]
    """Return the bundle identifier and the push type that a topic is for.

    :param topic: such as ``"com.example.app.voip"`` (str).
    :return: ``("com.example.app", "voip")``. The push type is None for a topic without a suffix,
        which may be for an alert, for a background notification or for MDM.
    """
    # Most have none, which a single test shows.
    if topic.endswith(_NAMED):
        for suffix, push_type in _PUSH_TYPES.items():
            if topic.endswith(suffix) and topic != suffix:
                return topic[:-len(suffix)], push_type
    return topic, None


def with_suffix(topic, push_type):
    # type: (str, str) -> str
    """Return a topic with the suffix of a push type, unless it has one already.

    :param topic: bundle identifier of an application, or a topic (str).
    :param push_type: such as ``"voip"`` (str). If it is unknown, the topic stays what it is.
    """
    if push_type in SUFFIXES and split_topic(topic)[1] is None:
        return topic_for(topic, push_type)
    return topic


def advise(topic, push_type):
    # type: (Optional[str], Optional[str]) -> str
    """Return what to check after Apple has rejected a topic, or a token for a topic.

    :param topic: the topic that was sent (str), or None.
    :param push_type: the push type that was sent (str), or None.
    """
    suffix = SUFFIXES.get(push_type or "alert")
    if topic is None:
        ending = " with the suffix %s" % suffix if suffix else ""
        return ("the request had no apns-topic, which is the bundle identifier of the application%s"
                % ending)
    if suffix is None:
        return "push type %s is not one that Apple documents: %s" % (
            push_type, ", ".join(sorted(SUFFIXES)))
    bundle_id = split_topic(topic)[0]
    if bundle_id + suffix != topic:
        return "push type %s belongs to topic %s, not to %s" % (
            push_type, bundle_id + suffix, topic)
    needed = ", which needs a provider token, not a certificate" if push_type in _BY_TOKEN else ""
    return ("its topic was %s and its push type %s%s; check that the token is of this application, "
            "of this environment (sandbox and production have different addresses) and of this "
            "push type (others need a suffix in the topic, such as .voip or "
            ".push-type.liveactivity)" % (topic, push_type, needed))
