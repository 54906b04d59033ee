"""When a task is tried again, and how long it may stay away from the broker.

A worker keeps a task with a countdown unacknowledged until its time has come. A broker takes a task
that is not acknowledged in time for lost, and gives it to another worker as well: so no countdown
may come near that time. What has to wait for longer is published anew in between.
"""

from typing import Any, Callable, Mapping, Optional, Sequence, Union

__all__ = ["LAST_TRY", "back_off", "longest_countdown"]

#: After how many seconds a broker gives a task that is not acknowledged to another worker, by the
#: name of Kombu's transport, and that of others. Redis: Kombu's ``visibility_timeout``. Amazon SQS:
#: Kombu's default. RabbitMQ closes the channel after its ``consumer_timeout``, 30 minutes.
_VISIBILITY = {"redis": 3600.0, "rediss": 3600.0, "sentinel": 3600.0}
_VISIBILITY_OF_OTHERS = 1800.0
#: Longest wait between two attempts, in seconds.
LONGEST = 600.0
#: How many seconds before it expires a message is tried for the last time.
LAST_TRY = 5.0


def longest_countdown(urls: Union[str, Sequence[str], None],
                      transport_options: Optional[Mapping[str, Any]] = None) -> float:
    """Return the longest countdown of a task, in seconds.

    It is half of what the broker allows: in the other half the task waits for a free process, and
    is run.

    :param urls: address of the broker, or several.
    :param transport_options: the app's ``broker_transport_options``.
    """
    url = urls if isinstance(urls, str) else "".join((urls or ())[:1])
    scheme = url.split(":", 1)[0].split("+", 1)[0]
    visibility: Any = (transport_options or {}).get("visibility_timeout") or _VISIBILITY.get(
        scheme, _VISIBILITY_OF_OTHERS)
    return max(float(visibility) / 2, 1.0)


def back_off(attempt: int, random: Callable[[], float]) -> float:
    """Return how long to wait before another attempt, in seconds: from 1 on, doubling, to 600.

    :param attempt: how many attempts in a row have achieved nothing (int, from 0).
    :param random: returns a number from 0 to 1, so that tasks do not come back together.
    """
    return min(2.0 ** min(attempt, 20), LONGEST) * (1 + random() / 2)
