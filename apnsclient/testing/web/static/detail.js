// Everything about one notification.

import {act, call} from "./api.js";
import {bounded, colored, clock, facts, fill, foreign, h, outcomeBadge, toast} from "./dom.js";

// Characters of a payload that are shown at first.
const MOST = 20000;

// Where clients of the simulator connect to, by service; asked for once.
let addresses = null;

/** Show an exchange in an element.
 *
 * list: the address of the list that it was chosen from.
 * onGone: called when it has been deleted.
 */
export async function showDetail(element, number, {list, onGone}) {
  element.dataset.number = number;
  let item;
  try {
    addresses ??= (await call("GET", "/credentials")).addresses;
    item = await call("GET", `/notifications/${number}`);
  } catch (error) {
    item = null;
    fill(element, h("p", {class: "empty"}, error.message));
  }
  // Somebody may have gone on to another one meanwhile.
  if (item === null || element.dataset.number !== String(number)) return;
  const again = () => showDetail(element, number, {list, onGone});
  fill(element,
    heading(item, list),
    actions(item, onGone, again),
    released(item),
    h("div", {class: "columns"},
      section("On the device", lockScreen(item)),
      section("Findings", findings(item))),
    section("Payload", payload(item)),
    h("div", {class: "columns"},
      section("Response", response(item)),
      section("Sender", sender(item))),
    section("Headers", facts(item.headers)));
}

function section(title, ...content) {
  return content.flat(Infinity).some((part) => part !== null)
    ? h("section", null, h("h2", null, title), ...content) : null;
}

function heading(item, list) {
  return h("header", {class: "heading"},
    h("a", {class: "back", href: list}, "\u2039 All notifications"),
    h("h1", {id: "detail-title", tabindex: "-1"}, `Number ${item.number} `, outcomeBadge(item)),
    h("p", null, clock(item.time), " to ", foreign(item.topic ?? "no topic"), ", ",
      foreign(item.push_type ?? item.kind)),
    item.token ? h("p", {class: "token"}, foreign(item.token)) : null);
}

function actions(item, onGone, again) {
  const device = `/devices/${encodeURIComponent(item.token ?? "")}`;
  const button = (text, onclick) => h("button", {type: "button", onclick}, text);
  return h("p", {class: "actions"},
    item.token ? button("Copy token", () => copy(item.token)) : null,
    item.path === null ? null : button("Copy as curl", () => copy(curl(item))),
    item.token ? button("Make device bad", () => act(
      "Pushes to this device are rejected now.", "PUT", device, {state: "bad"})) : null,
    item.token ? button("Uninstall", () => act(
      "The application is gone from this device.", "PUT", device, {state: "uninstalled"})) : null,
    item.releasable ? button("Release", async () => {
      if (await confirmed("Send it on to Apple?", `It goes to the device ${item.token}.`)) {
        await act(({outcome}) => `Apple: ${outcome}.`, "POST",
          `/notifications/${item.number}/release`);
        await again();
      }
    }) : null,
    button("Delete", async () => {
      await act("Deleted.", "DELETE", `/notifications/${item.number}`);
      onGone(item.number);
    }));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser does not allow for that.", true);
  }
}

/** Return a command that sends the same again, with the certificate of the simulator. */
function curl(item) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl --http2 --cacert ca.pem --cert client.pem"];
  for (const [name, value] of item.headers) {
    if (name.startsWith("apns-")) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  }
  if (item.method !== "POST") parts.push(`-X ${quote(item.method)}`);
  const isText = item.payload_text !== null;
  if (item.size) parts.push(isText ? `--data-raw ${quote(item.payload_text)}` : "--data-binary @-");
  parts.push(quote(`https://${addresses[item.service]}${item.path}`));
  const command = parts.join(" \\\n  ");
  return isText ? command : `echo ${item.payload_base64} | base64 -d | ${command}`;
}

/** Ask whether something is to be done; return a promise of the answer. */
function confirmed(title, text) {
  return new Promise((resolve) => {
    const dialog = h("dialog", {"aria-labelledby": "confirm-title", onclose: () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    }},
    h("h2", {id: "confirm-title"}, title), h("p", null, foreign(text)),
    h("form", {method: "dialog"}, h("button", {value: "no"}, "Cancel"),
      h("button", {value: "yes"}, "Send")));
    document.body.append(dialog);
    dialog.showModal();
  });
}

function released(item) {
  const got = item.release;
  return got ? section("Released to Apple", facts([["Outcome", got.outcome],
    ["Status", got.status], ["Reason", got.reason], ["Meaning", got.message]])) : null;
}

