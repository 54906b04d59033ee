// The page: which view is shown, news, and the keyboard.

import {act, listen} from "./api.js";
import {fill, h} from "./dom.js";
import {showConnection, showConnections} from "./connections.js";
import {showDetail} from "./detail.js";
import {showDevices} from "./devices.js";
import {showFaults} from "./faults.js";
import {List} from "./list.js";
import {address, readAddress} from "./search.js";

const main = document.getElementById("main");
const help = document.getElementById("help");
// Milliseconds between two looks at a connection that something happens on.
const LOOK = 1000;

const detail = h("article", {class: "detail", "aria-label": "Notification"});
const search = h("input", {type: "search", id: "search", "aria-label": "Search",
  placeholder: "Search: words, token:5f*, outcome:rejected", autocomplete: "off",
  spellcheck: "false"});
const list = new List((number) => go(address("notifications", number, search.value)));
const outcomes = h("p", {class: "chips", role: "group", "aria-label": "Outcomes"},
  [["All", ""], ["Accepted", "outcome:accepted"], ["Rejected", "outcome:rejected"],
    ["Pending", "outcome:pending"]].map(([text, q]) => h("button", {type: "button", "data-q": q,
    onclick: () => go(address("notifications", null, q))}, text)));
const split = h("div", {class: "split"},
  h("div", {class: "side"},
    h("form", {role: "search", onsubmit: (event) => event.preventDefault()}, search),
    h("div", {class: "tools"}, outcomes, h("span", null,
      h("a", {class: "button", href: "api/v1/export", download: ""}, "Export"),
      h("button", {type: "button", onclick: clear}, "Clear"))),
    list.element),
  detail);

let now = {};

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

async function clear() {
  await act(({deleted}) => `${deleted} deleted.`, "DELETE", "/notifications");
  go(address("notifications"));
  await list.search(search.value);
}

async function show() {
  const wanted = readAddress(location.hash);
  const previous = now;
  if (wanted.view === "notifications" && wanted.number && !wanted.q
      && previous.view && previous.view !== "notifications") {
    // From a connection, say: what was looked for before stays.
    wanted.q = search.value;
    history.replaceState(null, "", address(wanted.view, wanted.number, wanted.q));
  }
  now = wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === "notifications") {
      // Leads back to what was looked for; from there, to all.
      link.href = address("notifications", null,
        wanted.view === "notifications" ? "" : search.value);
    }
    if (link.dataset.view === wanted.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    await showView(wanted, previous);
  } catch (error) {
    if (now === wanted) fill(main, h("p", {class: "empty"}, error.message));
  }
}

async function showView(wanted, previous) {
  if (wanted.view === "connections") {
    await (wanted.number ? showConnection(panel(), wanted.number) : showConnections(panel()));
  } else if (wanted.view === "devices") {
    await showDevices(panel());
  } else if (wanted.view === "faults") {
    await showFaults(panel());
  } else {
    await showNotifications(wanted, previous);
  }
}

/** Return an empty element in the place of what is shown. */
function panel() {
  const element = h("div", {class: "panel"});
  fill(main, element);
  return element;
}

async function showNotifications({number, q}, previous) {
  if (!main.contains(split)) fill(main, split);
  document.body.dataset.open = number ? "detail" : "list";
  for (const chip of outcomes.children) {
    chip.setAttribute("aria-pressed", String(chip.dataset.q === q));
  }
  if (search.value !== q) search.value = q;
  list.select(number);
  const before = previous.view === "notifications" ? previous : {};
  if (before.q !== q) list.search(q);
  if (number && before.number !== number) {
    await openDetail();
    detail.scrollTop = 0;
  } else if (!number) {
    delete detail.dataset.number;
    fill(detail, h("p", {class: "empty"}, "Choose a notification."));
  }
}

async function openDetail() {
  const back = address("notifications", null, now.q);
  await showDetail(detail, now.number, {list: back, onGone: () => {
    go(back);
    list.search(search.value);
  }});
}

// News.

let looking = null;
function lookSoon() {
  if (looking) return;
  looking = setTimeout(() => {
    looking = null;
    if (now.view === "connections") show();
  }, LOOK);
}

listen({
  notifications: (message) => {
    list.news(message);
    const changed = message.items.some((item) => item.number === now.number);
    if (changed && now.view === "notifications") openDetail();
  },
  connections: lookSoon,
  reset: () => list.search(search.value),
});

// The keyboard, and what is typed into the search field.

let typing = null;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    history.replaceState(null, "", address("notifications", null, search.value));
    show();
  }, 200);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else if (now.number) go(address(now.view, null, now.q));
    return;
  }
  if (isTyping) return;
  if (event.key === "/") {
    event.preventDefault();
    if (now.view !== "notifications") go(address("notifications"));
    setTimeout(() => search.focus());
  } else if (event.key === "?") {
    help.showModal();
  } else if (now.view === "notifications" && (event.key === "j" || event.key === "k")) {
    list.move(event.key === "j" ? 1 : -1);
  } else if (now.view === "notifications" && event.key === "Enter" && list.selected
      && !event.target.matches("a, button")) {
    go(address("notifications", list.selected, search.value));
  }
});

window.addEventListener("hashchange", show);
show();
