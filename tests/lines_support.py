"""Something happens before any line of a module: a finalizer runs, or an interrupt comes."""

from __future__ import absolute_import, division, print_function

import linecache
import os
import sys


class AtLine(object):
    """Runs a function before certain lines of the modules in question, as a finalizer might.

    :param module: name of their file without its ending.
    :param numbers: which of the lines that are run, from 0.
    :ivar runs: how many times it was.
    """

    def __init__(self, module, numbers, function):
        self._module, self._numbers, self._function = module, numbers, function
        self._line = -1
        self.runs = 0

    @property
    def has_run(self):
        return self.runs == len(self._numbers)

    def _trace(self, frame, event, argument):
        if os.path.basename(frame.f_code.co_filename).split(".")[0] != self._module:
            return None
        if event == "line":
            self._line += 1
            if self._line in self._numbers:
                self.runs += 1
                sys.settrace(None)
                self._function()
                sys.settrace(self._trace)
        return self._trace

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self._before)


class BetweenLines(AtLine):
    """The same where a signal may be heard: not between a block and the end of its ``with``.

    Tracing has a line there, and Python no instruction that looks for signals.
    """

    def _trace(self, frame, event, argument):
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line.lstrip().startswith("with "):
            place = frame, frame.f_lineno
            if place in self._withs:
                self._withs.remove(place)
                return self._trace
            self._withs.append(place)
        return super(BetweenLines, self)._trace(frame, event, argument)

    def __enter__(self):
        self._withs = []
        return super(BetweenLines, self).__enter__()

    def __exit__(self, *exception):
        super(BetweenLines, self).__exit__(*exception)
        # The frames hold on to what is to end.
        del self._withs[:]


def at_each_line(test, least=3):
    """Call ``test(number)`` with 0, 1, 2 ... for as long as it returns True; return how often."""
    number = 0
    while test(number):
        number += 1
        assert number < 1000
    assert number >= least
    return number


def at_each_two_lines(test, least=6):
    """Call ``test(first, second)`` with any two numbers in order, for as long as it does so."""
    at_each_line(lambda first: at_each_line(
        lambda second: test(first, first + 1 + second), least=0) > 0, least)


def interrupt():
    """Raise what no ``except Exception`` stops."""
    raise KeyboardInterrupt


def interrupted(module, number, function):
    """Call a function, and interrupt it in a line; return what it returned, and whether it was."""
    with BetweenLines(module, [number], interrupt) as interrupter:
        try:
            returned = function()
        except KeyboardInterrupt:
            returned = None
    return returned, interrupter.has_run
