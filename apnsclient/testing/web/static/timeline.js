// What happened on a connection, along an axis of time.

import {foreign, h, outcomeBadge} from "./dom.js";

// Milliseconds from one line of the axis to the next.
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000,
  120000, 300000, 600000, 1800000, 3600000, 7200000, 21600000, 86400000];
const MOST_LINES = 6;

/** Return the timeline of a connection and those of its requests that are known, oldest first. */
export function timeline(connection, requests) {
  const isWhole = requests.length >= connection.requests;
  const begin = Date.parse(isWhole ? connection.opened : requests[0]?.time ?? connection.opened);
  const moments = [
    {time: connection.opened, text: "opened", kind: "state"}, ...connection.events,
    ...requests.map((request) => ({time: request.time, request, kind: "request"})),
    ...(connection.closed
      ? [{time: connection.closed, text: `closed ${connection.ending}`, kind: "state"}] : []),
  ].map((moment) => ({...moment, at: Date.parse(moment.time) - begin}))
    .filter((moment) => moment.at >= 0)
    .sort((one, other) => one.at - other.at);
  const span = Math.max(1, ...moments.map(
    (moment) => moment.at + (moment.request?.milliseconds ?? 0)));
  const step = STEPS.find((each) => each * MOST_LINES >= span) ?? span / MOST_LINES;
  const lines = Array.from({length: Math.floor(span / step) + 1}, (_, index) => index * step);
  const place = (at) => 100 * at / span + "%";
  return h("div", {class: "timeline"},
    h("div", {class: "lines", "aria-hidden": "true"},
      lines.map((at) => placed(h("i", null, h("span", null, duration(at))), place(at))),
      moments.filter(({kind}) => kind !== "request").map(({kind, at}) =>
        placed(h("b", {"data-kind": kind}), place(at)))),
    h("ol", null, moments.map((moment) => row(moment, place))));
}

function placed(element, left) {
  element.style.left = left;
  return element;
}

function row({at, kind, text, request}, place) {
  const mark = placed(h("span", {class: "mark", "data-outcome": request?.outcome}), place(at));
  if (request?.milliseconds) mark.style.width = place(request.milliseconds);
  return h("li", {"data-kind": kind},
    h("span", {class: "at"}, duration(at)),
    request ? h("a", {class: "what", href: `#/notifications/${request.number}`},
      outcomeBadge(request), " ",
      foreign(request.title ?? request.body ?? request.shown_as ?? request.path ?? ""),
      !request.milliseconds ? null
        : h("small", null, ` in ${duration(request.milliseconds)}`))
      : foreign(text, {class: "what"}),
    h("span", {class: "track", "aria-hidden": "true"}, mark));
}

/** Return milliseconds as people write them. */
function duration(milliseconds) {
  if (milliseconds < 1000) return `${Number(milliseconds.toPrecision(3))} ms`;
  if (milliseconds < 60000) return `${Number((milliseconds / 1000).toPrecision(4))} s`;
  const minutes = Math.floor(milliseconds / 60000);
  const seconds = Math.round(milliseconds / 1000) % 60;
  return minutes < 60 ? `${minutes} min ${seconds} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
