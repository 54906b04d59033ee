"""The simulator's page in a real browser: what somebody sees, and what their clicks do."""

import contextlib
import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from browser import LIMIT, Window, open_browser
from page_scene import APP, OTHER, TOKEN, Scene

from apnsclient.testing.simulator import RequestScript, Simulator
from apnsclient.testing.simulator.connection_facts import ConnectionFacts, TLSFacts
from apnsclient.testing.simulator.exchange import ProviderExchange
from apnsclient.testing.simulator.provider_head import Head
from apnsclient.testing.simulator.provider_policy import Verdict
from apnsclient.testing.web import Releaser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as started:
        yield started


@pytest.fixture
def scene(browser: Any) -> Iterator[Scene]:
    with Scene(browser) as opened:
        yield opened


def rows(window: Window) -> List[str]:
    """Return the titles of the rows that are there, from the top."""
    found: List[str] = window.page.locator(".row .title").all_inner_texts()
    return found


def show_rows(window: Window, titles: List[str]) -> None:
    """Wait until these are the rows."""
    window.until("titles => JSON.stringify(titles) === JSON.stringify("
                 "[...document.querySelectorAll('.row .title')].map((one) => one.textContent))",
                 titles)


def test_pushes_appear_without_a_reload(scene: Scene) -> None:
    """With what became of them; and one that waits for its response changes when it has it."""
    window = scene.window.open()
    window.see("Nothing has come yet.")
    scene.push()
    window.see("Dinner is ready", ".rows")
    scene.apns.devices.bad(OTHER)
    assert scene.push(OTHER, alert={"title": "Lunch", "body": "Later"}) == "BadDeviceToken"
    window.see("400 BadDeviceToken", ".rows")
    window.see("2 notifications", ".count")
    assert rows(window) == ["Lunch", "Dinner is ready"]


def test_what_is_looked_for_is_exported_and_deleted(scene: Scene) -> None:
    """And nothing else; without a search it is everything."""
    scene.push(alert="One")
    scene.push(alert="Two")
    window = scene.window.open("#/notifications?q=one")
    show_rows(window, ["One"])
    with window.page.expect_download() as download:
        window.page.get_by_role("link", name="Export").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["body"] for line in lines] == ["One"]
    window.press("Clear")
    window.told("1 deleted.")
    window.see("Nothing matches", ".count")
    assert [each.number for each in scene.apns.journal.exchanges()] == [2]
    window.open("#/notifications")
    show_rows(window, ["Two"])
    window.press("Clear")
    window.see("Waiting for the first push", ".detail")
    assert scene.apns.journal.exchanges() == []


def test_the_first_screen_says_how_to_push(scene: Scene, tmp_path: Path) -> None:
    """Its commands work as they stand there; they go when something has come."""
    window = scene.window.open()
    window.see("Waiting for the first push", ".detail")
    window.see("%s:%d" % scene.apns.provider_address, ".detail")
    commands = window.page.locator(".welcome pre").inner_text()
    subprocess.run(["sh", "-ec", commands], cwd=str(tmp_path), check=True, timeout=60,
                   stderr=subprocess.PIPE)
    window.see("Hello", ".rows")
    window.see("Choose a notification.", ".detail")
    window.page.set_viewport_size({"width": 375, "height": 700})
    window.press("Clear")
    window.see("Waiting for the first push", ".detail")


def test_a_notification_is_shown_as_a_device_shows_it(scene: Scene) -> None:
    """With everything that belongs to it; it opens with a click, and has an address of its own."""
    scene.push(payload={"aps": {
        "alert": {"title": "Table 7", "subtitle": "Bistro", "loc-key": "READY", "loc-args": ["x"]},
        "badge": 3, "sound": "bell.caf", "interruption-level": "time-sensitive"}, "order": 7})
    window = scene.window.open()
    window.page.locator(".row a").click()
    for text in ("Table 7", "Bistro", "READY, x"):
        window.see(text, ".lock")
    for text in ("bell.caf", "time-sensitive", '"order": 7', "of 4,096 bytes", scene.apns.key_id,
                 "apns-unique-id", ":path", TOKEN, "TLSv1.3"):
        window.see(text, ".detail")
    assert window.page.url.endswith("#/notifications/1")
    window.page.reload()
    window.see("Table 7", ".lock")


