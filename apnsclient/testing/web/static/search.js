// What somebody looks for, as text, as part of the address, and as parameters of the API.

const NAMES = {
  token: "token", topic: "topic", type: "push_type", outcome: "outcome", reason: "reason",
  status: "status", since: "since", until: "until", connection: "connection", kind: "kind",
  service: "service", protocol: "protocol", id: "apns_id", collapse: "collapse_id",
};
const UNITS = {s: 1, m: 60, h: 3600, d: 86400};

/** Return what a text in the search field asks for, by the names that are used there. */
export function read(text) {
  const asked = {};
  const words = [];
  for (const word of text.split(/\s+/)) {
    const [name, ...rest] = word.split(":");
    if (rest.length && Object.hasOwn(NAMES, name)) asked[name] = rest.join(":");
    else if (word) words.push(word);
  }
  return {...asked, text: words.join(" ")};
}

/** Return the text that asks for that. */
export function write({text, ...asked}) {
  return Object.keys(NAMES).filter((name) => asked[name])
    .map((name) => `${name}:${asked[name].trim().replace(/\s+/g, "")}`)
    .concat(text || []).join(" ");
}

/** Return the parameters of the API that a text in the search field stands for. */
export function parse(text) {
  const {text: words, ...asked} = read(text);
  const parameters = Object.fromEntries(Object.entries(asked).map(([name, value]) =>
    [NAMES[name], name === "since" || name === "until" ? moment(value) : value]));
  if (words) parameters.text = words;
  return parameters;
}

/** Return a time such as 5m (ago), 09:30 (today) or 2026-12-01T09:30 as the API wants it. */
function moment(text) {
  const ago = /^(\d+)([smhd])$/.exec(text);
  if (ago) return new Date(Date.now() - ago[1] * UNITS[ago[2]] * 1000).toISOString();
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  const today = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const full = /^\d\d:/.test(text) ? `${today}T${text}`
    : /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text;
  const time = /^\d+$/.test(text) ? NaN : new Date(full);
  // What is none is refused by the API, with an explanation.
  return Number.isNaN(Number(time)) ? text : time.toISOString();
}

/** Return the view and the search of an address such as #/notifications/7?q=x. */
export function readAddress(hash) {
  const [path, rest] = hash.replace(/^#\/?/, "").split("?");
  const [view, number] = path.split("/");
  return {
    view: view || "notifications",
    number: /^\d+$/.test(number || "") ? Number(number) : null,
    q: new URLSearchParams(rest || "").get("q") || "",
  };
}

/** Return such an address. */
export function address(view, number, q) {
  return `#/${view}${number ? "/" + number : ""}${q ? "?" + new URLSearchParams({q}) : ""}`;
}