function lockScreen(item) {
  const shown = item.appearance;
  const text = shown.explanation.slice(0, 1).toUpperCase() + shown.explanation.slice(1) + ".";
  if (!shown.shows) return h("p", {class: "silent"}, foreign(text));
  const state = shown.content_state;
  const isDrawn = shown.kind === "live activity" || shown.title || shown.subtitle || shown.body;
  return [
    !isDrawn ? null : h("div", {class: "lock", "data-level": shown.interruption_level ?? "active"},
      h("p", {class: "hour", "aria-hidden": "true"}, new Date(item.time).toLocaleTimeString(
        "en-GB", {hour: "2-digit", minute: "2-digit"})),
      h("div", {class: "card"},
        h("span", {class: "app", "aria-hidden": "true"}),
        h("div", {class: "texts"},
          h("p", {class: "from"}, foreign((item.topic ?? "application").slice(0, 80)),
            h("span", null, "now")),
          phrase(shown.title, "card-title"), phrase(shown.subtitle, "card-subtitle"),
          phrase(shown.body, "card-body"),
          state === null ? null : bounded(JSON.stringify(state, null, 2), 600,
            {class: "state"})))),
    h("p", {class: "note"}, foreign(text)),
    facts([
      ["Badge", shown.badge], ["Sound", shown.sound && (shown.critical
        ? `${shown.sound} (critical)` : shown.sound)],
      ["Interruption level", shown.interruption_level], ["Thread", shown.thread],
      ["Category", shown.category], ["Event", shown.event]]),
  ];
}

/** Return a paragraph with a text, or with the key that the device looks it up by. */
function phrase(part, name) {
  if (part === null) return null;
  if (typeof part === "string") return h("p", {class: name}, foreign(part));
  return h("p", {class: name}, h("code", {title: "The device looks this key up."},
    foreign([part.key, ...part.arguments].join(", "))));
}

function findings(item) {
  if (!item.findings.length) return h("p", {class: "fine"}, "\u2713 Nothing to complain about.");
  return h("ul", {class: "findings"}, item.findings.map((finding) =>
    h("li", {"data-severity": finding.severity},
      h("strong", null, finding.severity), " ", foreign(finding.message),
      h("small", null, ` ${finding.rule}; ${finding.source}`))));
}

function payload(item) {
  const meter = h("meter", {
    min: "0", max: item.limit, high: item.limit * 0.9, value: Math.min(item.size, item.limit),
    "aria-label": "Size of the payload"});
  let text = item.payload_text;
  try {
    if (item.payload !== null) text = JSON.stringify(item.payload, null, 2);
  } catch { /* Nested too deep to be laid out: as it came. */ }
  return [
    h("p", {class: "size"}, meter,
      ` ${item.size.toLocaleString("en")} of ${item.limit.toLocaleString("en")} bytes`,
      item.payload === null && item.size ? h("strong", null, ", no JSON object") : null),
    ...bounded(text ?? item.payload_base64, MOST, {class: "payload"},
      item.payload === null ? null : colored),
  ];
}

function response(item) {
  const got = item.response;
  if (!got) {
    return h("p", {class: "note"}, item.outcome === "accepted"
      ? "None: over the binary protocol success is silence." : `None: ${item.outcome}.`);
  }
  return facts([
    ["Status", got.status], ["Reason", got.reason], ["Meaning", got.meaning],
    ["After", got.milliseconds === null ? null : `${got.milliseconds} ms`],
    ["Gone since", got.timestamp && new Date(got.timestamp * 1000).toLocaleString("en-GB")],
    ...got.headers]);
}

function sender(item) {
  const credential = item.credential;
  const who = !credential ? [["Credential", "none"]] : credential.kind === "token" ? [
    ["Key", credential.key_id], ["Team", credential.team_id],
    ["Age of the token", credential.age_seconds === null ? null
      : `${Math.round(credential.age_seconds)} s`],
  ] : [["Certificate", credential.subject], ["For", credential.topics.join(", ")],
    ["Expires", credential.expires]];
  const tls = item.tls;
  return facts([
    ...who,
    ["Connection", h("a", {href: `#/connections/${item.connection}`},
      `number ${item.connection}, ${item.service}`)],
    ["Stream", item.stream], ["From", item.peer],
    ["TLS", tls && `${tls.version}, ${tls.cipher}${tls.resumed ? ", resumed" : ""}`]]);
}
