"""A real browser for the tests of the page: Chromium, driven by playwright."""

import contextlib
import os
import shutil
import sys
from typing import Any, Iterator, List

import pytest

__all__ = ["LIMIT", "Window", "open_browser"]

#: Milliseconds after which something that is expected is not going to come any more.
LIMIT = 60000

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """Start a browser; skip the tests where there is none, but not where CI runs them.

    There they are for the newest interpreter alone.
    """
    missing = pytest.fail if os.environ.get("CI") and sys.version_info >= (3, 15) else pytest.skip
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    if program is None:
        missing("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A window with the page of a simulator, and all that went wrong in it.

    :param browser: the browser.
    :param url: address of the page, with a slash at the end.
    :param options: those of ``browser.new_context``.

    :ivar page: the page (``playwright.sync_api.Page``).
    """

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(LIMIT)
        self.page = self._context.new_page()
        self._url = url
        self._faults: List[str] = []
        self.page.on("pageerror", lambda error: self._faults.append("error: %s" % error))
        self.page.on("console", self._on_console)
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)

    def open(self, address: str = "") -> "Window":
        """Go to an address of the page, such as ``#/faults``, and wait until it is alive."""
        self.page.goto(self._url + address)
        self.page.wait_for_selector("#live[data-state=live]")
        return self

    def see(self, text: str, inside: str = "main") -> None:
        """Wait until a text can be seen in a part of the page."""
        self.page.locator(inside).get_by_text(text, exact=False).first.wait_for()

    def told(self, text: str) -> None:
        """Wait until a button has told that; what it tells disappears after a while."""
        self.until("text => document.getElementById('toast').textContent.includes(text)", text)

    def press(self, name: str, inside: str = "main") -> None:
        """Click on a button."""
        self.page.locator(inside).get_by_role("button", name=name, exact=True).click()

    def allow_clipboard(self) -> None:
        """Let the page write to the clipboard, and us read it."""
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])

    def until(self, expression: str, argument: Any = None) -> None:
        """Wait until an expression of JavaScript is true."""
        self.page.wait_for_function(expression, arg=argument)

    def close(self) -> None:
        """Close it; fail if anything went wrong."""
        self._context.close()
        assert self._faults == []

    def _on_console(self, message: Any) -> None:
        # What the browser says of a response with an error is what the test asked for.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self._faults.append("console: " + message.text)

    def _on_dialog(self, dialog: Any) -> None:
        self._faults.append("dialog: " + dialog.message)
        dialog.dismiss()

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:")):
            self._faults.append("request to " + request.url)
