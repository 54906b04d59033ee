"""The reasons with which Apple's provider API rejects requests, and the HTTP status of each.

Sources: Apple, *Handling notification responses from APNs*, and for broadcasts and their channels
*Handling error responses from Apple Push Notification service*.
"""

from __future__ import absolute_import, division, print_function

__all__ = ["STATUSES", "check_reason"]

#: ``{reason: HTTP status}``. BadEnvironmentKeyInToken is what servers have been seen to send, and
#: BadEnvironmentKeyIdInToken how Apple's page spells it.
STATUSES = {
    "BadCollapseId": 400, "BadDeviceToken": 400, "BadExpirationDate": 400, "BadMessageId": 400,
    "BadPriority": 400, "BadTopic": 400, "DeviceTokenNotForTopic": 400, "DuplicateHeaders": 400,
    "IdleTimeout": 400, "InvalidPushType": 400, "MissingDeviceToken": 400, "MissingTopic": 400,
    "PayloadEmpty": 400, "TopicDisallowed": 400,
    "BadCertificate": 403, "BadCertificateEnvironment": 403, "BadEnvironmentKeyIdInToken": 403,
    "BadEnvironmentKeyInToken": 403,
    "ExpiredProviderToken": 403, "Forbidden": 403, "InvalidProviderToken": 403,
    "MissingProviderToken": 403, "UnrelatedKeyIdInToken": 403,
    "BadPath": 404, "MethodNotAllowed": 405, "ExpiredToken": 410, "Unregistered": 410,
    "PayloadTooLarge": 413, "TooManyProviderTokenUpdates": 429, "TooManyRequests": 429,
    "InternalServerError": 500, "ServiceUnavailable": 503, "Shutdown": 503,
    # Of broadcasts and their channels alone.
    "BadChannelId": 400, "BadRequestParams": 400, "BadRequestPayload": 400,
    "CannotCreateChannelConfig": 400, "ChannelNotRegistered": 400, "FeatureNotEnabled": 400,
    "MissingChannelId": 400, "MissingPushType": 400, "TopicMismatch": 403,
}


def check_reason(reason):
    # type: (str) -> str
    """Return a reason if Apple documents it.

    :raises ValueError: with all of them, if not.
    """
    if reason not in STATUSES:
        raise ValueError("there is no reason %r, expected one of: %s"
                         % (reason, ", ".join(sorted(STATUSES))))
    return reason
