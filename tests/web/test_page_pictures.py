"""Pictures of the page, for the documentation: taken in each run, kept where a folder is named.

``APNS_PICTURES=docs/images pytest tests/web/test_page_pictures.py`` makes those of the
documentation anew. The clock of the simulator is set, so that they differ in little.
"""

import itertools
import os
import shutil
import struct
from pathlib import Path
from typing import Any, Iterator

import pytest
from browser import open_browser
from page_scene import APP, OTHER, Scene

#: Where the pictures are kept (str), if anywhere.
FOLDER = os.environ.get("APNS_PICTURES")
#: What each picture may have at most, in bytes.
LARGEST = 180000

MORNING = 1796115600.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as started:
        yield started


def push_a_morning(scene: Scene) -> None:
    """Push what a shop might, with the faults that programs have."""
    scene.apns.devices.bad(OTHER)
    scene.apns.devices.uninstall("5e" * 32, 1700000000)
    scene.push("07" * 32, payload={"aps": {
        "alert": {"title": "Table 7 is ready", "subtitle": "Bistro Lumi\u00e8re",
                  "body": "Your table is waiting. Ask for Camille at the bar."},
        "badge": 1, "sound": "bell.caf", "thread-id": "table-7",
        "interruption-level": "time-sensitive"}, "order": 7})
    scene.push("1a" * 32, OTHER, "5e" * 32, alert={"title": "Today's menu", "body": "Soup"})
    scene.push("2b" * 32, payload={"aps": {"content-available": 1}}, apns_push_type="background",
               priority=5)
    scene.push("3c" * 32, alert="Incoming call", apns_topic=APP + ".voip", apns_push_type="alert")
    scene.push("4d" * 32, payload={"aps": {"alert": {
        "title-loc-key": "ORDER_TITLE", "loc-key": "ORDER_READY", "loc-args": ["Camille", "7"]}}})
    scene.push("07" * 32, payload={"aps": {"timestamp": 1796115600, "event": "update",
                                           "content-state": {"minutes": 12, "course": "main"}}},
               apns_topic=APP + ".push-type.liveactivity", apns_push_type="liveactivity")
    scene.apns.goaway_all("Shutdown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_page(browser: Any, tmp_path: Path, scheme: str) -> None:
    """List, detail, faults and a connection, and the first two as wide as a phone is."""
    with Scene(browser, color_scheme=scheme, viewport={"width": 1180, "height": 760},
               clock=map(MORNING.__add__, itertools.count(0, 0.007)).__next__) as scene:
        push_a_morning(scene)
        window = scene.window
        for name, address, text, inside in (
                ("list", "", "Table 7 is ready", ".rows"),
                ("detail", "#/notifications/1", "Camille at the bar", ".lock"),
                ("connection", "#/connections/1", "Table 7 is ready", ".timeline"),
                ("faults", "#/faults", "Send GOAWAY", "main")):
            window.open(address)
            window.see(text, inside)
            window.page.screenshot(path=str(tmp_path / ("simulator-%s-%s.png" % (name, scheme))))
        window.page.set_viewport_size({"width": 390, "height": 760})
        for name, address, text, inside in (
                ("phone-list", "", "Table 7 is ready", ".rows"),
                ("phone-detail", "#/notifications/1", "Camille at the bar", ".lock")):
            window.open(address)
            window.see(text, inside)
            window.page.screenshot(path=str(tmp_path / ("simulator-%s-%s.png" % (name, scheme))))
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == 6
    for picture in pictures:
        content = picture.read_bytes()
        width, height = struct.unpack(">II", content[16:24])
        assert (width, height) == ((390 if "phone" in picture.name else 1180), 760)
        assert len(content) < LARGEST
        if FOLDER:
            shutil.copy(str(picture), FOLDER)