def test_what_shows_nothing_is_said_to(scene: Scene) -> None:
    """Background pushes, calls, badges alone, and payloads that are none."""
    pushes = [
        ({"payload": {"aps": {"content-available": 1}}, "apns_push_type": "background",
          "priority": 5}, "the application is woken"),
        ({"payload": {"aps": {}}, "apns_push_type": "voip", "apns_topic": APP + ".voip"},
         "CallKit"),
        ({"payload": {"aps": {"badge": 5}}}, "Sets the badge of the application."),
        ({"payload": '{"x": 1}'}, "there is no alert, badge or sound"),
    ]
    window = scene.window.open()
    for number, (options, text) in enumerate(pushes, 1):
        assert scene.push(**options) is None
        window.open("#/notifications/%d" % number)
        window.see(text, ".detail")
        assert window.page.locator(".lock").count() == 0


def test_what_is_looked_for_is_found(scene: Scene) -> None:
    """By words, by fields and by outcome; what comes is looked at, too; the address has it."""
    scene.apns.devices.bad(OTHER)
    scene.push(TOKEN, OTHER, alert="First")
    scene.push(alert="Second", apns_topic="com.example.other")
    window = scene.window.open()
    window.see("Second", ".rows")
    search = window.page.locator("#search")
    for words, found in (("second", ["Second"]), ("token:cd*", ["First"]),
                         ("outcome:rejected", ["First"]), ("topic:com.example.other", ["Second"]),
                         ("reason:BadDeviceToken first", ["First"]), ("nothing", [])):
        search.fill(words)
        show_rows(window, found)
        window.see("Nothing matches" if not found else "%d found" % len(found), ".count")
    search.fill("first")
    show_rows(window, ["First", "First"])
    window.press("Rejected")
    show_rows(window, ["First"])
    assert "q=outcome%3Arejected+first" in window.page.url
    search.fill("outcome:rejected")
    scene.push(OTHER, alert="Third")
    window.see("Third", ".rows")
    window.page.reload()
    show_rows(window, ["Third", "First"])
    search.fill("status:x")
    window.see("status", ".count")


def test_the_list_says_what_each_is_and_what_is_wrong(scene: Scene) -> None:
    """What has no text is named by its kind; errors and warnings of lint are counted."""
    scene.push(payload={"aps": {"alert": "Plain"}})
    scene.push(payload={"aps": {"content-available": 1}}, apns_push_type="background")
    scene.push(payload={"aps": {"badge": 3}})
    scene.push(payload={"aps": {"event": "update"}}, apns_push_type="liveactivity",
               apns_topic=APP + ".push-type.liveactivity")
    window = scene.window.open()
    show_rows(window, ["live activity", "badge", "background", "Plain"])
    marks = window.page.locator(".row").nth(0).locator(".marks [role=img]")
    assert marks.first.get_attribute("aria-label") == "2 errors"
    assert marks.first.inner_text() == "\u2715 2"
    assert window.page.locator(".row").nth(3).locator(".marks [role=img]").count() == 0
    scene.push(payload={"aps": {"alert": "x", "badge": "1"}})
    window.page.locator(".row", has_text="x").first.locator(
        ".marks [aria-label='1 warning']").wait_for()


def test_what_was_looked_for_stays(scene: Scene) -> None:
    """In a notification, on the way back, and after a look at its connection."""
    scene.push(alert="One")
    scene.push(alert="Two")
    window = scene.window.open("#/notifications?q=one")
    show_rows(window, ["One"])
    window.page.locator(".row a").click()
    window.see("One", ".lock")
    window.page.locator(".detail a", has_text="number 1, provider").click()
    window.see("opened", ".timeline")
    window.page.locator(".timeline a").nth(1).click()
    window.see("Two", ".lock")
    show_rows(window, ["One"])
    assert window.page.url.endswith("#/notifications/2?q=one")
    window.page.locator("nav a", has_text="Devices").click()
    window.see("Set", ".panel")
    window.page.locator("nav a", has_text="Notifications").click()
    show_rows(window, ["One"])
    window.page.locator("nav a", has_text="Notifications").click()
    show_rows(window, ["Two", "One"])


