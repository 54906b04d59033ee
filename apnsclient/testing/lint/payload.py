"""Rules for the payload as such: its size, and what it is as JSON."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import ERROR, NOTE, WARNING, Rule, show
from .sources import GENERATING, JSON, MDM, SENDING

if MYPY:
    from typing import Optional

    from .subject import Subject

__all__ = ["RULES"]

#: Share of the limit from which on a payload is nearly too large.
_NEARLY = 0.95
#: Push types whose payload needs ``aps``: what the system itself acts upon.
_WITH_APS = ("alert", "background", "controls", "liveactivity", "widgets")


def _is_empty(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.fault == "empty":
        return "the payload is empty; send a JSON object at least, such as {\"aps\":{}}"
    return None


def _is_too_large(subject):
    # type: (Subject) -> Optional[str]
    size, limit = len(subject.exchange.payload), subject.exchange.payload_limit
    if size > limit:
        return ("the payload has %d bytes, and may have %d; shorten it, or send an identifier by "
                "which the application fetches the rest" % (size, limit))
    return None


def _is_nearly_too_large(subject):
    # type: (Subject) -> Optional[str]
    size, limit = len(subject.exchange.payload), subject.exchange.payload_limit
    if limit * _NEARLY < size <= limit:
        return ("the payload has %d of at most %d bytes; a longer text, or one with more bytes for "
                "each character, will be too large" % (size, limit))
    return None


def _has_mark(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.has_mark:
        return "the payload begins with a byte order mark; send UTF-8 without it"
    return None


def _is_no_text(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.fault == "not UTF-8" and not subject.reading.has_mark:
        return "the payload is not in UTF-8"
    return None


def _is_no_json(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.fault == "not JSON":
        return ("the payload is not JSON; have a library write it, rather than a template or "
                "str()")
    return None


def _has_constants(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.constant:
        return "the payload has %s in it, which JSON does not have" % subject.reading.constant
    return None


def _is_deep(subject):
    # type: (Subject) -> Optional[str]
    if subject.reading.fault == "too deep":
        return "the payload is nested too deep for JSON parsers"
    return None


def _repeats_keys(subject):
    # type: (Subject) -> Optional[str]
    repeated = subject.reading.repeated
    if repeated:
        return "%s stands more than once in one object, and only one of them counts" % (
            ", ".join(map(show, repeated)))
    return None


def _is_no_object(subject):
    # type: (Subject) -> Optional[str]
    reading = subject.reading
    if reading.fault is None and not isinstance(reading.value, dict):
        return "the payload is %s, expected an object" % show(reading.value)
    return None


def _has_no_aps(subject):
    # type: (Subject) -> Optional[str]
    if "aps" not in subject.payload and isinstance(subject.reading.value, dict) \
            and subject.push_type in _WITH_APS:
        return "there is no key aps in the payload, so that the system does nothing with it"
    return None


def _has_strange_aps(subject):
    # type: (Subject) -> Optional[str]
    aps = subject.payload.get("aps", {})
    if not isinstance(aps, dict):
        return "aps is %s, expected an object" % show(aps)
    return None


def _lacks_mdm(subject):
    # type: (Subject) -> Optional[str]
    if subject.exchange.push_type == "mdm" and "mdm" not in subject.payload:
        return "there is no key mdm, which is to have the PushMagic of the device"
    return None


def _has_mdm_for_others(subject):
    # type: (Subject) -> Optional[str]
    if "mdm" in subject.payload and subject.exchange.push_type not in (None, "mdm"):
        return "it has the key mdm, and its push type is %s; send it as mdm" % (
            show(subject.exchange.push_type))
    return None


def _has_mdm_with_aps(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "mdm" and "aps" in subject.payload:
        return "a push for device management has the key mdm alone; leave aps out"
    return None


RULES = (
    Rule("empty-payload", ERROR, _is_empty, "payload", SENDING),
    Rule("payload-too-large", ERROR, _is_too_large, "payload", SENDING),
    Rule("payload-nearly-too-large", NOTE, _is_nearly_too_large, "payload", SENDING),
    Rule("byte-order-mark", ERROR, _has_mark, "payload", JSON + ", 8.1"),
    Rule("payload-not-utf-8", ERROR, _is_no_text, "payload", JSON + ", 8.1"),
    Rule("payload-not-json", ERROR, _is_no_json, "payload", GENERATING),
    Rule("not-a-number", ERROR, _has_constants, "payload", JSON + ", 6"),
    Rule("payload-too-deep", WARNING, _is_deep, "payload", JSON + ", 9"),
    Rule("repeated-key", WARNING, _repeats_keys, "payload", JSON + ", 4"),
    Rule("payload-not-an-object", ERROR, _is_no_object, "payload", GENERATING),
    Rule("missing-aps", WARNING, _has_no_aps, "aps", GENERATING),
    Rule("aps-not-an-object", ERROR, _has_strange_aps, "aps", GENERATING),
    Rule("missing-mdm", ERROR, _lacks_mdm, "mdm", MDM),
    Rule("mdm-for-another-push-type", ERROR, _has_mdm_for_others, "apns-push-type", SENDING),
    Rule("mdm-with-aps", WARNING, _has_mdm_with_aps, "aps", MDM),
)
