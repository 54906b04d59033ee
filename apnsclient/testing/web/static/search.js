// What somebody looks for, as text, as part of the address, and as parameters of the API.

const NAMES = {
  token: "token", topic: "topic", type: "push_type", outcome: "outcome", reason: "reason",
  status: "status", connection: "connection", kind: "kind", service: "service", id: "apns_id",
};

/** Return the parameters of the API that a text in the search field stands for. */
export function parse(text) {
  const parameters = {};
  const words = [];
  for (const word of text.split(/\s+/)) {
    const [name, ...rest] = word.split(":");
    if (rest.length && Object.hasOwn(NAMES, name)) parameters[NAMES[name]] = rest.join(":");
    else if (word) words.push(word);
  }
  if (words.length) parameters.text = words.join(" ");
  return parameters;
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