def test_a_copied_command_sends_the_same_again(scene: Scene, tmp_path: Path) -> None:
    """With quotes and all, by whoever has the authority and the certificate in files."""
    payload = '{"aps": {"alert": "It\'s $HOME, \\"now\\" `x` \u00e9"}}'
    (tmp_path / "ca.pem").write_text(scene.apns.ca_string)
    (tmp_path / "client.pem").write_text(scene.apns.cert_string)
    scene.push(payload=payload, apns_collapse_id="it's")
    window = scene.window.open("#/notifications/1")
    window.allow_clipboard()
    window.press("Copy as curl")
    window.told("Copied.")
    command = window.page.evaluate("() => navigator.clipboard.readText()")
    subprocess.run(["bash", "-c", command], cwd=str(tmp_path), check=True, timeout=60)
    exchange = scene.apns.journal.get(2)
    assert exchange is not None
    assert exchange.payload == payload.encode("utf-8")
    assert (exchange.topic, exchange.push_type, exchange.collapse_id, exchange.outcome) == (
        APP, "alert", "it's", "accepted")


def test_a_notification_is_released_after_a_question(browser: Any) -> None:
    """To a device on the list alone; what Apple said stays with the notification."""
    with Simulator(linger=0.1) as apple:
        apple.devices.uninstall(TOKEN, 1700000000)
        with contextlib.closing(Releaser(
                apple.key_string, apple.key_id, apple.team_id, [TOKEN], apple.provider_address,
                apple.ca_string)) as releaser, Scene(browser, releaser=releaser) as scene:
            scene.push(TOKEN, OTHER)
            window = scene.window.open("#/notifications/2")
            window.see(OTHER, ".detail")
            assert window.page.get_by_role("button", name="Release").count() == 0
            window.open("#/notifications/1")
            window.press("Release")
            window.see("Send it on to Apple?", "dialog[open]")
            window.page.keyboard.press("Escape")
            window.until("() => !document.querySelector('dialog[open] #confirm-title')")
            assert apple.journal.last_number == 0
            assert window.page.url.endswith("/1")
            window.press("Release")
            window.press("Send", "dialog[open]")
            window.told("Apple: rejected.")
            window.see("Unregistered", "section:has-text('Released to Apple')")
            assert [each.token for each in apple.journal.find()] == [TOKEN]


def test_filters_are_chosen_in_a_form(scene: Scene) -> None:
    """It and the text in the search field say the same; a time may be one that is so long ago."""
    scene.apns.devices.bad(OTHER)
    scene.push(TOKEN, OTHER, alert="First")
    scene.push(payload={"aps": {"content-available": 1}}, apns_push_type="background", priority=5)
    window = scene.window.open("#/notifications?q=outcome%3Aaccepted")
    search, form = window.page.locator("#search"), window.page.locator("#filters")
    window.press("Filters (1)")
    assert form.get_by_label("Outcome").input_value() == "accepted"
    form.get_by_label("Push type").select_option("alert")
    show_rows(window, ["First"])
    form.get_by_label("Outcome").select_option("any")
    show_rows(window, ["First", "First"])
    form.get_by_label("Reason").fill("BadDeviceToken")
    show_rows(window, ["First"])
    assert search.input_value() == "type:alert reason:BadDeviceToken"
    window.press("Clear filters")
    window.until("() => document.querySelectorAll('.row').length === 3")
    for words, count in (("since:1h", 3), ("until:1h", 0), ("since:2001-01-01", 3),
                         ("since:1d until:2030-01-01T09:30 type:alert", 2)):
        search.fill(words)
        window.until("count => document.querySelectorAll('.row').length === count", count)
    search.fill("since:soon")
    window.see("since: ", ".count")
    assert window.page.evaluate("""async () => {
      const {parse} = await import("/search.js");
      return parse("since:09:30").since === new Date(new Date().setHours(9, 30, 0, 0)).toJSON();
    }""")


