// The list of notifications: newest first, alive, and only as long in the document as the window.

import {call, query} from "./api.js";
import {announce, clock, findingMarks, foreign, h, outcomeBadge} from "./dom.js";
import {parse} from "./search.js";

const ROW = 60;
const PAGE = 200;
// Milliseconds between two looks at what is new while something is looked for, at least; and how many
// times as long as the last look took: a search through everything must not slow down who pushes.
const LOOK = 500;
const REST = 10;
// Of more than so many the oldest are forgotten when new ones come; scrolling brings them back.
const MOST = 2000;

export class List {
  /** open(number) is called when a notification is chosen, drawn() when something has changed. */
  constructor(open, drawn) {
    this.open = open;
    this.tell = drawn;
    this.items = [];
    this.byNumber = new Map();
    this.q = "";
    this.selected = null;
    this.hasOlder = true;
    this.isLoading = false;
    this.missed = 0;
    this.lookTook = 0;
    // The highest number that is in the list or counted as missed.
    this.newest = 0;
    this.generation = 0;
    // The rows in the document, by item: whoever is about to click on one must not lose it.
    this.drawn = new Map();
    this.rows = h("ol", {class: "rows", role: "list", "aria-label": "Notifications, newest first"});
    this.viewport = h("div", {class: "viewport", tabindex: "-1"}, this.rows);
    this.newer = h("button", {class: "newer", type: "button", hidden: true,
      onclick: () => this.toTop()});
    this.count = h("p", {class: "count"});
    this.element = h("div", {class: "list"}, this.count, this.newer, this.viewport);
    this.viewport.addEventListener("scroll", () => this.draw());
    this.viewport.addEventListener("keydown", (event) => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.move(step);
    });
    new ResizeObserver(() => this.draw()).observe(this.viewport);
  }

  /** Look for something else. */
  async search(q) {
    this.q = q;
    this.generation += 1;
    this.set([]);
    this.hasOlder = true;
    this.missed = 0;
    this.newest = 0;
    this.viewport.scrollTop = 0;
    this.isLoading = false;
    await this.loadOlder();
  }

  set(items) {
    this.items = items;
    this.newest = Math.max(this.newest, items[0]?.number ?? 0);
    this.byNumber = new Map(items.map((item) => [item.number, item]));
    this.schedule();
  }

  async loadOlder() {
    if (this.isLoading || !this.hasOlder) return;
    this.isLoading = true;
    const generation = this.generation;
    const last = this.items[this.items.length - 1];
    try {
      const page = await call("GET", "/notifications" + query(
        {...parse(this.q), limit: PAGE, before: last?.number}));
      if (generation !== this.generation) return;
      this.kept = page.kept;
      this.fault = null;
      if (this.items[this.items.length - 1] !== last) {
        // The list is another one by now: what lies between would be missing.
        this.schedule();
        return;
      }
      this.hasOlder = page.next !== null;
      this.set(this.items.concat(page.items));
    } catch (error) {
      if (generation === this.generation) {
        this.fault = error.message;
        this.hasOlder = false;
        this.schedule();
      }
    } finally {
      if (generation === this.generation) this.isLoading = false;
    }
  }

  /** Take news: summaries, oldest first, and how many were left out. */
  news({items, skipped, kept}) {
    const fresh = [];
    for (const item of items) {
      const known = this.byNumber.get(item.number);
      if (known) this.change(known, item);
      else if (item.number > this.newest) fresh.unshift(item);
    }
    this.kept = kept;
    if (this.q) {
      this.schedule();
      if (!this.timer) {
        this.timer = setTimeout(() => {
          this.timer = null;
          this.lookAgain();
        }, Math.max(LOOK, REST * this.lookTook));
      }
      return;
    }
    this.addNewest(fresh, skipped);
  }

  /** Have a new row for what has changed. */
  change(known, item) {
    if (JSON.stringify(known) === JSON.stringify(item)) return;
    Object.assign(known, item);
    const row = this.drawn.get(known);
    if (!row) return;
    const hadFocus = row.contains(document.activeElement);
    this.drawn.set(known, this.row(known));
    row.replaceWith(this.drawn.get(known));
    if (hadFocus) this.focus(known);
  }

  addNewest(fresh, skipped) {
    if (!this.isAtTop) {
      // Nothing moves under the eyes of whoever reads.
      this.missed += fresh.length + skipped;
      this.newest = Math.max(this.newest, fresh[0]?.number ?? 0);
      this.schedule();
      return;
    }
    if (fresh.length && (skipped || this.missed)) {
      // What lies between is loaded like everything that is older.
      this.missed = 0;
      this.hasOlder = true;
      this.set(fresh);
    } else if (fresh.length) {
      this.hasOlder ||= fresh.length + this.items.length > MOST;
      this.set(fresh.concat(this.items).slice(0, MOST));
    } else {
      this.schedule();
    }
  }

  /** Look for the newest that match: some have come, and of some it has changed what they are. */
  async lookAgain() {
    const generation = this.generation;
    const begin = performance.now();
    const page = await call("GET", "/notifications" + query(
      {...parse(this.q), limit: PAGE})).catch(() => null);
    this.lookTook = performance.now() - begin;
    if (page === null || generation !== this.generation) return;
    const fresh = page.items.filter((item) => item.number > this.newest);
    if (!this.isAtTop) {
      this.addNewest(fresh, page.next !== null && fresh.length === page.items.length ? 1 : 0);
      return;
    }
    const known = page.items.map((item) => this.byNumber.get(item.number));
    page.items.forEach((item, index) => known[index] && this.change(known[index], item));
    // What lies between the page and the list, if they do not meet, is loaded when it is needed.
    const doMeet = known.some((item) => item);
    const oldest = page.next === null || !doMeet ? 0 : page.items[page.items.length - 1].number;
    this.missed = 0;
    this.hasOlder = page.next !== null && (this.hasOlder || !doMeet);
    this.set([...page.items.map((item, index) => known[index] ?? item),
      ...this.items.filter((item) => item.number < oldest)]);
  }

  get isAtTop() {
    return this.viewport.scrollTop < ROW / 2;
  }

  toTop() {
    this.search(this.q);
  }

  select(number) {
    this.selected = number;
    this.schedule();
  }

  /** Choose the next one, or with -1 the previous one. */
  move(step) {
    if (!this.items.length) return;
    const index = this.items.findIndex((item) => item.number === this.selected);
    const next = Math.min(Math.max(index + step, 0), this.items.length - 1);
    this.selected = this.items[next].number;
    const top = next * ROW;
    if (top < this.viewport.scrollTop) this.viewport.scrollTop = top;
    const bottom = top + ROW - this.viewport.clientHeight;
    if (bottom > this.viewport.scrollTop) this.viewport.scrollTop = bottom;
    this.draw();
    this.focus(this.items[next]);
  }

  /** Have the keyboard go on from the row of an item; from the list, if it has none. */
  focus(item) {
    (this.drawn.get(item)?.querySelector("a") ?? this.viewport).focus({preventScroll: true});
  }

  /** The same for a number. */
  focusNumber(number) {
    this.focus(this.byNumber.get(number));
  }

  /** Draw once before the next frame, however often it is called. */
  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const {scrollTop, clientHeight} = this.viewport;
    const begin = Math.max(0, Math.floor(scrollTop / ROW) - 4);
    const end = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / ROW) + 4);
    this.rows.style.height = this.items.length * ROW + "px";
    this.drawRows(begin, end);
    const total = this.q ? `${this.items.length}${this.hasOlder ? "+" : ""} found`
      : `${(this.kept ?? 0).toLocaleString("en")} notifications`;
    this.count.textContent = this.fault ?? (this.items.length || this.isLoading ? total
      : this.q ? "Nothing matches." : "Nothing has come yet.");
    if (!this.isLoading) announce(this.count.textContent);
    this.newer.hidden = this.missed === 0;
    this.newer.textContent = `${this.missed.toLocaleString("en")} new`;
    if (end > this.items.length - PAGE / 4) this.loadOlder();
    this.tell();
  }

  /** Have these items in the document and no others; what is there already stays. */
  drawRows(begin, end) {
    const wanted = this.items.slice(begin, end);
    const isWanted = new Set(wanted);
    for (const [item, row] of this.drawn) {
      if (isWanted.has(item)) continue;
      if (row.contains(document.activeElement)) this.viewport.focus({preventScroll: true});
      row.remove();
      this.drawn.delete(item);
    }
    // One of them is reached by Tab, and the others from there.
    const reached = wanted.find((item) => item.number === this.selected) ?? wanted[0];
    let place = this.rows.firstElementChild;
    wanted.forEach((item, offset) => {
      const row = this.drawn.get(item) ?? this.row(item);
      if (row === place) place = place.nextElementSibling;
      else this.rows.insertBefore(row, place);
      this.drawn.set(item, row);
      row.style.top = (begin + offset) * ROW + "px";
      row.setAttribute("aria-posinset", begin + offset + 1);
      row.setAttribute("aria-setsize", this.hasOlder ? -1 : this.items.length);
      row.toggleAttribute("data-current", item.number === this.selected);
      const link = row.querySelector("a");
      link.tabIndex = item === reached ? 0 : -1;
      if (item.number === this.selected) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  }

  row(item) {
    const title = item.title || item.body
      || (["notification", "broadcast"].includes(item.kind) ? "" : item.path);
    return h("li", {class: "row", "data-number": item.number, "data-outcome": item.outcome,
    }, h("a", {href: `#/notifications/${item.number}`, tabindex: "-1", onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.open(item.number);
    }},
    h("span", {class: "first"},
      title ? foreign(title, {class: "title"}) : h("span", {class: "title none"}, item.shown_as),
      clock(item.time)),
    h("span", {class: "second"}, outcomeBadge(item),
      foreign(item.token ? item.token.slice(0, 8) + "\u2026" : item.method ?? "",
        {class: "token"}),
      foreign(item.topic ?? "no topic", {class: "topic"}),
      foreign(item.push_type ?? item.kind, {class: "type"}),
      findingMarks(item.finding_counts))));
  }
}
