// Connections, and one of them with its requests along time.

import {call, query} from "./api.js";
import {clock, facts, fill, foreign, h, outcomeBadge} from "./dom.js";

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
  const begin = Date.parse(item.opened);
  const moments = [
    {time: item.opened, text: "opened"},
    ...item.events.map((event) => ({time: event.time, text: event.text, kind: event.kind})),
    ...items.reverse().map((exchange) => ({time: exchange.time, exchange})),
    ...(item.closed ? [{time: item.closed, text: `closed ${item.ending}`}] : []),
  ].map((moment) => ({...moment, at: Date.parse(moment.time) - begin}))
    .sort((one, other) => one.at - other.at);
  const span = Math.max(1, ...moments.map((moment) => moment.at));
  fill(element,
    h("h1", null, `Connection ${item.number} to ${item.service}`),
    facts([["From", item.peer], ["Opened", clock(item.opened)],
      ["State", item.closed ? `closed ${item.ending}` : "open"], ["Requests", item.requests],
      ["TLS", `${item.tls.version}, ${item.tls.cipher}`],
      ["Certificate", item.certificate && item.certificate.subject]]),
    h("h2", null, items.length < item.requests
      ? `Timeline, with the last ${items.length} requests` : "Timeline"),
    h("ol", {class: "timeline"}, moments.map((moment) => {
      const dot = h("span", {class: "dot"});
      dot.style.left = 100 * moment.at / span + "%";
      return h("li", {"data-kind": moment.kind ?? (moment.exchange ? "request" : "state")},
        h("span", {class: "at"}, `${moment.at} ms`),
        h("span", {class: "track", "aria-hidden": "true"}, dot),
        moment.exchange ? h("a", {href: `#/notifications/${moment.exchange.number}`},
          outcomeBadge(moment.exchange), " ",
          foreign(moment.exchange.title ?? moment.exchange.body ?? moment.exchange.push_type
            ?? moment.exchange.path ?? ""))
          : foreign(moment.text));
    })));
}
