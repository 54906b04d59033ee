"""Warnings that are logged only once."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    import logging
    from typing import Set

__all__ = ["WarnOnce"]


class WarnOnce(object):
    """Logs a text only the first time that it is called with it.

    A problem of one message is usually a problem of thousands that follow.

    :param logger: the logger.
    """

    def __init__(self, logger):
        # type: (logging.Logger) -> None
        self._logger = logger
        self._logged = set()  # type: Set[str]

    def __call__(self, text):
        # type: (str) -> None
        if text not in self._logged:
            self._logged.add(text)
            self._logger.warning(text)
