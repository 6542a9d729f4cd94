"""The parts of a connection URL, read so that no message can tell a password.

A password may hold a `/`, `?`, `#` or `@` that should have been quoted. Then any part of the URL
may be a part of it, and so may what the standard library and redis-py say about it. So a URL is
taken apart here, whatever looks like such a password is refused, and an error tells the scheme, the
names of options that redis-py knows, and nothing else of a URL.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

__all__ = ["BadUrl", "UrlParts", "check_host", "describe", "is_tellable", "nearest", "split_url"]

_HOST: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
# urlsplit drops tabs and ends of lines without a word.
_NOT_IN_URLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HOSTS: Final = re.compile(r"[\x00-\x20\x7f@/?#\\]")
_QUOTE: Final = (
    "In user names, passwords and paths write %2F for /, %3F for ?, %23 for #, %40 for @"
)


class BadUrl(ValueError):
    """A URL that cannot be used. The message is the reason, and holds nothing of the URL.

    It must not reach users itself: another exception may hang on it that tells more.
    """


@dataclass(frozen=True, slots=True)
class UrlParts:
    """The parts of a URL, still quoted. `user` and `password` are None where there are none."""

    scheme: str
    user: str | None
    password: str | None
    hosts: str
    path: str
    query: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The options of the query: the name, and the pair as it stands there."""
        return [(unquote_plus(pair.partition("=")[0]), pair) for pair in _pieces(self.query)]

    @property
    def addresses(self) -> list[tuple[str, int | None]]:
        """The hosts and their ports. Raises BadUrl."""
        return [_address(piece) for piece in self.hosts.split(",")]

    def masked(self) -> str:
        """The URL with `***` for its passwords."""
        if self.password is not None:
            credentials = f"{self.user}:***@"
        else:
            # A user alone is as often a password in the wrong place.
            credentials = "" if self.user is None else "***@"
        pairs = [f"{name}=***" if "password" in name else pair for name, pair in self.pairs]
        question = "?" if pairs else ""
        return f"{self.scheme}://{credentials}{self.hosts}{self.path}{question}{'&'.join(pairs)}"


def split_url(url: str) -> UrlParts:
    """Raises BadUrl."""
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise BadUrl("it has no scheme, the part before ://")
    if _NOT_IN_URLS.search(rest):
        raise BadUrl("it contains a control character, such as the end of a line")
    if "#" in rest:
        raise BadUrl(f"it contains a #. {_QUOTE}")
    netloc = re.split("[/?]", rest, maxsplit=1)[0]
    after = rest[len(netloc) :]
    if netloc and "@" in after:
        raise BadUrl(f"it contains an @ after the first / or ?. {_QUOTE}")
    path, _, query = after.partition("?")
    credentials, at, hosts = netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    if not all("=" in pair for pair in _pieces(query)):
        raise BadUrl("what follows its ? has to be name=value, joined by &")
    return UrlParts(
        scheme.lower(), user if at else None, password if colon else None, hosts, path, query
    )


def is_tellable(scheme: str, url: str) -> bool:
    """Whether what stands before :// may be told."""
    return _SCHEME.fullmatch(scheme) is not None and "@" not in url


def check_host(host: str) -> None:
    """Raises BadUrl for what is no name or address, but perhaps a whole URL."""
    if _NOT_IN_HOSTS.search(host):
        raise BadUrl("a host is a name or an address, without / ? # @ and spaces")


def nearest(names: Iterable[str], known: Iterable[str]) -> str:
    """What may have been meant, to end a sentence with. Never the names themselves."""
    found = sorted({each for name in names for each in difflib.get_close_matches(name, known, n=1)})
    return f"; there is {' and '.join(found)}" if found else ""


def describe(options: Mapping[str, object]) -> str:
    """A URL, without password, for options that were not given as one."""
    database = options.get("db") or 0
    if "path" in options:
        return f"unix://{options['path']}?db={database}"
    secure = "ssl" in getattr(options.get("connection_class"), "__name__", "").lower()
    user = options.get("username") or ""
    credentials = f"{user}:***@" if options.get("password") else ""
    host = options.get("host", "localhost")
    return (
        f"redis{'s' if secure else ''}://{credentials}{host}:{options.get('port', 6379)}/{database}"
    )


def _pieces(query: str) -> list[str]:
    return query.split("&") if query else []


def _address(piece: str) -> tuple[str, int | None]:
    found = _HOST.fullmatch(piece)
    if found is None or (found["port"] and int(found["port"]) > 0xFFFF):
        raise BadUrl("what follows a host and a colon is no port number")
    host = unquote(found["host"].strip("[]")).lower()
    check_host(host)
    return host, int(found["port"]) if found["port"] else None
