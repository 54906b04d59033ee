// Connections, and one of them with its requests along time.

import {call, query} from "./api.js";
import {clock, facts, fill, h} from "./dom.js";
import {timeline} from "./timeline.js";

/** Show all connections. */
export async function showConnections(element) {
  const {items} = await call("GET", "/connections");
  if (!items.length) {
    fill(element, h("p", {class: "empty"}, "Nobody has connected yet."));
    return;
  }
  fill(element, h("h1", null, "Connections"), h("div", {class: "scroll"}, h("table", null,
    h("thead", null, h("tr", null, ["Number", "Service", "From", "Opened", "Requests", "State"]
      .map((title) => h("th", {scope: "col"}, title)))),
    h("tbody", null, items.map((item) => h("tr", null,
      h("td", null, h("a", {href: `#/connections/${item.number}`}, item.number)),
      h("td", null, item.service), h("td", null, item.peer ?? ""),
      h("td", null, clock(item.opened)), h("td", null, item.requests),
      h("td", null, item.closed ? `closed ${item.ending}` : h("strong", null, "open"))))))));
}

/** Show one connection. */
export async function showConnection(element, number) {
  const item = await call("GET", `/connections/${number}`);
  const {items} = await call("GET", "/notifications" + query({connection: number, limit: 200}));
  fill(element,
    h("h1", null, `Connection ${item.number} to ${item.service}`),
    facts([["From", item.peer], ["Opened", clock(item.opened)],
      ["State", item.closed ? `closed ${item.ending}` : "open"], ["Requests", item.requests],
      ["TLS", `${item.tls.version}, ${item.tls.cipher}`],
      ["Certificate", item.certificate && item.certificate.subject]]),
    h("h2", null, items.length < item.requests
      ? `Timeline, with the last ${items.length} requests` : "Timeline"),
    timeline(item, items.reverse()));
}
