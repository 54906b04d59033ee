"""The documents of the HTTP API: what :mod:`apnsclient.testing.simulator.documents` returns.

The models are their description for the OpenAPI document. What is sent is not built by them: texts
that come from clients need not be valid Unicode, which JSON can hold as escapes alone.
"""

import json
from typing import Any, Dict, List, Mapping, Optional

from pydantic import BaseModel, Field
from starlette.responses import Response
from typing_extensions import Literal

__all__ = ["Certificate", "Connection", "ConnectionEvent", "ConnectionList", "Credential",
           "Deleted", "DocumentResponse", "Finding", "FindingCounts", "NearMiss", "NotEnough",
           "Notification", "NotificationList", "Release", "ResponseOfNotification", "Summary",
           "TLS", "encode"]


def encode(document: Any) -> str:
    """Return a document as JSON, in ASCII and on one line."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


class DocumentResponse(Response):
    """A response whose body is a document.

    :param document: what ``json`` can write.
    """

    media_type = "application/json"

    def __init__(self, document: Any, status_code: int = 200,
                 headers: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(encode(document), status_code, headers)


class FindingCounts(BaseModel):
    """How many findings there are of each severity."""

    error: int = Field(description="Apple rejects it, or it cannot work.")
    warning: int = Field(description="It will not do what was meant.")
    note: int = Field(description="Worth a look.")


class Summary(BaseModel):
    """A request to the simulator in a list: a notification, a broadcast, or one about channels."""

    number: int = Field(description="Number in order of arrival, from 1.")
    time: str = Field(description="When it had come completely (RFC 3339, UTC).")
    protocol: str = Field(description="`http2` or `binary`.")
    service: str = Field(description="`provider`, `channels` or `gateway`.")
    kind: str = Field(description="`notification`, `broadcast`, `channel` or `other`.")
    connection: int = Field(description="Number of its connection.")
    stream: Optional[int] = Field(
        description="Number of its stream; over the binary protocol its identifier.")
    method: Optional[str] = Field(description="Method, over HTTP/2.")
    path: Optional[str] = Field(description="Path, over HTTP/2.")
    token: Optional[str] = Field(description="Device token, as it came.")
    topic: Optional[str] = Field(description="Header field `apns-topic`.")
    push_type: Optional[str] = Field(description="Header field `apns-push-type`.")
    priority: Optional[int] = Field(description="Priority, if a valid one was sent.")
    apns_id: Optional[str] = Field(description="Header field `apns-id`, as it was sent.")
    title: Optional[str] = Field(description="Title of the alert, or its key; shortened.")
    body: Optional[str] = Field(description="Text of the alert, or its key; shortened.")
    outcome: str = Field(
        description="`pending`, `accepted`, `rejected` (a response with a reason), `refused` "
                    "(RST_STREAM, not processed), `reset` (another RST_STREAM), `unanswered` or "
                    "`discarded`.")
    status: Optional[int] = Field(description="Status of the response, or of the error frame.")
    reason: Optional[str] = Field(description="Reason in the response, over HTTP/2.")
    milliseconds: Optional[float] = Field(
        description="How long after the request it was sent; null as long as there is none.")
    size: int = Field(description="Size of the payload in bytes.")
    limit: int = Field(description="Largest size that is taken.")
    url: Optional[str] = Field(description="Address of its page.")
    shown_as: str = Field(description="What a device takes it for: `kind` of its `appearance`.")
    finding_counts: FindingCounts


class Credential(BaseModel):
    """Who a client says that it is."""

    kind: str = Field(description="`token` or `certificate`.")
    key_id: Optional[str] = Field(None, description="Key of the provider token.")
    team_id: Optional[str] = Field(None, description="Team of the provider token.")
    issued_at: Optional[str] = Field(None, description="When the provider token was issued.")
    age_seconds: Optional[float] = Field(None, description="Its age at the time of the request.")
    subject: Optional[str] = Field(None, description="Common name of the certificate.")
    topics: Optional[List[str]] = Field(None, description="Topics of the certificate.")
    environments: Optional[List[str]] = Field(None, description="Its environments.")
    serial: Optional[str] = Field(None, description="Its serial number, in hexadecimal.")
    expires: Optional[str] = Field(None, description="Until when it is valid.")


class TLS(BaseModel):
    """What a handshake agreed upon."""

    version: str = Field(description="Version of TLS.")
    cipher: str = Field(description="Cipher suite.")
    alpn: Optional[str] = Field(description="Protocol that was agreed upon.")
    resumed: bool = Field(description="Whether a session was resumed.")


class ResponseOfNotification(BaseModel):
    """What the simulator responded."""

    status: Optional[int] = Field(description="HTTP status, or status of the error frame.")
    reason: Optional[str] = Field(description="Reason, over HTTP/2.")
    meaning: Optional[str] = Field(description="What that means, and what to do.")
    headers: List[List[str]] = Field(description="Header fields: pairs of name and value.")
    body: str = Field(description="Body.")
    timestamp: Optional[int] = Field(description="The time in it, as it is there.")
    time: Optional[str] = Field(description="When it was sent.")
    milliseconds: Optional[float] = Field(description="How long after the request.")


class Release(BaseModel):
    """What became of a notification that was sent on to Apple."""

    outcome: Literal["accepted", "rejected", "failed"] = Field(
        description="What Apple did; `failed` if it did not respond.")
    status: Optional[int] = Field(description="HTTP status of Apple's response.")
    reason: Optional[str] = Field(description="Reason in Apple's response.")
    message: Optional[str] = Field(description="What that means, or why there is no response.")


class Finding(BaseModel):
    """Something about a request that is wrong, or worth a look."""

    rule: str = Field(description="Name of the rule.")
    severity: str = Field(
        description="`error` (Apple rejects it, or it cannot work), `warning` (it will not do what "
                    "was meant) or `note`.")
    message: str = Field(description="What it is, and what to do.")
    source: str = Field(description="Apple's page, or where it has been seen.")
    field: str = Field(description="The part that it is about: a header field, or a key.")


class Notification(Summary):
    """Everything that is known of a request."""

    headers: List[List[str]] = Field(
        description="Header fields in order: pairs of name and value, without `authorization`.")
    collapse_id: Optional[str] = Field(description="Header field `apns-collapse-id`.")
    channel_id: Optional[str] = Field(description="Header field `apns-channel-id`.")
    expiration: Optional[int] = Field(description="Seconds since 1970, if it was sent.")
    payload: Any = Field(
        description="The payload as JSON; null if it is not JSON, or very deep. The text has it.")
    payload_text: Optional[str] = Field(description="The payload as it came, if it is UTF-8.")
    payload_base64: str = Field(description="The payload as it came.")
    credential: Optional[Credential] = Field(description="Token or certificate.")
    tls: TLS
    peer: Optional[str] = Field(description="Address of the client.")
    response: Optional[ResponseOfNotification] = Field(
        description="Null as long as there is none.")
    release: Optional[Release] = Field(
        None, description="What became of it when it was sent on to Apple; null if it was not.")
    releasable: bool = Field(
        description="Whether it can be sent on to Apple: the server was started for that, and its "
                    "device token is on the list.")
    findings: List[Finding] = Field(description="What is wrong with it, the worst first.")
    appearance: Dict[str, Any] = Field(
        description="What a device would show: `kind`, `shows`, `explanation`, `title`, "
                    "`subtitle`, `body` (texts, or `key` and `arguments`), `badge`, `sound` and "
                    "others.")


class NotificationList(BaseModel):
    """Requests, newest first; those that were waited for, oldest first."""

    items: List[Dict[str, Any]] = Field(
        description="`Summary` of each; with `full`, `Notification`.")
    is_enough: Optional[bool] = Field(
        description="Whether as many as were waited for have come; null without `wait`.")
    last: int = Field(description="Number of the last request that came; 0 before the first.")
    kept: int = Field(description="How many requests are kept.")
    next: Optional[int] = Field(
        description="What to give as `before` for the next older ones; null if there are none.")


class NearMiss(BaseModel):
    """A request that is not what was waited for."""

    notification: Summary
    mismatches: List[str] = Field(description="Which conditions it does not meet.")


class NotEnough(BaseModel):
    """Too few have come in time."""

    items: List[Dict[str, Any]] = Field(description="Those that match, oldest first.")
    is_enough: bool = Field(description="False.")
    near_misses: List[NearMiss] = Field(description="Those that come near, the nearest first.")


class Deleted(BaseModel):
    """What has been deleted."""

    deleted: int = Field(description="How many.")


class ConnectionEvent(BaseModel):
    """Something that happened on a connection."""

    time: str = Field(description="When (RFC 3339, UTC).")
    kind: str = Field(description="Kind of event.")
    text: str = Field(description="The same for people.")


class Certificate(BaseModel):
    """A client's certificate."""

    kind: str = Field(description="`certificate`.")
    subject: str = Field(description="Its common name.")
    topics: List[str] = Field(description="Its topics.")
    environments: List[str] = Field(description="`sandbox`, `production` or both.")
    serial: str = Field(description="Its serial number, in hexadecimal.")
    expires: str = Field(description="Until when it is valid.")


class Connection(BaseModel):
    """A connection to the simulator."""

    number: int = Field(description="Number over all services, from 1.")
    service: str = Field(description="`provider`, `channels`, `gateway` or `feedback`.")
    peer: Optional[str] = Field(description="Address of the client.")
    tls: TLS
    certificate: Optional[Certificate] = Field(description="The client's, if it has one.")
    opened: str = Field(description="When its handshake was complete.")
    closed: Optional[str] = Field(description="When it was closed; null if it is open.")
    ending: Optional[str] = Field(description="Why it was closed.")
    requests: int = Field(description="How many requests came over it.")
    events: List[ConnectionEvent] = Field(description="What happened on it, in order.")


class ConnectionList(BaseModel):
    """Connections, newest first."""

    items: List[Connection]
