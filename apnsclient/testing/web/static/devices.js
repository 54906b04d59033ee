// Which tokens are good, bad, gone, or for another topic.

import {act, call} from "./api.js";
import {clock, fill, foreign, h, visible} from "./dom.js";

const MEANINGS = {known: "known", bad: "bad", uninstalled: "uninstalled"};

/** Show the devices, and a form that says what one is. */
export async function showDevices(element) {
  const {items, strict} = await call("GET", "/devices");
  const again = () => showDevices(element);
  const form = h("form", {class: "form", onsubmit: async (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const body = {state: given.get("state")};
    if (given.get("reason") && body.state !== "known") body.reason = given.get("reason");
    if (given.get("topic") && body.state === "known") body.topic = given.get("topic");
    if (await act("Set.", "PUT", `/devices/${encodeURIComponent(given.get("token").trim())}`,
      body)) await again();
  }},
  h("label", null, "Token, or its beginning and *", h("input", {
    name: "token", required: true, autocomplete: "off", spellcheck: "false"})),
  h("label", null, "is", h("select", {name: "state"},
    Object.entries(MEANINGS).map(([value, text]) => h("option", {value}, text)))),
  h("label", null, "Reason", h("input", {name: "reason", placeholder: "as usual"})),
  h("label", null, "Topic", h("input", {name: "topic", placeholder: "any"})),
  h("button", {type: "submit"}, "Set"));
  const check = h("input", {type: "checkbox", id: "strict", onchange: () => act(
    check.checked ? "Only known devices are accepted." : "Every device is accepted.",
    "PATCH", "/devices", {strict: check.checked})});
  check.checked = strict;
  fill(element, h("h1", null, "Devices"), form,
    h("p", null, check, h("label", {for: "strict"}, " Reject every token that is not known")),
    items.length ? h("div", {class: "scroll"}, h("table", null,
      h("thead", null, h("tr", null, ["Token", "State", "Reason", "Topic", "Since", ""].map(
        (title) => h("th", {scope: "col"}, title)))),
      h("tbody", null, items.map((item) => h("tr", null,
        h("td", {class: "token"}, foreign(item.token)), h("td", null, item.state),
        h("td", null, foreign(item.reason ?? "")), h("td", null, foreign(item.topic ?? "")),
        h("td", null, item.since_time ? clock(item.since_time) : ""),
        h("td", null, h("button", {type: "button", "aria-label": `Forget ${visible(item.token)}`,
          onclick: async () => {
            await act("Forgotten.", "DELETE", `/devices/${encodeURIComponent(item.token)}`);
            await again();
          }}, "Forget"))))))) : h("p", {class: "empty"}, strict
      ? "No device is known: every push is rejected." : "Every token is accepted."));
}
