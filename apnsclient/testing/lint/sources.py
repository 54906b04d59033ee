"""Where the rules come from: Apple's pages by their titles, and reports of what real servers do."""

from __future__ import absolute_import, division, print_function

__all__ = ["ARCHIVE", "BACKGROUND", "BROADCAST", "GENERATING", "JSON", "LIVE_ACTIVITY", "MDM",
           "MODIFYING", "PUSH_TO_TALK", "RESPONSES", "SENDING", "TOKENS", "VOIP", "WIDGETS"]

SENDING = "Apple, Sending notification requests to APNs"
RESPONSES = "Apple, Handling notification responses from APNs"
GENERATING = "Apple, Generating a remote notification"
BACKGROUND = "Apple, Pushing background updates to your App"
BROADCAST = "Apple, Sending broadcast push notification requests to APNs"
TOKENS = "Apple, Establishing a token-based connection to APNs"
LIVE_ACTIVITY = ("Apple, Starting and updating Live Activities with ActivityKit push "
                 "notifications")
MODIFYING = "Apple, Modifying content in newly delivered notifications"
VOIP = "Apple, Responding to VoIP Notifications from PushKit"
PUSH_TO_TALK = "Apple, Creating a Push to Talk app"
WIDGETS = "Apple, Updating widgets with WidgetKit push notifications"
MDM = "Apple, Mobile Device Management Protocol Reference"
ARCHIVE = ("Apple, Local and Remote Notification Programming Guide, Payload Key Reference "
           "(archived)")
JSON = "RFC 8259"
