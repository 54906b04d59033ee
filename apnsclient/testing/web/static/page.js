// The page: which view is shown, news, and the keyboard.

import {act, listen, query} from "./api.js";
import {fill, h} from "./dom.js";
import {showConnection, showConnections} from "./connections.js";
import {showDetail} from "./detail.js";
import {showDevices} from "./devices.js";
import {showFaults} from "./faults.js";
import {Filters} from "./filters.js";
import {List} from "./list.js";
import {address, parse, readAddress} from "./search.js";
import {welcome} from "./welcome.js";

const main = document.getElementById("main");
const help = document.getElementById("help");
// Milliseconds between two looks at a connection that something happens on.
const LOOK = 1000;

const detail = h("article", {class: "detail", "aria-label": "Notification"});
const list = new List((number) => go(address("notifications", number, filters.q)), showNothing);
const filters = new Filters((q, isTyped) => {
  if (!isTyped) {
    go(address("notifications", null, q));
    return;
  }
  // Not one step back for each letter.
  history.replaceState(null, "", address("notifications", null, q));
  show();
});
// Both are about what is looked for, and without a search about everything.
const exporting = h("a", {class: "button", download: ""}, "Export");
const split = h("div", {class: "split"},
  h("div", {class: "side"},
    h("h1", {class: "unseen"}, "Notifications"),
    filters.element,
    h("div", {class: "tools"}, filters.chips, h("span", null,
      exporting,
      h("button", {type: "button", onclick: clear}, "Clear"))),
    list.element),
  detail);

let now = {};

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

async function clear() {
  await act(({deleted}) => `${deleted} deleted.`, "DELETE",
    "/notifications" + query(parse(filters.q)));
  go(address("notifications", null, filters.q));
  await list.search(filters.q);
}

async function show() {
  const wanted = readAddress(location.hash);
  const previous = now;
  if (wanted.view === "notifications" && wanted.number && !wanted.q
      && previous.view && previous.view !== "notifications") {
    // From a connection, say: what was looked for before stays.
    wanted.q = filters.q;
    history.replaceState(null, "", address(wanted.view, wanted.number, wanted.q));
  }
  now = wanted;
  document.title = `${title(wanted)} \u2013 apns simulator`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === "notifications") {
      // Leads back to what was looked for; from there, to all.
      link.href = address("notifications", null,
        wanted.view === "notifications" ? "" : filters.q);
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

function title({view, number}) {
  if (number) return view === "connections" ? `Connection ${number}` : `Number ${number}`;
  return view[0].toUpperCase() + view.slice(1);
}

async function showView(wanted, previous) {
  if (wanted.view === "connections") {
    const element = panel(wanted);
    await (wanted.number ? showConnection(element, wanted.number) : showConnections(element));
  } else if (wanted.view === "devices") {
    await showDevices(panel(wanted));
  } else if (wanted.view === "faults") {
    await showFaults(panel(wanted));
  } else {
    await showNotifications(wanted, previous);
  }
}

/** Return the element of a view; that which is there already keeps its content until it has new. */
function panel({view, number}) {
  const name = `${view}/${number ?? ""}`;
  const there = main.firstElementChild;
  if (there?.dataset.view === name) return there;
  const element = h("div", {class: "panel", "data-view": name});
  fill(main, element);
  return element;
}

async function showNotifications({number, q}, previous) {
  if (!main.contains(split)) fill(main, split);
  document.body.dataset.open = number ? "detail" : "list";
  filters.show(q);
  exporting.href = "api/v1/export" + query(parse(q));
  list.select(number);
  const before = previous.view === "notifications" ? previous : {};
  if (before.q !== q) list.search(q);
  if (number && before.number !== number) {
    await openDetail();
    detail.scrollTop = 0;
    // For the keyboard, and for who listens.
    if (!isTyping()) detail.querySelector("h1")?.focus({preventScroll: true});
  } else if (!number) {
    delete detail.dataset.number;
    const hadFocus = detail.contains(document.activeElement);
    showNothing();
    if (hadFocus) list.focusNumber(before.number);
  }
}

/** Fill the place of a notification while none is chosen. */
async function showNothing() {
  if (now.view !== "notifications" || now.number) return;
  const isFirst = list.kept === 0 && !now.q;
  if (detail.dataset.waits === String(isFirst) && detail.dataset.number === undefined) return;
  detail.dataset.waits = isFirst;
  const content = isFirst ? await welcome().catch(nothingChosen) : nothingChosen();
  if (!now.number && detail.dataset.waits === String(isFirst)) fill(detail, content);
}

function nothingChosen() {
  const key = (name) => h("kbd", null, name);
  return h("div", {class: "empty"}, h("p", null, "Choose a notification."),
    h("p", {class: "hint"}, key("j"), " ", key("k"), " to walk, ", key("/"), " to search, ",
      key("?"), " for help"));
}

async function openDetail() {
  delete detail.dataset.waits;
  const back = address("notifications", null, now.q);
  await showDetail(detail, now.number, {list: back, onGone: () => {
    go(back);
    list.search(filters.q);
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
  reset: () => list.search(filters.q),
});

// The keyboard.

function isTyping() {
  return document.activeElement.matches("input, textarea, select");
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("help-button").addEventListener("click", () => help.showModal());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (isTyping()) event.target.blur();
    else if (now.number) go(address(now.view, null, now.q));
    return;
  }
  if (isTyping()) return;
  if (event.key === "/") {
    event.preventDefault();
    if (now.view !== "notifications") go(address("notifications"));
    setTimeout(() => filters.field.focus());
  } else if (event.key === "?") {
    help.showModal();
  } else if (now.view === "notifications" && (event.key === "j" || event.key === "k")) {
    list.move(event.key === "j" ? 1 : -1);
  } else if (now.view === "notifications" && event.key === "Enter" && list.selected
      && !event.target.matches("a, button")) {
    go(address("notifications", list.selected, filters.q));
  }
});

window.addEventListener("hashchange", show);
show();
