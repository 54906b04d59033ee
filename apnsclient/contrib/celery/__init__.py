"""Celery tasks that push.

It needs Celery 5.3 or newer.
"""

from ._counts import Counts
from ._fan_out import Campaign
from ._push import PushTasks
from ._tasks import SendLater

__all__ = ["Campaign", "Counts", "PushTasks", "SendLater"]
