"""A simulator with its page in a browser, for the tests of the page."""

import time
from typing import Any, Callable, Optional

from browser import Window

from apnsclient import APNs, Message, ProviderToken, Session
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import Releaser, WebServer

__all__ = ["APP", "OTHER", "Scene", "TOKEN"]

TOKEN, OTHER = "ab" * 32, "cd" * 32
APP = "com.example.app"


class Scene:
    """A simulator, its page in a window, and somebody who pushes.

    :param browser: the browser.
    :param clock: that of the simulator.
    :param releaser: sends notifications on.
    :param options: those of the window.
    """

    def __init__(self, browser: Any, clock: Callable[[], float] = time.time,
                 releaser: Optional[Releaser] = None, **options: Any) -> None:
        self._browser, self._clock, self._options = browser, clock, options
        self._releaser = releaser

    def __enter__(self) -> "Scene":
        self.apns = Simulator(linger=0.1, clock=self._clock).start()
        self.server = WebServer(
            self.apns, ("127.0.0.1", 0), releaser=self._releaser).start()
        self._credential = ProviderToken(clock=self._clock, **self.apns.token_parameters)
        self.session = Session(protocol="http2", ca_string=self.apns.ca_string)
        self.window = Window(self._browser, self.server.url, **self._options)
        return self

    def push(self, *tokens: str, payload: Optional[Any] = None, **options: Any) -> Any:
        """Push; return the reason of the first rejection, None if all were accepted."""
        connection = self.session.get_connection(
            self.apns.provider_address, certificate=self._credential)
        options.setdefault("apns_topic", APP)
        if payload is not None:
            options["payload"] = payload
        elif "alert" not in options:
            options["alert"] = "Dinner is ready"
        result = APNs(connection).send(Message(list(tokens) or [TOKEN], **options))
        reasons = [reason.reason for reason in result.failed.values()]
        return (reasons + [error.reason for error in result.errors] + [None])[0]

    def __exit__(self, kind: Any, *rest: Any) -> None:
        self.session.shutdown()
        try:
            if kind is None:
                self.window.close()
        finally:
            self.server.stop()
            self.apns.stop()
