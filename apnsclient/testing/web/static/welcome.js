// What stands in the place of a notification as long as none has come.

import {call} from "./api.js";
import {facts, h} from "./dom.js";

/** Return what somebody needs who is about to push for the first time. */
export async function welcome() {
  const {addresses, key_id: key, team_id: team} = await call("GET", "/credentials");
  const provider = addresses.provider;
  const api = new URL("api/v1", location.href).href;
  return h("div", {class: "welcome"},
    h("h1", null, "Waiting for the first push"),
    h("p", null, provider
      ? "Have your program connect here in the place of api.push.apple.com:"
      : "The library for HTTP/2 is not installed: the binary protocol alone is served."),
    facts([["HTTP/2", provider], ["Channels", addresses.channels],
      ["Binary protocol", addresses.gateway], ["Feedback", addresses.feedback],
      ["Trust", h("a", {href: "ca.pem", download: ""}, "ca.pem")],
      ["Key, team", h("span", null, `${key}, ${team} (`,
        h("a", {href: "api/v1/credentials"}, "key and certificate"), ")")]]),
    provider ? [h("p", null, "Or try it with curl:"), h("pre", {tabindex: "0"}, [
      `curl -s ${new URL("ca.pem", location.href).href} > ca.pem`,
      `curl -s ${api}/credentials | python3 -c \\`,
      "  'import json, sys; print(json.load(sys.stdin)[\"certificate\"])' > client.pem",
      "curl --http2 --cacert ca.pem --cert client.pem \\",
      "  -H 'apns-topic: com.example.app' -H 'apns-push-type: alert' \\",
      "  -d '{\"aps\": {\"alert\": \"Hello\"}}' \\",
      `  https://${provider}/3/device/${"5f".repeat(16)}`].join("\n"))] : null);
}