def test_the_keyboard_is_enough(scene: Scene) -> None:
    """To search, to walk, to open and to go back."""
    for number in range(3):
        scene.push(alert="Number %d" % number)
    window = scene.window.open()
    window.see("Number 2", ".rows")
    keys = window.page.keyboard
    keys.press("j")
    keys.press("j")
    keys.press("k")
    keys.press("Enter")
    window.see("Number 3", ".detail")
    window.until("() => document.activeElement.id === 'detail-title'")
    assert window.page.title() == "Number 3 \u2013 apns simulator"
    keys.press("Escape")
    window.see("Choose a notification.", ".detail")
    window.until("() => document.activeElement.closest('.row')?.dataset.number === '3'")
    keys.press("/")
    window.until("() => document.activeElement.id === 'search'")
    keys.type("number 1")
    window.until("() => document.querySelectorAll('.row').length === 1")
    keys.press("Escape")
    keys.press("?")
    window.see("Keyboard", "#help")
    keys.press("Escape")
    assert not window.page.locator("#help").is_visible()
    window.page.locator(".skip").focus()
    keys.press("Enter")
    window.until("() => document.activeElement.id === 'main'")
    assert window.page.locator("nav [aria-current]").inner_text() == "Notifications"


def test_buttons_make_it_misbehave(scene: Scene) -> None:
    """As a client of APNs finds out; and what is in force is shown, and taken back."""
    window = scene.window.open("#/faults")
    window.page.locator("#reason").select_option("TooManyRequests")
    window.press("Script it")
    window.see("TooManyRequests", "fieldset:has-text('Next requests')")
    assert scene.push() == "TooManyRequests"
    assert scene.push() is None
    opened = scene.apns.provider_connections
    window.press("Send GOAWAY")
    window.told("GOAWAY on ")
    assert scene.push() is None
    assert scene.apns.provider_connections == opened + 1
    window.press("Hang up")
    window.told("Closed ")
    window.page.locator("#streams").fill("3")
    window.press("Limit")
    window.told("Limited ")
    assert scene.apns.faults.most_streams == 3
    window.page.locator("#seconds").fill("0.01")
    window.press("Slow down")
    window.told("Responses are late now.")
    assert scene.apns.faults.delay == 0.01
    window.press("Refuse them")
    window.told("New connections are reset.")
    with pytest.raises(EnvironmentError):
        scene.push()
    window.press("Take back all faults")
    window.told("All is as usual.")
    window.page.get_by_role("button", name="Refuse them").wait_for()
    window.press("Revoke " + scene.apns.key_id)
    window.told("Its tokens are refused now.")
    assert scene.push() == "InvalidProviderToken"
    window.press("Reset the simulator")
    window.page.get_by_role("button", name="Revoke " + scene.apns.key_id).wait_for()
    assert scene.push() is None


def test_whoever_types_is_not_disturbed_by_what_is_shown_anew(scene: Scene) -> None:
    """The field, what is chosen in it, and the keyboard stay; so they do on a button."""
    window = scene.window.open("#/faults")
    keys = window.page.keyboard
    window.page.locator("#seconds").fill("25")
    field = window.page.locator("#seconds").element_handle()
    # A click would take the keyboard away.
    shown_anew = """text => {
      const button = [...document.querySelectorAll("button")].find((one) =>
        one.textContent === text);
      button.click();
      return new Promise((resolve) => {
        const look = () => button.isConnected ? requestAnimationFrame(look) : resolve();
        look();
      });
    }"""
    field.evaluate("field => field.select()")
    window.page.evaluate(shown_anew, "Refuse them")
    keys.type("7")
    assert window.page.locator("#seconds").input_value() == "7"
    window.page.get_by_role("button", name="Send GOAWAY").focus()
    window.page.evaluate(shown_anew, "Accept them again")
    assert window.page.evaluate("document.activeElement.textContent") == "Send GOAWAY"


