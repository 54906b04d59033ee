"""What is raised for a configuration that a proxy cannot use."""

from __future__ import absolute_import, division, print_function

__all__ = ["ConfigurationError"]


class ConfigurationError(ValueError):
    """A behavior, a handler, a protocol, an option or a value of one cannot be used.

    The message says which, what was found, and what was expected.
    """
