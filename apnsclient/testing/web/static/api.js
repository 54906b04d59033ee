// The HTTP API of the simulator.

import {toast} from "./dom.js";

const PREFIX = "api/v1";

/** Call the API; return the document, or null for a response without one. */
export async function call(method, path, body) {
  const options = {method, headers: {Accept: "application/json"}};
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(PREFIX + path, options);
  if (response.status === 204) return null;
  const document = await response.json().catch(() => null);
  if (!response.ok) {
    throw new Error(document?.error?.message || `${response.status} ${response.statusText}`);
  }
  return document;
}

/** Call the API for a button: tell what was done, or what went wrong. */
export async function act(text, method, path, body) {
  try {
    const document = await call(method, path, body);
    toast(typeof text === "function" ? text(document) : text);
    return document;
  } catch (error) {
    toast(error.message, true);
    return null;
  }
}

/** Return parameters as a query, without those that are empty. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? "?" + new URLSearchParams(given) : "";
}

/** Have functions called with news: {notifications, connections, reset}. */
export function listen(handlers) {
  const live = document.getElementById("live");
  const show = (state) => {
    live.dataset.state = state;
    live.textContent = state;
  };
  const source = new EventSource(PREFIX + "/events");
  source.onopen = () => show("live");
  source.onerror = () => show("disconnected");
  for (const [name, handler] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
  }
  return source;
}
