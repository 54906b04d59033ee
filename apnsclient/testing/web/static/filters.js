// The search: a field, a form with everything that can be asked for, and chips for outcomes.

import {h} from "./dom.js";
import {read, write} from "./search.js";

const TYPES = ["alert", "background", "voip", "liveactivity", "widgets", "controls", "complication",
  "location", "fileprovider", "pushtotalk", "mdm"];
const OUTCOMES = ["accepted", "rejected", "pending", "refused", "reset", "unanswered", "discarded"];
const CHIPS = {All: "", Accepted: "accepted", Rejected: "rejected", Pending: "pending"};
// Milliseconds after the last letter.
const PAUSE = 200;

export class Filters {
  /** change(q, isTyped) is called when somebody looks for something else. */
  constructor(change) {
    this.change = change;
    this.field = h("input", {type: "search", id: "search", "aria-label": "Search",
      placeholder: "Search payloads, or token:5f*", autocomplete: "off", spellcheck: "false",
      "aria-keyshortcuts": "/", oninput: () => this.typed()});
    this.button = h("button", {type: "button", "aria-expanded": "false",
      "aria-controls": "filters", onclick: () => this.toggle()}, "Filters");
    this.inputs = {
      token: this.input("5f* for all that begin so"), topic: this.input("com.example.app"),
      type: this.select(TYPES), outcome: this.select(OUTCOMES),
      reason: this.input("Unregistered"), status: this.input("410"),
      since: this.input("5m, or 09:30"), until: this.input("2026-12-01T09:30"),
    };
    const titles = {type: "Push type"};
    this.form = h("div", {class: "filters", id: "filters", role: "group", "aria-label": "Filters",
      hidden: true}, Object.entries(this.inputs).map(([name, input]) => {
      input.addEventListener("input", () => this.ask(name, input.value));
      return h("label", null, titles[name] ?? name[0].toUpperCase() + name.slice(1), input);
    }), h("button", {type: "button", onclick: () => change("")}, "Clear filters"));
    this.chips = h("p", {class: "chips", role: "group", "aria-label": "Outcomes"},
      Object.entries(CHIPS).map(([text, outcome]) => h("button", {type: "button",
        "data-outcome": outcome, onclick: () => change(this.with("outcome", outcome))}, text)));
    this.element = h("form", {role: "search", onsubmit: (event) => event.preventDefault()},
      h("div", {class: "ask"}, this.field, this.button), this.form);
  }

  input(placeholder) {
    return h("input", {placeholder, autocomplete: "off", spellcheck: "false"});
  }

  select(values) {
    return h("select", null, h("option", {value: ""}, "any"),
      values.map((value) => h("option", null, value)));
  }

  /** What is looked for, as text. */
  get q() {
    return this.field.value.trim();
  }

  /** Show what is looked for; where somebody is typing it is there already. */
  show(q) {
    if (this.q !== q) this.field.value = q;
    const asked = read(q);
    for (const [name, input] of Object.entries(this.inputs)) {
      if (input !== document.activeElement) input.value = asked[name] ?? "";
    }
    for (const chip of this.chips.children) {
      chip.setAttribute("aria-pressed", String(chip.dataset.outcome === (asked.outcome ?? "")));
    }
    const count = Object.values(asked).filter((value) => value).length - (asked.text ? 1 : 0);
    this.button.textContent = count ? `Filters (${count})` : "Filters";
  }

  with(name, value) {
    return write({...read(this.q), [name]: value});
  }

  ask(name, value) {
    this.field.value = this.with(name, value);
    this.typed();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.change(this.q, true), PAUSE);
  }

  toggle() {
    this.form.hidden = !this.form.hidden;
    this.button.setAttribute("aria-expanded", String(!this.form.hidden));
  }
}
