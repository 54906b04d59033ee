"""The types of fields: checked when a value is made, so that the error is where the mistake is."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Iterable, Tuple, Union

from .._headers import as_number, as_timestamp

__all__ = ["MOMENT", "NONE", "OBJECT", "Fields", "Moment", "check_texts", "check_types",
           "timestamp_of"]

#: A point in time: seconds since 1970; an aware datetime, or a naive one, which is local time; or
#: how long from now.
Moment = Union[float, datetime, timedelta]
#: The types of a :data:`Moment`.
MOMENT = (int, float, datetime, timedelta)
NONE = type(None)
#: The types of what becomes an object in JSON.
OBJECT = (dict, Mapping)

#: Names of fields, each with its types; the most frequent one first.
Fields = Iterable[Tuple[str, Tuple[type, ...]]]

_LARGEST_TIMESTAMP = 0xFFFFFFFF


def check_types(value: object, fields: Fields) -> None:
    """Check the types of a value's fields. A bool is not a number here.

    :raises TypeError: if one of them has another type. It does not show the field's content, which
        may be anybody's.
    """
    values = vars(value)
    for name, kinds in fields:
        given = values[name]
        if type(given) not in kinds and (isinstance(given, bool) or not isinstance(given, kinds)):
            raise TypeError("%s of %s is of type %s, expected %s" % (
                name, type(value).__name__, type(given).__name__,
                " or ".join("None" if kind is NONE else kind.__name__ for kind in kinds)))


def check_texts(name: str, owner: object, texts: Iterable[Any]) -> None:
    """Check that all of a field's items are str.

    :param name: of the field (str).
    :param owner: the value that has it.
    :raises TypeError: if one is not.
    """
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError("%s[%d] of %s is of type %s, expected str" % (
                name, index, type(owner).__name__, type(text).__name__))


def timestamp_of(name: str, moment: Moment) -> int:
    """Return a point in time as seconds since 1970 (int).

    :param name: of the field that has it, for the error (str).
    :raises ValueError: if it is not from 0 to 4 294 967 295.
    """
    return as_number(name, as_timestamp(moment), _LARGEST_TIMESTAMP)
