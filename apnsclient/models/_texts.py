"""What a notification shows and plays: ``Alert``, ``Localized`` and ``Sound``."""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Sequence, Union

from ._checks import NONE, check_texts, check_types

__all__ = ["Alert", "Localized", "Sound"]

_HOME = "apnsclient.models"


@dataclass(frozen=True)
class Localized:
    """A text in the language of the user, which the application has in its strings files.

    :param key: key of the text in ``Localizable.strings`` (str).
    :param args: what takes the places of ``%@`` in the text, in order (list or tuple of str).
    :raises TypeError: if a value has another type.
    """

    __module__ = _HOME

    key: str
    args: Optional[Sequence[str]] = field(default=None, hash=False)

    def __post_init__(self) -> None:
        check_types(self, _LOCALIZED)
        check_texts("args", self, self.args or ())

    def get_dict(self, prefix: str = "") -> Dict[str, Any]:
        """Return Apple's keys.

        :param prefix: ``"title-"`` or ``"subtitle-"`` within an alert (str).
        :return: ``{"loc-key": ..., "loc-args": [...]}`` (dict), without arguments if it has none.
        """
        found: Dict[str, Any] = {prefix + "loc-key": self.key}
        if self.args is not None:
            found[prefix + "loc-args"] = list(self.args)
        return found


@dataclass(frozen=True)
class Alert:
    """The texts that a notification shows: Apple's dictionary ``alert``.

    :param body: the text (str), or :class:`Localized`.
    :param title: what it is about, in a few words (str), or :class:`Localized`.
    :param subtitle: more about the title (str), or :class:`Localized`.
    :param action_loc_key: key of the title of the button that opens the application (str). Apple
        documented it for iOS 9 and earlier.
    :param launch_image: name of the launch image file to show when the application is opened by
        the notification (str).
    :raises TypeError: if a value has another type.
    """

    __module__ = _HOME

    body: Union[str, Localized, None] = None
    title: Union[str, Localized, None] = None
    subtitle: Union[str, Localized, None] = None
    action_loc_key: Optional[str] = None
    launch_image: Optional[str] = None

    def __post_init__(self) -> None:
        check_types(self, _ALERT)

    def get_dict(self, is_nested: bool = False) -> Dict[str, Any]:
        """Return Apple's keys (dict).

        :param is_nested: whether the keys of localized texts stand below ``title`` and ``body``, as
            Apple wants it for Live Activities (bool).
        """
        found: Dict[str, Any] = {}
        for key, prefix, text in (("title", "title-", self.title),
                                  ("subtitle", "subtitle-", self.subtitle),
                                  ("body", "", self.body)):
            if isinstance(text, Localized):
                found.update({key: text.get_dict()} if is_nested else text.get_dict(prefix))
            elif text is not None:
                found[key] = text
        if self.action_loc_key is not None:
            found["action-loc-key"] = self.action_loc_key
        if self.launch_image is not None:
            found["launch-image"] = self.launch_image
        return found


@dataclass(frozen=True)
class Sound:
    """The sound of a critical alert: Apple's dictionary ``sound``.

    For other notifications Apple wants the name alone, and that is what a sound with nothing but a
    name becomes.

    :param name: name of a sound file of the application, or ``"default"`` (str).
    :param critical: whether it is played also when the device is muted (bool); the application
        needs an entitlement by Apple.
    :param volume: volume of a critical alert, from 0 (silent) to 1 (int or float).
    :raises TypeError: if a value has another type.
    """

    __module__ = _HOME

    name: str = "default"
    critical: bool = False
    volume: Optional[float] = None

    def __post_init__(self) -> None:
        check_types(self, _SOUND)

    def get_value(self) -> Union[str, Dict[str, Any]]:
        """Return what stands under Apple's key ``sound``: the name (str), or a dict."""
        if not self.critical and self.volume is None:
            return self.name
        found: Dict[str, Any] = {"name": self.name}
        if self.critical:
            found["critical"] = 1
        if self.volume is not None:
            found["volume"] = self.volume
        return found


_TEXT = (str, Localized, NONE)
_LOCALIZED = (("key", (str,)), ("args", (list, tuple, NONE)))
_ALERT = (("body", _TEXT), ("title", _TEXT), ("subtitle", _TEXT), ("action_loc_key", (NONE, str)),
          ("launch_image", (NONE, str)))
_SOUND = (("name", (str,)), ("critical", (bool,)), ("volume", (NONE, int, float)))
