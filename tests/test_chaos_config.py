"""The ini file: what is understood, and what is an error."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.testing.chaos import ConfigurationError
from apnsclient.testing.chaos.config import read_configuration
from cli_support import write_file


def read(tmpdir, text):
    return read_configuration(write_file(tmpdir.join("config.ini"), text))


@pytest.mark.parametrize("section", ["chaos", "vaurien"])
def test_all_of_it_is_understood(tmpdir, section):
    """By either name of the first section; names and values keep their case."""
    config = read(tmpdir, u"""
[%s]
backend = localhost:2195
behavior = 20:foobar

[handler:foobar]
callable = path.to.The.Callable
Foo=b\xe4r %%(x)s

[handler:delay]
sleep = 2

[protocol:apns]
service = feedback
""" % section)
    assert config.values == {"backend": "localhost:2195", "behavior": "20:foobar"}
    assert config.aliases == {"foobar": "path.to.The.Callable"}
    assert config.handlers["delay"] == {"sleep": "2"}
    assert list(config.handlers["foobar"]) == ["Foo"]
    assert config.protocols == {"apns": {"service": "feedback"}}


def test_a_mark_of_the_encoding_is_no_part_of_it(tmpdir):
    """Editors on Windows put one at the beginning."""
    assert read(tmpdir, u"\ufeff[chaos]\nseed = 7").values == {"seed": "7"}


@pytest.mark.parametrize("text, part", [
    (u"behavior = 20:delay", "cannot be understood"),
    (u"[chaos]\nbehaviour = 20:delay", "there is no option 'behaviour'; expected one of proxy"),
    (u"[chaos]\n[vaurien]", "has both a section [chaos] and a section [vaurien]"),
    (u"[proxy]\nbackend = x", "has a section [proxy]; expected [chaos], [handler:NAME]"),
    (u"[handler:]\nsleep = 2", "has a section [handler:]"),
    (b"[chaos]\nbehavior = \xff", "cannot be understood"),
])
def test_a_mistake_is_told(tmpdir, text, part):
    """With the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmpdir, text)
    assert part in str(caught.value)
    assert "config.ini" in str(caught.value)


def test_an_empty_file_says_nothing(tmpdir):
    """So that everything has its default."""
    config = read(tmpdir, u"")
    assert (config.values, config.handlers, config.aliases, config.protocols) == ({}, {}, {}, {})
