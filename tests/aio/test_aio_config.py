"""Apple's servers, by the names of both generations of the original."""

from apnsclient import models
from apnsclient.aio import config
from apnsclient.aio.config import Priority, Server


def test_the_servers_are_apples():
    """Two environments, two ports each."""
    assert config.Production == ("api.push.apple.com", 443)
    assert config.ProductionAltPort == ("api.push.apple.com", 2197)
    assert config.Development == ("api.sandbox.push.apple.com", 443)
    assert config.DevelopmentAltPort == ("api.sandbox.push.apple.com", 2197)
    assert config.Sandbox is config.Development
    assert config.SandboxAltPort is config.DevelopmentAltPort
    assert (config.PRODUCTION_HOST, config.SANDBOX_HOST) == (
        "api.push.apple.com", "api.sandbox.push.apple.com")
    assert (config.DEFAULT_PORT, config.ALT_PORT) == (443, 2197)


def test_a_server_of_ones_own():
    """Has the usual port unless it is told another."""
    assert Server("localhost") == Server(host="localhost", port=443)
    host, port = Server("localhost", 2197)
    assert (host, port) == ("localhost", 2197)


def test_the_largest_payloads():
    """In bytes."""
    assert config.MAX_NOTIFICATION_PAYLOAD_SIZE_VOIP == 5120
    assert config.MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER == 4096


def test_the_priorities():
    """By the original's names; those of the models."""
    assert (Priority.immediately, Priority.normal) == (10, 5)
    assert Priority is models.Priority


def test_all_names_are_public():
    """Whatever the module has."""
    assert all(hasattr(config, name) for name in config.__all__)
