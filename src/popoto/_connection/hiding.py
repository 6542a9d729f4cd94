"""Errors of connecting, with the passwords taken out that were sent.

A server that knows no AUTH quotes its arguments ("unknown command 'AUTH', with args beginning
with: ..."), and some releases of redis-py describe a sentinel by all of its options.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from redis.credentials import UsernamePasswordCredentialProvider

__all__ = ["passwords", "secrets_of", "told", "without_secrets"]

_MASK: Final = "***"
_SHORTEST: Final = 4
"""Characters of a password that is looked for. A shorter one is a part of many words."""

_QUOTES: Final = "with args beginning with"


def without_secrets(error: Exception, secrets: Iterable[str]) -> Exception:
    """The error itself if no text of its chain tells a password, else one that tells none.

    The latter has no chain and must be raised where none is added.
    """
    hidden = [secret for secret in secrets if len(secret) >= _SHORTEST]
    if not any(each in text for text in told(error) for each in (*hidden, _QUOTES)):
        return error
    # What a server quotes is cut off, and may be a part of a password.
    text = str(error).partition(_QUOTES)[0].rstrip(", ")
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    kind = OSError if isinstance(error, OSError) else type(error)
    return kind(text)


def told(error: BaseException | None) -> Iterator[str]:
    """The texts of an exception and of all that it followed from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield from (str(each), repr(each))
        waiting += (each.__cause__, each.__context__)


def secrets_of(connection: Any) -> Iterator[str]:
    """What a connection sends to authenticate itself, to its server and to the sentinels."""
    own: dict[str, object] = connection.__dict__
    yield from passwords(own)
    provider: Any = getattr(connection, "credential_provider", None)
    if isinstance(provider, UsernamePasswordCredentialProvider):
        options: dict[str, object] = vars(provider)
        yield from passwords(options)
    # Where we ask the sentinels ourselves, what they say is told without passwords.
    manager: Any = getattr(getattr(connection, "connection_pool", None), "sentinel_manager", None)
    yield from passwords(getattr(manager, "sentinel_kwargs", {}))


def passwords(options: Mapping[str, object]) -> Iterator[str]:
    """The passwords among options, and how they look in a representation."""
    for name, value in options.items():
        if "password" in name and isinstance(value, (str, bytes)):
            text = value if isinstance(value, str) else value.decode("utf-8", "replace")
            yield text
            yield repr(text)[1:-1]
