"""Requests that coroutines await, as work for a sender.

A :class:`Post` is one request of one caller. Posts that come together are started together: a
:class:`Bundle` is the work that the sender knows, and costs a fraction of what work for each would.

What always holds: a post ends exactly once. It waits in the queue, it is in a bundle, or it has
ended; see :class:`~apnsclient.sending.work.Work` for where the requests of a bundle are.
"""

from typing import Any, List, Optional, Sequence, Tuple

from ..reasons import Reason
from ..sending.work import LATE, OVERHEAD, RESET, Request, Work
from ._observing import Observation
from .errors import APNSError, Closed, Kind, StreamReset, Timeout

__all__ = ["Bundle", "Post", "StandaloneRequest", "Tally", "error_of"]

#: How many digits Apple's device tokens have.
_DIGITS = 64


def error_of(text: str, kind: Kind, is_late: bool) -> APNSError:
    """Return the exception for a request that had no response.

    :param text: what happened (str).
    :param kind: what is known of it.
    :param is_late: whether its time was over (bool).
    """
    if is_late or text.startswith(LATE):
        return Timeout(text, kind=kind)
    return (StreamReset if text.startswith(RESET) else Closed)(text, kind=kind)


class Post:
    """A request to a device, and who waits for it. A subclass says what to do with its outcome.

    :param token: device token in hexadecimal (str or bytes).
    :param template: what else the request is made of; None if it is no request to a device, and has
        to be in work of its own (:meth:`new_work`).
    :param deadline: when its time is over, on the clock of the loop (float), or None.

    :ivar is_over: whether it has ended, or nobody waits for it any more (bool).
    :ivar has_place: whether the queue has taken it (bool), see :meth:`.Queue.enter`.
    :ivar bundle: the work that it is in, or None while it waits in the queue.
    :ivar index: what that calls it (int).
    :ivar flow: the :class:`~._queue.Flow` that it goes out with, None for that of single requests.
    """

    __slots__ = ("bundle", "deadline", "flow", "has_place", "index", "is_over", "template", "token")

    def __init__(self, token: Any, template: Any, deadline: Optional[float]) -> None:
        self.token = token
        self.template = template
        self.deadline = deadline
        self.is_over, self.has_place = False, True
        self.bundle: Optional[Work] = None
        self.index = 0
        self.flow: Any = None

    @property
    def is_abandoned(self) -> bool:
        """True if its caller is leaving, and withdraws it as soon as the loop comes to that."""
        return False

    def new_work(self, owner: Any) -> Work:
        """Return work for a request that is not to a device."""
        raise NotImplementedError

    def respond(self, response: Any) -> None:
        """Take the response, whatever its status.

        :param response: :class:`~apnsclient.protocols.http2.events.Response`.
        """
        raise NotImplementedError

    def lose(self, text: str) -> None:
        """Take note that the request was written, and that nothing will be known of it."""
        raise NotImplementedError

    def give_up(self, text: str) -> None:
        """Take note that the request was not processed, and is not sent again."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Take note of why the request was not sent: it cannot be made, or nothing can be sent."""
        raise NotImplementedError

    def expire(self) -> None:
        """Take note that its time is over; called by the hub, which then knows no more of it."""
        raise NotImplementedError


class Tally:
    """Ends requests, and counts those of a hub.

    :param observation: is told how each has ended (:class:`~._observing.Observation`), or None.

    :ivar outstanding: how many have not ended (int).
    :ivar completed: how many had a response, whatever its status (int).
    :ivar errors: how many ended without one (int).
    """

    __slots__ = ("_observation", "completed", "errors", "outstanding")

    def __init__(self, observation: Optional[Observation] = None) -> None:
        self.outstanding = self.completed = self.errors = 0
        self._observation = observation

    def respond(self, post: Post, response: Any) -> None:
        """End a request with its response, whatever the status."""
        self.outstanding -= 1
        self.completed += 1
        post.is_over = True
        if self._observation is not None:
            self._observation.note_response(post.template, response)
        post.respond(response)

    def lose(self, post: Post, text: str) -> None:
        """End a request that was written, and of which nothing will be known."""
        self._end(post)
        if self._observation is not None:
            self._observation.note_lost(post.template)
        post.lose(text)

    def give_up(self, post: Post, text: str) -> None:
        """End a request that was not processed, and is not sent again."""
        self._end(post)
        if self._observation is not None:
            self._observation.note_given_up(post.template)
        post.give_up(text)

    def fail(self, post: Post, error: Exception) -> None:
        """End a request with why it was not sent."""
        self._end(post)
        if self._observation is not None:
            self._observation.note_failed(post.template, error)
        post.fail(error)

    def _end(self, post: Post) -> None:
        """Count a request that ends without a response; one that has no place never counted."""
        if post.has_place:
            self.outstanding -= 1
            self.errors += 1
        post.is_over = True


