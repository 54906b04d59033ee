"""How much is tried where one proof more costs processor time and adds little.

Python 2.7, 3.6 and 3.8 run the source that the newest interpreter runs. What is different there,
such as types, division and the order of dictionaries, shows in the first examples; what nobody has
thought of is looked for on the newest.
"""

from __future__ import absolute_import, division, print_function

import sys

import hypothesis

__all__ = ["IS_BRIEF", "examples"]

#: Whether this interpreter is one of these.
IS_BRIEF = sys.version_info < (3, 9)


def examples(count, **options):
    """Return settings of hypothesis, with which a test looks at so many examples, or a fourth.

    :param count: how many (int).
    :param options: other settings.
    """
    return hypothesis.settings(max_examples=count // 4 if IS_BRIEF else count, **options)
