// The list of notifications: newest first, alive, and only as long in the document as the window.

import {call, query} from "./api.js";
import {clock, fill, findingMarks, foreign, h, outcomeBadge} from "./dom.js";
import {parse} from "./search.js";

const ROW = 60;
const PAGE = 200;
// Milliseconds between two looks at what is new while something is looked for.
const LOOK = 500;

export class List {
  /** open(number) is called when a notification is chosen. */
  constructor(open) {
    this.open = open;
    this.items = [];
    this.byNumber = new Map();
    this.q = "";
    this.selected = null;
    this.hasOlder = true;
    this.isLoading = false;
    this.missed = 0;
    // The highest number that is in the list or counted as missed.
    this.newest = 0;
    this.generation = 0;
    this.rows = h("ol", {class: "rows", role: "list"});
    this.viewport = h("div", {class: "viewport", tabindex: "0", "aria-label": "Notifications"},
      this.rows);
    this.newer = h("button", {class: "newer", type: "button", hidden: true,
      onclick: () => this.toTop()});
    this.count = h("p", {class: "count", role: "status"});
    this.element = h("div", {class: "list"}, this.count, this.newer, this.viewport);
    this.viewport.addEventListener("scroll", () => this.draw());
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
      this.hasOlder = page.next !== null;
      this.fault = null;
      // What came alive meanwhile is there already.
      this.set(this.items.concat(page.items.filter((item) => !this.byNumber.has(item.number))));
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
  news({items, skipped}) {
    const fresh = [];
    for (const item of items) {
      const known = this.byNumber.get(item.number);
      if (known) Object.assign(known, item);
      else if (item.number > this.newest) fresh.unshift(item);
    }
    if (this.q) {
      this.schedule();
      if (!this.timer) {
        this.timer = setTimeout(() => {
          this.timer = null;
          this.lookAgain();
        }, LOOK);
      }
      return;
    }
    this.kept = Math.max(this.kept ?? 0, this.items.length) + fresh.length + skipped;
    this.addNewest(fresh, skipped);
  }

  addNewest(fresh, skipped) {
    const isAtTop = this.viewport.scrollTop < ROW / 2;
    if (!isAtTop) {
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
      this.set(fresh.concat(this.items));
    } else {
      this.schedule();
    }
  }

  async lookAgain() {
    const generation = this.generation;
    const page = await call("GET", "/notifications" + query(
      {...parse(this.q), limit: PAGE, after: this.newest})).catch(() => null);
    if (page === null || generation !== this.generation) return;
    this.addNewest(page.items.filter((item) => !this.byNumber.has(item.number)),
      page.next === null ? 0 : 1);
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
    fill(this.rows, this.items.slice(begin, end).map((item, offset) => {
      const row = this.row(item);
      row.style.top = (begin + offset) * ROW + "px";
      return row;
    }));
    const total = this.q ? `${this.items.length}${this.hasOlder ? "+" : ""} found`
      : `${Math.max(this.kept ?? 0, this.items.length).toLocaleString("en")} notifications`;
    this.count.textContent = this.fault ?? (this.items.length || this.isLoading ? total
      : this.q ? "Nothing matches." : "Nothing has come yet.");
    this.newer.hidden = this.missed === 0;
    this.newer.textContent = `${this.missed.toLocaleString("en")} new`;
    if (end > this.items.length - PAGE / 4) this.loadOlder();
  }

  row(item) {
    const title = item.title || item.body
      || (["notification", "broadcast"].includes(item.kind) ? "" : item.path);
    return h("li", {
      class: "row", "data-number": item.number,
      "aria-current": item.number === this.selected ? "true" : null,
    }, h("a", {href: `#/notifications/${item.number}`, tabindex: "-1", onclick: (event) => {
      event.preventDefault();
      this.open(item.number);
    }},
    h("span", {class: "first"}, outcomeBadge(item),
      title ? foreign(title, {class: "title"}) : h("span", {class: "title none"}, item.shown_as),
      clock(item.time)),
    h("span", {class: "second"},
      foreign(item.token ? item.token.slice(0, 12) + "\u2026" : item.method ?? ""),
      foreign(item.topic ?? "no topic"), foreign(item.push_type ?? item.kind),
      findingMarks(item.finding_counts))));
  }
}
