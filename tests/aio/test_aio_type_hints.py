"""The types of what is public can be read by a program: by dependency injection, by validators."""

import importlib
import inspect
import pkgutil
import typing

import pytest

import apnsclient.aio
import apnsclient.models

ROOMS = (apnsclient.aio.__name__, apnsclient.models.__name__)


def find_modules():
    """Return the names of the modules of both rooms whose names are public."""
    names = []
    for package in (apnsclient.aio, apnsclient.models):
        names.append(package.__name__)
        names.extend(package.__name__ + "." + each.name
                     for each in pkgutil.iter_modules(package.__path__)
                     if not each.name.startswith("_"))
    return names


def find_public(module):
    """Yield the name of each public class and function of a module, and of their methods.

    Not those of classes that the synchronous client has, too: their types are comments.
    """
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__.startswith(ROOMS):
            yield name, value
            for attribute, member in vars(value).items():
                function = unwrap(member)
                if function is not None and is_ours(attribute):
                    yield "%s.%s" % (name, attribute), function


def unwrap(member):
    """Return the function in a property, a class method or a static one; None if it is nothing."""
    if isinstance(member, property):
        member = member.fget
    function = getattr(member, "__func__", member)
    return function if inspect.isfunction(function) else None


def is_ours(attribute):
    """Return True if users call it, by itself or as an operator.

    What dataclasses and enums write has no types, or those of the fields.
    """
    return not attribute.startswith("_") or attribute in (
        "__init__", "__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__")


def find_missing(function):
    """Return the parameters of a function that have no type, with "return" if that has none."""
    hints = typing.get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    if parameters[:1] in (["self"], ["cls"]):
        del parameters[0]
    return [each for each in parameters + ["return"] if each not in hints]


@pytest.mark.parametrize("name", find_modules())
def test_types_can_be_read(name):
    """Also on the oldest interpreter: no annotation is for the type checker only."""
    public = list(find_public(importlib.import_module(name)))

    untyped = [(each, find_missing(function)) for each, function in public
               if inspect.isfunction(function) and find_missing(function)]
    assert untyped == []
    for _, value in public:
        typing.get_type_hints(value)


def test_the_walk_finds_what_there_is():
    """It is not empty, and sees what is missing."""
    found = {name for module in find_modules()
             for name, _ in find_public(importlib.import_module(module))}

    def bad(one: int, two):
        return one, two

    assert len(found) > 80 and {"APNSError", "Notification.get_dict", "Alert"} <= found
    assert find_missing(bad) == ["two", "return"]
