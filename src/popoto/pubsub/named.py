"""Names of channels as callers give them, and what they give in the place of one."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from popoto._unknown_names import is_strict, tell
from popoto.exceptions import SubscriberException

__all__ = ["Channels", "channels_of", "tell_of_arguments", "tell_of_channels"]

Channels = tuple[tuple[str | bytes, ...], tuple[str | bytes, ...]]
"""Names and patterns."""

#: What a channel is called in the classes of other libraries, where it has no effect here.
_ELSEWHERE = frozenset(
    {
        *("channel", "channels", "channel_name", "channel_names", "topic", "topics"),
        *("sub_channel", "sub_channels", "pub_channel", "pub_channels", "pub_channel_name"),
        *("pub_channel_names", "pattern", "patterns", "channel_patterns"),
    }
)


def channels_of(subscriber: Any) -> Channels:
    """What a subscriber is to hear by now, as its attributes may be assigned to.

    Raises SubscriberException for one text in the place of a list, and for names that are no
    texts.
    """
    of = type(subscriber).__name__
    names = _channels_in(subscriber.sub_channel_names, f"{of}.sub_channel_names")
    for name in names:
        if isinstance(name, str) and ("*" in name or "?" in name):
            tell(
                f"{of}.sub_channel_names: {name!r} is a channel of just that name; patterns go "
                "into sub_channel_patterns",
                refuse=is_strict(),
            )
    return names, _channels_in(subscriber.sub_channel_patterns, f"{of}.sub_channel_patterns")


def _channels_in(given: Any, what: str) -> tuple[str | bytes, ...]:
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise SubscriberException(f"{what} must be a list of names")
    names: tuple[Any, ...] = tuple(given)
    for name in names:
        if not isinstance(name, (str, bytes)):
            raise SubscriberException(
                f"{what} must be a list of names, as texts, and {name!r} is none"
            )
    return names


def tell_of_arguments(
    given_to: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    is_own: bool,
    by_position: str,
    by_keyword: str,
    remedy: str,
) -> None:
    """Tell of arguments that reach a constructor of ours, and that it does nothing with.

    A constructor of the user's own (`is_own`) may have read any of them already, so that only
    a keyword for a channel is told of there.
    """
    name = type(given_to).__name__
    told = [
        *(() if is_own else (f"{name}({each!r}): {by_position}" for each in args)),
        *(f"{name}({each}=…): {by_keyword}" for each in kwargs if not is_own or "chan" in each),
    ]
    for each in told:
        tell(f"{each}, so it has no effect{remedy}", refuse=is_strict())


def tell_of_channels(cls: type, meant: str, told: Container[str]) -> None:
    """Tell of attributes in the body of a class that name a channel, where nothing reads them.

    Those in `told` are told of already. Nothing is told of a class with a constructor of its
    own, which may read them.
    """
    if "__init__" in vars(cls):
        return
    for name, value in vars(cls).items():
        is_text = isinstance(value, (str, list, tuple, set, frozenset))
        if is_text and name != meant and name not in told and name.lower() in _ELSEWHERE:
            tell(f"{cls.__name__}.{name}: nothing reads it; {meant} is read", refuse=is_strict())
