// Buttons that make the simulator misbehave.

import {act, call} from "./api.js";
import {fill, h, toast} from "./dom.js";

const connections = (done) => ({connections: count}) =>
  `${done} ${count} connection${count === 1 ? "" : "s"}.`;

const REASONS = ["TooManyRequests", "BadDeviceToken", "Unregistered", "InternalServerError",
  "ServiceUnavailable", "ExpiredProviderToken", "PayloadTooLarge", "TopicDisallowed"];
const EXAMPLE = '{"goaway_after": 3, "goaway_reason": "Shutdown"}';

/** Show what is in force, and what can be done. */
export async function showFaults(element) {
  const [state, keys, requests, provider] = await Promise.all([
    call("GET", "/faults"), call("GET", "/keys"), call("GET", "/scripts/requests"),
    call("GET", "/scripts/provider")]);
  const again = () => showFaults(element);
  const button = (text, done, method, path, body) => h("button", {type: "button",
    onclick: async () => {
      await act(done, method, path, typeof body === "function" ? body() : body);
      await again();
    }}, text);
  const input = (id, label, value, properties) => h("label", {for: id}, label,
    h("input", {id, value, ...properties}));
  const value = (id) => element.querySelector("#" + id).value;
  const reasons = h("select", {id: "reason"}, REASONS.map((each) => h("option", null, each)));
  const services = h("select", {id: "script-service"}, ["provider", "requests", "channels",
    "gateway", "feedback"].map((each) => h("option", null, each)));
  const script = h("textarea", {id: "script", rows: "3", spellcheck: "false"});
  script.value = EXAMPLE;
  // What somebody has typed stays when something else changes.
  const typed = [...element.querySelectorAll("input, select, textarea")].map(
    (field) => [field.id, field.value]);
  fill(element, h("h1", null, "Faults"),
    group("Connections that are open",
      button("Send GOAWAY", connections("GOAWAY on"), "POST", "/faults/goaway",
        {reason: "Shutdown"}),
      button("Hang up", connections("Closed"), "POST", "/faults/hang-up", {}),
      button("Reset", connections("Reset"), "POST", "/faults/hang-up", {reset: true}),
      state.held ? button(`Release ${state.held} held`, "Sent.", "POST", "/faults/release-held")
        : null),
    group("Limit of streams", input("streams", "Streams at a time", state.stream_limit ?? 1,
      {type: "number", min: "0", max: "1000"}),
    button("Limit", connections("Limited"), "POST", "/faults/limit-streams",
      () => ({limit: Number(value("streams"))})),
    state.stream_limit === null ? null : button("Take it back", connections("As usual again on"),
      "POST", "/faults/limit-streams", {limit: null})),
    group("Slow responses", input("seconds", "Seconds", state.delay || 2,
      {type: "number", min: "0", step: "any"}),
    button("Slow down", "Responses are late now.", "POST", "/faults/slow",
      () => ({seconds: Number(value("seconds"))})),
    state.delay ? button("Take it back", "Responses are on time.", "POST", "/faults/slow",
      {seconds: 0}) : null),
    group("New connections", state.refuses_connections
      ? button("Accept them again", "New connections are accepted.", "POST", "/faults/refuse",
        {refuse: false})
      : button("Refuse them", "New connections are reset.", "POST", "/faults/refuse",
        {refuse: true})),
    group("The next request", h("label", {for: "reason"}, "gets", reasons),
      button("Script it", "The next request gets that.", "POST", "/scripts/requests",
        () => ({response: value("reason")}))),
    group("Keys for provider tokens", keys.length ? keys.map((key) => button(
      `Revoke ${key.key_id}`, "Its tokens are refused now.", "DELETE",
      `/keys/${encodeURIComponent(key.key_id)}`)) : "All are revoked; a reset brings them back."),
    group("Script", h("label", {for: "script-service"}, "For", services),
      h("label", {for: "script", class: "wide"}, "JSON", script),
      h("button", {type: "button", onclick: async () => {
        let document;
        try {
          document = JSON.parse(value("script"));
        } catch (error) {
          toast(`That is no JSON: ${error.message}`, true);
          return;
        }
        if (await act("Scripted.", "POST", `/scripts/${value("script-service")}`, document)) await again();
      }}, "Add")),
    queued("Next connections", provider.queued), queued("Next requests", requests.queued),
    group("Everything",
      button("Take back all faults", "All is as usual.", "DELETE", "/faults"),
      button("Reset the simulator", "All is as at the start.", "POST", "/reset")));
  for (const [id, text] of typed) {
    const field = element.querySelector("#" + id);
    if (field !== document.activeElement) field.value = text;
  }
}

function group(title, ...content) {
  return h("fieldset", null, h("legend", null, title), ...content);
}

function queued(title, scripts) {
  return scripts.length ? group(title, h("ol", null, scripts.map((script) => h("li", null,
    h("code", null, script === null ? "as usual" : JSON.stringify(script)))))) : null;
}