class Bundle(Work):
    """Posts that are started together; the n-th request is that of the n-th post.

    :param posts: at least one.
    :param owner: takes back what was not processed (:class:`~._hub.Hub`).
    """

    def __init__(self, posts: List[Post], owner: Any) -> None:
        super().__init__(len(posts))
        # None in the place of each that has ended or was taken back. Posts lead here, so that those
        # that were kept would wait for the garbage collector, and their responses with them.
        self._posts: List[Any] = list(posts)
        self._owner = owner
        self._tally: Tally = owner.tally
        self._template = first = posts[0].template
        # Requests that differ in the token alone are made by the hundred.
        self._is_alike = all([post.template is first for post in posts])
        self._payload_size = len(first.payload) if self._is_alike else max(
            [len(post.template.payload) for post in posts])
        for index, post in enumerate(posts):
            post.bundle, post.index = self, index

    @property
    def payload_size(self) -> int:
        """Size of the largest payload, in bytes (int)."""
        return self._payload_size

    @property
    def resent_count(self) -> int:
        """How many requests wait to be sent again (int)."""
        return len(self._resent)

    @property
    def unfinished(self) -> List[Post]:
        """The posts that have not ended."""
        return [post for post in self._posts if post is not None]

    def request_size(self, client: Any) -> int:
        """Return how many bytes a request takes, about."""
        if self._is_alike:
            return int(client.encoder.size(self._template, _DIGITS))
        return _DIGITS + OVERHEAD + self._payload_size

    def token_of(self, index: int) -> Optional[bytes]:
        """Return the device token of a request, in lower-case hexadecimal."""
        token = self._posts[index].token
        digits: bytes = token if isinstance(token, bytes) else token.encode("ascii")
        return digits.lower()

    def _send(self, client: Any, indices: Sequence[int], rejected: Any) -> Tuple[Any, Any]:
        posts = [self._posts[index] for index in indices]
        tokens = [post.token for post in posts]
        if self._is_alike:
            return client.send(self._template, tokens, indices, self, rejected)
        return client.send_each([post.template for post in posts], tokens, indices, self, rejected)

    # The outcome of one request.

    def accept(self, index: int, response: Any) -> None:
        """Hand on a response; see the base class."""
        self._tally.respond(self._take(index), response)

    def reject(self, index: int, reason: Reason, response: Any, timestamp: Optional[int]) -> None:
        """Hand on a response; see the base class."""
        self._owner.note_rejected(reason)
        self.accept(index, response)

    def _take(self, index: int) -> Post:
        """Return a post, and forget it."""
        post: Post = self._posts[index]
        self._posts[index] = None
        return post

    def refuse(self, index: int, error: Exception) -> None:
        """Hand on why a request cannot be made; see the base class."""
        self._tally.fail(self._take(index), error)

    def lose(self, index: int, text: str) -> None:
        """Hand on that nothing will be known of a request; see the base class."""
        self._tally.lose(self._take(index), text)

    def cut(self, index: int, text: str) -> None:
        """Hand on that a request was not written to its end; see the base class."""
        self._tally.give_up(self._take(index), text)

    # The outcome of all requests that wait.

    def _take_posts(self) -> List[Post]:
        return [self._take(index) for indices in self._take_waiting() for index in indices]

    def stop(self, reason: Reason) -> None:
        """Start nothing more, because of the reason that a request was rejected for."""
        self._owner.stop(self._take_posts(), reason)

    def give_up(self, text: str) -> None:
        """Leave it to the owner to send what waits, none of which was processed."""
        self._owner.requeue(self._take_posts(), text)


class StandaloneRequest(Request):
    """Any other request, such as those about channels.

    :param post: who waits for it; token and template are not used.
    :param owner: see :class:`Bundle`.
    """

    def __init__(self, method: bytes, path: bytes, fields: Sequence[Tuple[bytes, bytes]],
                 body: bytes, post: Post, owner: Any) -> None:
        super().__init__(method, path, fields, body)
        self._post = post
        self._owner = owner
        self._tally: Tally = owner.tally
        post.bundle, post.index = self, 0

    @property
    def resent_count(self) -> int:
        """How many requests wait to be sent again (int)."""
        return len(self._resent)

    @property
    def unfinished(self) -> List[Post]:
        """The post, if it has not ended."""
        return [] if self._post.is_over else [self._post]

    def accept(self, index: int, response: Any) -> None:
        """Hand on the response; see the base class."""
        self._tally.respond(self._post, response)

    def reject(self, index: int, reason: Reason, response: Any, timestamp: Optional[int]) -> None:
        """Hand on the response; see the base class."""
        self._owner.note_rejected(reason)
        self.accept(index, response)

    def refuse(self, index: int, error: Exception) -> None:
        """Hand on why the request cannot be made; see the base class."""
        self._tally.fail(self._post, error)

    def lose(self, index: int, text: str) -> None:
        """Hand on that nothing will be known of the request; see the base class."""
        self._tally.lose(self._post, text)

    def cut(self, index: int, text: str) -> None:
        """Hand on that the request was not written to its end; see the base class."""
        self._tally.give_up(self._post, text)

    def stop(self, reason: Reason) -> None:
        """Start nothing more, because of the reason that a request was rejected for."""
        self._owner.stop(self._take_posts(), reason)

    def give_up(self, text: str) -> None:
        """Leave it to the owner to send the request, which was not processed."""
        self._owner.requeue(self._take_posts(), text)

    def _take_posts(self) -> List[Post]:
        is_waiting = bool(list(self._take_waiting()))
        return [self._post] if is_waiting and not self._post.is_over else []