def test_a_script_is_written_as_json(scene: Scene) -> None:
    """What is wrong with it is said; what is right with it happens."""
    window = scene.window.open("#/faults")
    script = window.page.locator("#script")
    for text, said in (("{", "That is no JSON"), ('{"x": 1}', "there is no field 'x'"),
                       ('{"response_at": {"1": "Forbidden"}}', "Scripted.")):
        script.fill(text)
        window.press("Add")
        window.told(said)
    assert scene.push() == "Forbidden"


def test_devices_are_set_by_hand(scene: Scene) -> None:
    """In their view, by a prefix, and from a notification."""
    scene.push()
    window = scene.window.open("#/notifications/1")
    window.press("Make device bad")
    window.told("Pushes to this device are rejected now.")
    assert scene.push() == "BadDeviceToken"
    window.press("Uninstall")
    window.told("The application is gone from this device.")
    assert scene.push() == "Unregistered"
    window.open("#/devices")
    window.see("uninstalled", "table")
    window.page.locator("[name=token]").fill("cd*")
    window.page.locator("[name=state]").select_option("bad")
    window.page.locator("[name=reason]").fill("Nonsense")
    window.press("Set")
    window.told("there is no reason 'Nonsense'")
    window.page.locator("[name=reason]").fill("DeviceTokenNotForTopic")
    window.press("Set")
    window.see("cd*", "table")
    assert scene.push(OTHER) == "DeviceTokenNotForTopic"
    window.page.locator("tr", has_text="cd*").get_by_role("button").click()
    window.until("() => !document.querySelector('table').textContent.includes('cd*')")
    assert scene.push(OTHER) is None


def test_a_connection_has_a_timeline(scene: Scene) -> None:
    """Its requests, and what happened between them; a request leads to its notification."""
    scene.push(TOKEN, OTHER)
    scene.apns.goaway_all("Shutdown")
    window = scene.window.open("#/connections")
    window.page.locator("td a").first.click()
    window.see("GOAWAY (Shutdown)", ".timeline")
    window.see("opened", ".timeline")
    assert window.page.locator(".timeline a").count() == 2
    assert window.page.locator(".lines [data-kind=goaway]").count() == 1
    # Each is where its time is on the axis, within it, and in order.
    places = window.page.locator(".timeline .mark").evaluate_all(
        "marks => marks.map((mark) => parseFloat(mark.style.left))")
    assert places == sorted(places) and (places[0], places[-1] > 0) == (0, True)
    assert all(place <= 100 for place in places)
    window.page.locator(".timeline a").first.click()
    window.see("Dinner is ready", ".lock")


HOSTILE = [
    json.dumps({"aps": {"alert": {
        "title": "<img src=x onerror=alert(1)>", "body": "<script>alert(2)</script>",
        "subtitle": "javascript:alert(3)"}}, "</script><script>alert(4)</script>": 1}),
    json.dumps({"aps": {"alert": "\u202egnp.exe\u2066\u061c \u0000\u001b[2J \u200f"}}),
    json.dumps({"aps": {"alert": "x" * 3900}}),
    "[" * 2000 + "]" * 2000,
    '{"aps": ' * 400 + "1" + "}" * 400,
    json.dumps({"aps": {"alert": {"title": [1], "body": {"a": 1}, "loc-key": "K", "loc-args": 7},
                        "badge": "1e9999", "sound": [], "thread-id": {}}}),
    json.dumps({"__proto__": {"polluted": 1}, "aps": {"constructor": 1, "alert": None}}),
    '{"aps": {"alert": "\\ud800"}}',
    "not JSON at all \u00ff",
]


