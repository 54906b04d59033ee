"""Rules for the header of a request, and for the token in its path."""

from __future__ import absolute_import, division, print_function

import re

from ..._compat import MYPY
from ...topics import SUFFIXES, split_topic, topic_for
from .finding import ERROR, NOTE, WARNING, Rule, show
from .sources import RESPONSES, SENDING

if MYPY:
    from typing import Optional

    from .subject import Subject

__all__ = ["COMMON_RULES", "RULES"]

_COLLAPSE_SIZE = 64
#: Push types that need a provider token.
_BY_TOKEN = ("liveactivity", "location")
_UUID = re.compile(r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_HEXADECIMAL = re.compile(r"^([0-9A-Fa-f]{2})+\Z")
_NUMBER = re.compile(r"^[0-9]{1,18}\Z")


def _has_no_push_type(subject):
    # type: (Subject) -> Optional[str]
    if subject.exchange.push_type is None:
        return ("there is no apns-push-type; watchOS needs it, and others may delay or drop the "
                "notification without it; send %s" % show(subject.push_type))
    return None


def _has_unknown_push_type(subject):
    # type: (Subject) -> Optional[str]
    push_type = subject.exchange.push_type
    if push_type is not None and push_type not in SUFFIXES:
        return "the push type is %s, expected one of %s" % (
            show(push_type), ", ".join(sorted(SUFFIXES)))
    return None


def _has_no_topic(subject):
    # type: (Subject) -> Optional[str]
    exchange = subject.exchange
    if exchange.topic is None and exchange.kind == "notification" and (
            subject.credential is None or subject.is_by_token):
        return ("there is no apns-topic, which a request with a provider token needs; send the "
                "bundle identifier of the application%s"
                % (" with the suffix " + subject.suffix if subject.suffix else ""))
    return None


def _lacks_suffix(subject):
    # type: (Subject) -> Optional[str]
    exchange, suffix = subject.exchange, subject.suffix
    if suffix and exchange.topic is not None and split_topic(exchange.topic)[1] is None:
        return "a push of type %s goes to a topic with the suffix %s, and this one is %s" % (
            subject.push_type, suffix, show(exchange.topic))
    return None


def _has_suffix_of_another_type(subject):
    # type: (Subject) -> Optional[str]
    exchange = subject.exchange
    if exchange.topic is None or exchange.push_type not in SUFFIXES:
        return None
    bundle_id, kind = split_topic(exchange.topic)
    if kind in (None, exchange.push_type):
        return None
    return "topic %s is for pushes of type %s; send it with that type, or to %s" % (
        show(exchange.topic), kind, show(topic_for(bundle_id, exchange.push_type)))


def _needs_provider_token(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type in _BY_TOKEN and getattr(subject.credential, "topics", None) is not None:
        return "a push of type %s needs a provider token, and came with a certificate" % (
            subject.push_type)
    return None


def _has_bad_priority(subject):
    # type: (Subject) -> Optional[str]
    priority = subject.headers.get("apns-priority")
    if priority is not None and priority not in ("1", "5", "10"):
        return "the priority is %s, expected 10, 5 or 1" % show(priority)
    return None


def _is_urgent_background(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "background" and subject.exchange.priority == 10:
        return "a background push with priority 10 is rejected; send it with 5"
    return None


def _is_background_without_priority(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "background" and "apns-priority" not in subject.headers:
        return ("without apns-priority Apple assumes 10, which is an error for a background push; "
                "send 5")
    return None


def _has_bad_id(subject):
    # type: (Subject) -> Optional[str]
    apns_id = subject.exchange.apns_id
    if apns_id is not None and not _UUID.match(apns_id):
        return ("apns-id is %s, expected a UUID such as 123e4567-e89b-12d3-a456-42665544000a"
                % show(apns_id))
    return None


def _has_upper_case_id(subject):
    # type: (Subject) -> Optional[str]
    apns_id = subject.exchange.apns_id
    if apns_id is not None and apns_id != apns_id.lower() and _UUID.match(apns_id):
        return ("apns-id is in upper case; its canonical form is in lower case, and the response "
                "may have either: compare them without regard to case")
    return None


def _has_bad_expiration(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.headers.get("apns-expiration")
    if expiration is not None and not _NUMBER.match(expiration):
        return "apns-expiration is %s, expected whole seconds since 1970" % show(expiration)
    return None


def _has_long_collapse_id(subject):
    # type: (Subject) -> Optional[str]
    collapse_id = subject.exchange.collapse_id
    if collapse_id is not None and len(collapse_id) > _COLLAPSE_SIZE:
        return "apns-collapse-id has %d bytes, and may have %d; send a hash of it" % (
            len(collapse_id), _COLLAPSE_SIZE)
    return None


def _repeats_fields(subject):
    # type: (Subject) -> Optional[str]
    fields = subject.exchange.headers
    if len(subject.headers) == len(fields):
        return None
    names = [name for name, _ in fields]
    repeated = sorted(name for name in subject.headers if names.count(name) > 1)
    return "%s stands more than once in the header" % ", ".join(map(show, repeated[:5]))


def _has_bad_token(subject):
    # type: (Subject) -> Optional[str]
    token = subject.exchange.token
    if token is None or _HEXADECIMAL.match(token):
        return None
    if not token:
        return "there is no device token in the path /3/device/<token>"
    if token[:1] == "<" or " " in token or "%20" in token or token[:3].upper() == "%3C":
        return ("the device token is the description of an object, with brackets or blanks; "
                "send its bytes in hexadecimal, without any of these")
    if token[:2] == "{l" or "length" in token:
        return ("the device token is the description of an object, as iOS 13 and later write it; "
                "have the application send its bytes in hexadecimal")
    return ("the device token is no hexadecimal text: send two digits for each of its bytes (it "
            "may be in base64, or cut off)")


def _has_upper_case_token(subject):
    # type: (Subject) -> Optional[str]
    token = subject.exchange.token
    if token is not None and token != token.lower() and _HEXADECIMAL.match(token):
        return ("the device token is in upper case; it is accepted, but store tokens in one case, "
                "so that each is stored once, and found again")
    return None


def _was_bad_token(subject):
    # type: (Subject) -> Optional[str]
    if subject.exchange.reason == "BadDeviceToken":
        return ("Apple answers so as well when a token of the sandbox is sent to production, or "
                "the reverse: check the environment before anything is deleted")
    return None


def _was_token_of_another_topic(subject):
    # type: (Subject) -> Optional[str]
    if subject.exchange.reason == "DeviceTokenNotForTopic":
        return ("the token belongs to another application, or its push type needs a suffix in the "
                "topic: check apns-topic, %s here, before anything is deleted"
                % show(subject.exchange.topic))
    return None


def _is_binary(subject):
    # type: (Subject) -> Optional[str]
    if not subject.is_http2:
        return ("Apple has switched the binary protocol off, on 31 March 2021; send over HTTP/2")
    return None


#: Rules for requests over both protocols.
COMMON_RULES = (
    Rule("binary-protocol", WARNING, _is_binary, "protocol",
         "Apple, APNs Provider API, and its news of 10 November 2020"),
)

#: Rules for requests over HTTP/2.
RULES = (
    Rule("missing-push-type", WARNING, _has_no_push_type, "apns-push-type", SENDING),
    Rule("unknown-push-type", ERROR, _has_unknown_push_type, "apns-push-type", SENDING),
    Rule("missing-topic", ERROR, _has_no_topic, "apns-topic", SENDING),
    Rule("topic-without-suffix", ERROR, _lacks_suffix, "apns-topic", SENDING),
    Rule("topic-of-another-push-type", ERROR, _has_suffix_of_another_type, "apns-topic", SENDING),
    Rule("needs-provider-token", ERROR, _needs_provider_token, "authorization",
         SENDING + "; jerryliurui/Live-Activities-Demo-NBA-Score 1"),
    Rule("unknown-priority", ERROR, _has_bad_priority, "apns-priority", SENDING),
    Rule("background-priority", ERROR, _is_urgent_background, "apns-priority", SENDING),
    Rule("background-without-priority", WARNING, _is_background_without_priority, "apns-priority",
         SENDING + "; tsif/pu.sh 2"),
    Rule("malformed-apns-id", ERROR, _has_bad_id, "apns-id", SENDING),
    Rule("apns-id-in-upper-case", NOTE, _has_upper_case_id, "apns-id", SENDING),
    Rule("malformed-expiration", ERROR, _has_bad_expiration, "apns-expiration",
         SENDING + "; parse-community/parse-server 4558"),
    Rule("collapse-id-too-long", ERROR, _has_long_collapse_id, "apns-collapse-id", SENDING),
    Rule("repeated-header", ERROR, _repeats_fields, "headers", RESPONSES),
    Rule("malformed-token", ERROR, _has_bad_token, "token", SENDING),
    Rule("token-in-upper-case", NOTE, _has_upper_case_token, "token", SENDING),
    Rule("bad-device-token", WARNING, _was_bad_token, "token",
         RESPONSES + "; edamov/pushok 142, node-apn/node-apn 483"),
    Rule("token-of-another-topic", WARNING, _was_token_of_another_topic, "token", RESPONSES),
)
