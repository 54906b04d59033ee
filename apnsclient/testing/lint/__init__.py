"""What Apple would refuse in a notification, and what would not do what was meant.

:func:`check` finds it, and says for each thing where that is known from. :func:`describe` says what
a device would show. Both take what the simulator has recorded (:class:`.Exchange`), and raise
nothing, whatever is in a notification.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from . import alert, dates, headers, history_rules, keys, live_activity, payload
from .appearance import describe
from .finding import ERROR, NOTE, WARNING, Finding, Rule, apply_rules
from .history import History
from .subject import Subject

if MYPY:
    from typing import Any, List, Optional

__all__ = ["ERROR", "Finding", "History", "NOTE", "RULES", "Rule", "SEVERITIES", "WARNING",
           "check", "describe"]

#: All rules, by their subjects.
RULES = (
    headers.COMMON_RULES + headers.RULES + dates.COMMON_RULES + dates.TOKEN_RULES + payload.RULES
    + keys.RULES + alert.RULES + live_activity.RULES + live_activity.OTHER_RULES + dates.APS_RULES
    + history_rules.HISTORY_RULES)

#: How bad a finding can be, the worst first.
SEVERITIES = (ERROR, WARNING, NOTE)

#: Most findings about one notification.
_MOST_FINDINGS = 50
_ORDER = dict((severity, rank) for rank, severity in enumerate(SEVERITIES))


def check(exchange, history=None):
    # type: (Any, Optional[History]) -> List[Finding]
    """Return what is wrong with a notification or a broadcast, the worst first.

    :param exchange: an :class:`.Exchange`, or what has its attributes. One that is neither a
        notification nor a broadcast has no findings.
    :param history: :class:`History` that was fed what came before, and the exchange itself; None
        leaves out the rules that need it.
    :return: list of :class:`Finding`.
    """
    findings = []  # type: List[Finding]
    if exchange.kind not in ("notification", "broadcast"):
        return findings
    subject = Subject(exchange)
    apply_rules(headers.COMMON_RULES, subject, findings)
    if subject.is_http2:
        apply_rules(headers.RULES, subject, findings)
    apply_rules(dates.COMMON_RULES, subject, findings)
    if subject.is_by_token:
        apply_rules(dates.TOKEN_RULES, subject, findings)
    apply_rules(payload.RULES, subject, findings)
    if subject.payload:
        apply_rules(keys.RULES, subject, findings)
    apply_rules(alert.RULES, subject, findings)
    if subject.push_type == "liveactivity":
        if subject.payload:
            apply_rules(live_activity.RULES, subject, findings)
            apply_rules(dates.APS_RULES, subject, findings)
    else:
        apply_rules(live_activity.OTHER_RULES, subject, findings)
    if history is not None:
        apply_rules(history_rules.HISTORY_RULES, history_rules.Past(subject, history), findings)
    findings.sort(key=_order_of)
    return findings[:_MOST_FINDINGS]


def _order_of(finding):
    # type: (Finding) -> int
    return _ORDER[finding.severity]