def test_hostile_payloads_harm_nothing(scene: Scene) -> None:
    """They are shown as text: nothing of them runs, loads, or breaks the page."""
    window = scene.window.open()
    for number, payload in enumerate(HOSTILE, 1):
        scene.push(payload=payload)
        window.until("count => document.querySelectorAll('.row').length >= Math.min(count, 5)",
                     number)
        window.open("#/notifications/%d" % number)
        window.see("of 4,096 bytes", ".detail")
        assert window.page.evaluate("() => ({}).polluted") is None
    window.open("#/notifications/1")
    window.see("<img src=x onerror=alert(1)>", ".lock")
    assert window.page.locator("main img, main script, main iframe").count() == 0
    window.open("#/notifications/2")
    for control in ("\u202e", "\u061c"):
        assert control not in window.page.locator("main").inner_text()
    assert "\u27e8202e\u27e9" in window.page.locator(".lock").inner_text()


def test_a_hundred_thousand_stay_usable(scene: Scene) -> None:
    """Few of them are in the document; old ones come when they are scrolled to, or looked for."""
    facts = ConnectionFacts(1, 1, "provider", ("192.0.2.1", 5), TLSFacts(
        "TLSv1.3", "x", "h2", False), None, 0.0)
    head = Head([(b":method", b"POST"), (b"apns-topic", APP.encode("ascii"))])
    many = []
    for number in range(1, 100001):
        exchange = ProviderExchange(
            number, 1.7e9 + number, facts, 1, b'{"aps":{"alert":"Number %d"}}' % number,
            b"/3/device/%064x" % number, head)
        exchange.respond(1.7e9 + number, Verdict(200, None, None, True, None), (), b"")
        many.append(exchange)
    scene.apns.journal.arrived(many)
    window = scene.window.open()
    window.see("100,000 notifications", ".count")
    window.see("Number 100000", ".rows")
    for last in (99800, 99600):
        window.page.evaluate("() => { const list = document.querySelector('.viewport');"
                             " list.scrollTop = list.scrollHeight; }")
        window.see("Number %d" % last, ".rows")
    assert window.page.locator(".row").count() < 60
    window.page.locator("#search").fill("token:%064x" % 7)
    show_rows(window, ["Number 7"])


def test_whoever_reads_is_not_disturbed_by_what_comes(scene: Scene) -> None:
    """The list stays where it is, and a button says how many are new."""
    for _ in range(3):
        scene.push(*[TOKEN] * 20)
    window = scene.window.open()
    window.see("60 notifications", ".count")
    window.page.evaluate("() => { document.querySelector('.viewport').scrollTop = 600; }")
    scene.push(alert="A new one")
    window.page.get_by_role("button", name="1 new").wait_for()
    assert "A new one" not in rows(window)
    window.press("1 new")
    window.see("A new one", ".rows")


@pytest.mark.parametrize("search", ["", "?q=outcome%3Aaccepted"])
def test_what_was_missed_is_counted_once_and_found(scene: Scene, search: str) -> None:
    """However often the page looks; who scrolls to the top by hand finds it without a hole."""
    for _ in range(3):
        scene.push(*[TOKEN] * 20)
    window = scene.window.open("#/notifications" + search)
    window.until("() => document.querySelectorAll('.row').length > 5")
    window.page.evaluate("() => { document.querySelector('.viewport').scrollTop = 600; }")
    for number, title in enumerate(("Missed", "Missed, too"), 1):
        scene.push(alert=title)
        window.page.get_by_role("button", name="%d new" % number, exact=True).wait_for()
    window.page.evaluate("() => { document.querySelector('.viewport').scrollTop = 0; }")
    scene.push(alert="The newest")
    window.until("() => [...document.querySelectorAll('.row .title')].slice(0, 3)"
                 ".map((one) => one.textContent).join() === 'The newest,Missed, too,Missed'")
    assert not window.page.locator(".newer").is_visible()


