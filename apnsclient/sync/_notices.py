"""Warnings that are given once, however often there is reason for them."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    import logging
    from typing import Set

__all__ = ["WarnOnce"]


class WarnOnce(object):
    """Logs each text the first time that it is called with it.

    What is wrong with one message is most often wrong with the thousands that follow it.

    :param logger: where it logs.
    """

    def __init__(self, logger):
        # type: (logging.Logger) -> None
        self._logger = logger
        self._given = set()  # type: Set[str]

    def __call__(self, text):
        # type: (str) -> None
        if text not in self._given:
            self._given.add(text)
            self._logger.warning(text)
