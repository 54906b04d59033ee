// A notification as a device would show it. Whatever a payload holds, this returns something.

const SILENT = {
  background: "A background push: it wakes the application, and shows nothing.",
  voip: "A call: PushKit hands it to the application, which shows the call.",
  complication: "It updates a complication on a watch, and shows nothing.",
  fileprovider: "It has the File Provider look for changes, and shows nothing.",
  location: "It asks the Location Push Service Extension where the device is.",
  pushtotalk: "Push to Talk: the system shows who talks.",
  mdm: "It has the device ask its management server, and shows nothing.",
  widgets: "It has widgets reload, and shows nothing.",
  controls: "It has controls reload, and shows nothing.",
};

const text = (value) => (typeof value === "string" && value !== "" ? value : null);
const object = (value) =>
  (typeof value === "object" && value !== null && !Array.isArray(value) ? value : null);

/** Return a text of an alert: {text}, or {key, values} where the device looks it up. */
function part(alert, name, key, values) {
  if (text(alert[name])) return {text: alert[name]};
  if (!text(alert[key])) return null;
  return {key: alert[key], values: Array.isArray(alert[values]) ? alert[values].map(String) : []};
}

/** Return {kind, shows, explanation, title, subtitle, body, badge, sound, level}. */
export function preview(exchange) {
  const aps = object(object(exchange.payload)?.aps);
  const type = exchange.push_type ?? "";
  if (object(exchange.payload)?.mdm !== undefined || SILENT[type]) {
    return {kind: type || "mdm", shows: false, explanation: SILENT[type] ?? SILENT.mdm};
  }
  if (!aps) {
    return {kind: "unknown", shows: false,
      explanation: "The payload has no aps dictionary: a device shows nothing."};
  }
  const alert = typeof aps.alert === "string" ? {body: aps.alert} : object(aps.alert) ?? {};
  const shown = {
    kind: type === "liveactivity" || exchange.kind === "broadcast" ? "Live Activity" : "alert",
    title: part(alert, "title", "title-loc-key", "title-loc-args"),
    subtitle: part(alert, "subtitle", "subtitle-loc-key", "subtitle-loc-args"),
    body: part(alert, "body", "loc-key", "loc-args"),
    badge: Number.isInteger(aps.badge) ? aps.badge : null,
    sound: text(aps.sound) ?? text(object(aps.sound)?.name),
    isCritical: object(aps.sound)?.critical === 1,
    level: text(aps["interruption-level"]),
    thread: text(aps["thread-id"]),
    category: text(aps.category),
  };
  if (shown.kind === "Live Activity") {
    shown.shows = true;
    shown.event = text(aps.event);
    shown.state = aps["content-state"];
    shown.explanation = `It ${{start: "starts", end: "ends"}[aps.event] ?? "updates"} a Live `
      + "Activity, which the application draws from the content state.";
    return shown;
  }
  shown.shows = Boolean(shown.title || shown.body || shown.subtitle);
  if (!shown.shows) {
    const rest = [];
    if (shown.badge !== null) rest.push(`sets the badge to ${shown.badge}`);
    if (shown.sound) rest.push("plays a sound");
    if (aps["content-available"] === 1) rest.push("wakes the application");
    shown.explanation = "There is no alert: it " + (rest.length ? `${rest.join(", ")}, and ` : "")
      + "shows nothing.";
  } else if (aps["mutable-content"] === 1) {
    shown.explanation = "A Notification Service Extension may change it before it is shown.";
  }
  return shown;
}