def test_a_row_stays_what_it_is_while_others_come(scene: Scene) -> None:
    """Whoever is about to click on it, or has the keyboard there, does not lose it."""
    scene.push(alert="First")
    window = scene.window.open()
    window.page.keyboard.press("j")
    window.until("() => document.activeElement.textContent.includes('First')")
    row = window.page.locator(".row").element_handle()
    scene.push(alert="Second")
    show_rows(window, ["Second", "First"])
    assert row.evaluate("row => row.isConnected && row.contains(document.activeElement)")
    window.page.keyboard.press("ArrowUp")
    window.until("() => document.activeElement.textContent.includes('Second')")
    assert window.page.locator(".row a[tabindex='0']").count() == 1
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Shift+Tab")
    window.until("() => document.activeElement.textContent.includes('Second')")


@contextlib.contextmanager
def holding(scene: Scene, alert: str) -> Iterator[None]:
    """Have a request wait for its response."""
    scene.apns.faults.script_requests(RequestScript(hold=True))
    pushing = threading.Thread(target=scene.push, kwargs={"alert": alert})
    pushing.start()
    try:
        assert scene.apns.wait_for(lambda: scene.apns.held == 1, LIMIT / 1000)
        yield
    finally:
        scene.apns.release_held()
        pushing.join()


def test_what_changes_is_where_it_belongs(scene: Scene) -> None:
    """It leaves what it does not match any more, and appears behind newer ones that were there."""
    window = scene.window.open("#/notifications?q=outcome%3Apending")
    with holding(scene, "First"):
        show_rows(window, ["First"])
    show_rows(window, [])
    window.press("Accepted")
    show_rows(window, ["First"])
    with holding(scene, "Second"):
        scene.push(alert="Third")
        show_rows(window, ["Third", "First"])
    show_rows(window, ["Third", "Second", "First"])


def test_a_page_that_is_open_for_long_forgets_what_is_old(scene: Scene) -> None:
    """What scrolling needs of it is loaded again; the simulator says how many it keeps."""
    found = scene.window.open().page.evaluate("""async () => {
      const list = new (await import("/list.js")).List(() => {}, () => {});
      for (let last = 100; last <= 5000; last += 100) {
        const items = Array.from({length: 100}, (_, index) => ({
          number: last - 99 + index, outcome: "accepted", finding_counts: {}}));
        list.news({items, skipped: 0, kept: 700});
      }
      list.draw();
      return [list.items.length, list.items[0].number, list.hasOlder, list.count.textContent];
    }""")
    assert found == [2000, 5000, True, "700 notifications"]


#: Returns texts in the window whose colour is too near to what is behind (WCAG 2.2, 1.4.3).
FAINT_TEXTS = """() => {
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const luminance = (colors) => {
    pixel.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      pixel.fillStyle = color;
      pixel.fillRect(0, 0, 1, 1);
    }
    const [red, green, blue] = [...pixel.getImageData(0, 0, 1, 1).data].map((part) =>
      part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const behind = [];
    for (let each = element; each; each = each.parentElement) {
      behind.unshift(getComputedStyle(each).backgroundColor);
    }
    const [one, other] = [luminance(behind),
      luminance([...behind, getComputedStyle(element).color])].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${walker.currentNode.data.slice(0, 40)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_the_dark(browser: Any, scheme: str) -> None:
    """Nothing scrolls sideways, no text is faint; a notification takes the place of the list."""
    with Scene(browser, color_scheme=scheme, viewport={"width": 375, "height": 700}) as scene:
        scene.push(payload={"aps": {"alert": {"title": "W" * 300, "body": "x" * 500}}},
                   apns_topic=APP + ".with.a.long.name.that.does.not.end" * 2)
        scene.apns.devices.bad(OTHER)
        scene.push(OTHER)
        window = scene.window
        for address in ("", "#/notifications/1", "#/connections", "#/connections/1", "#/devices",
                        "#/faults"):
            window.open(address)
            window.until("() => document.querySelector('main').textContent.length > 20")
            assert window.page.evaluate(
                "() => document.documentElement.scrollWidth <= window.innerWidth"), address
            assert window.page.evaluate(FAINT_TEXTS) == [], address
        window.open("#/notifications/1")
        window.see("W" * 100, ".lock")
        assert not window.page.locator(".side").is_visible()
        ground = window.page.evaluate(
            "() => getComputedStyle(document.documentElement).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
