// Small helpers for the document. Text from clients only ever becomes a text node.

// Strings, with a colon behind if they are keys, and other values.
const JSON_WORDS = /("(?:\\.|[^"\\\n])*")(:?)|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*/g;

/** Return an element: h("a", {href: "#", class: "x", onclick: f}, "text", other). */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...given(children));
  return element;
}

/** Return children out of lists within lists, without those that are missing. */
function given(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined);
}

/** Return a text of a client, whose direction and control characters stay within it. */
export function foreign(text, properties) {
  return h("bdi", {...properties, class: ("foreign " + (properties?.class || "")).trim()},
    visible(text));
}

/** Return a text with control and direction characters as their code points. */
export function visible(text) {
  return String(text).replace(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (found) => "\u27e8" + found.charCodeAt(0).toString(16).padStart(4, "0") + "\u27e9");
}

/** Replace the content of an element; the keyboard stays with what is there again. */
export function fill(element, ...children) {
  const before = element.contains(document.activeElement) ? document.activeElement : null;
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
  if (!before || before === element) return element;
  const isField = before.matches("input, textarea, select");
  let same = [...element.querySelectorAll(before.tagName)].find((other) => before.id || isField
    ? other.id && other.id === before.id : other.textContent === before.textContent
      && other.getAttribute("href") === before.getAttribute("href"));
  if (same && isField) {
    // Somebody is typing into it.
    same.replaceWith(before);
    same = before;
  }
  same?.focus({preventScroll: true});
  return element;
}

/** Return a long text, bounded, with a button that shows all of it; colour is for what is short. */
export function bounded(text, most, properties, colour) {
  const shown = visible(text);
  const first = shown.slice(0, most);
  const block = h("pre", {tabindex: "0", ...properties}, colour ? colour(first) : first);
  if (shown.length <= most) return [block];
  const more = h("button", {type: "button", onclick: () => {
    block.textContent = shown;
    more.remove();
  }}, `Show all ${shown.length.toLocaleString("en")} characters`);
  return [block, more];
}

/** Return JSON that is laid out, with its parts in elements for their colours. */
export function colored(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(JSON_WORDS)) {
    const word = found[1] ?? found[0];
    parts.push(text.slice(end, found.index),
      h("span", {class: found[2] ? "key" : found[1] ? "string" : "value"}, word));
    end = found.index + word.length;
  }
  return [...parts, text.slice(end)];
}

/** Return rows of a definition list; those without a value are left out. */
export function facts(rows) {
  return h("dl", {class: "facts"}, rows
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [
      h("dt", null, name),
      h("dd", null, value instanceof Node || Array.isArray(value) ? value : foreign(value))]));
}

/** Show a message for a moment. */
export function toast(text, isError) {
  const element = document.getElementById("toast");
  element.textContent = text;
  element.dataset.kind = isError ? "error" : "";
  element.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { element.hidden = true; }, isError ? 8000 : 3000);
}

/** Have a screen reader tell something, but not more often than somebody can listen to. */
export function announce(text) {
  if (announce.text === text) return;
  announce.text = text;
  announce.timer ??= setTimeout(() => {
    announce.timer = null;
    document.getElementById("announcement").textContent = announce.text;
  }, 1500);
}

/** Return the time of an RFC 3339 text as the user's clock has it. */
export function clock(text) {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return "";
  return h("time", {datetime: text, title: text},
    moment.toLocaleTimeString("en-GB") + "." + String(moment.getMilliseconds()).padStart(3, "0"));
}

/** Return a badge with the outcome of an exchange. */
export function outcomeBadge(item) {
  const text = item.outcome === "rejected"
    ? `${item.status ?? ""} ${item.reason ?? "rejected"}`.trim() : item.outcome;
  return h("span", {class: "badge", "data-outcome": item.outcome}, visible(text));
}

/** Return how many errors and warnings lint has found. */
export function findingMarks(counts) {
  return h("span", {class: "marks"}, [["error", "\u2715"], ["warning", "!"]]
    .filter(([severity]) => counts[severity])
    .map(([severity, sign]) => {
      const text = `${counts[severity]} ${severity}${counts[severity] > 1 ? "s" : ""}`;
      return h("span", {"data-severity": severity, role: "img", "aria-label": text, title: text},
        `${sign} ${counts[severity]}`);
    }));
}
