"""Names of keys: the only place that knows how a key is spelled.

A key is made of parts joined with ``:``. A part is ``str(value)`` with the
characters that would break a key or act as a glob pattern escaped. The layout
is the one of popoto 1.6, so that data moves both ways.

Every name here is *logical*. On Redis Cluster the runner puts the shard's hash
tag in front (see `shard_prefix`); members of indexes stay logical everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from popoto.exceptions import StoredDataError

SEPARATOR = ":"
ESCAPED_SEPARATOR = "{&#58;}"
_POINTER = "$IdxPtr:"
#: What would end a hash tag before its end, or could not be read in one.
_NOT_IN_TAGS = re.compile(r"[%{}\x00-\x1f\x7f]")
_POINTS = "\0idxptr\0"

_NEEDS_ESCAPE = re.compile(r"[/'?*^\[\]:-]")
_ESCAPES = str.maketrans(
    {"/": "//", ":": ESCAPED_SEPARATOR} | {character: "/" + character for character in "'?*^[]-"}
)
_ESCAPED = re.compile(r"\{&#58;\}|/([/'?*^\[\]-])")


def escape(part: str) -> str:
    """One key part, escaped. Reversible for every text without a literal ``{&#58;}``."""
    return part.translate(_ESCAPES) if _NEEDS_ESCAPE.search(part) else part


def is_shared(value: object) -> bool:
    """Whether another value (None, an escape sequence) has the same text in keys."""
    if isinstance(value, str):
        return ":" in value or value == "None" or ESCAPED_SEPARATOR in value
    return value is None


def unescape(part: str) -> str:
    """The text that `escape` was given."""
    if "/" not in part and "{" not in part:
        return part
    return _ESCAPED.sub(lambda match: match.group(1) or SEPARATOR, part)


def text_of(key: bytes) -> str:
    """A record key that a server has told. Raises StoredDataError for bytes that are no text."""
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoredDataError(
            f"{key!r} stands where record keys stand, and is no text: popoto has not written it. "
            "Remove it, and what stands under that name."
        ) from error


def as_text(key: bytes) -> str | None:
    """A key of ours as text; None for bytes that no key of ours is made of."""
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        return None


def join(*parts: object) -> str:
    """A key from parts; each is turned into text and escaped."""
    return SEPARATOR.join(escape(str(part)) for part in parts)


def field_prefix(class_name: str) -> str:
    """The prefix of a field class's index keys.

    The characters of the word "Field" are stripped from both ends of the class
    name (a set of characters, not a suffix): ``UniqueField`` gives ``$UniquF``.
    """
    return f"${class_name.strip('Field')}F"


def class_set_key(model_name: str) -> str:
    """The set of all record keys of a model."""
    return f"$Class:{model_name}"


def record_keys_key(model_name: str) -> str:
    """The sorted set (all scores 0) of a model's record keys: the class set in order."""
    # No field can have this name.
    return f"$Values:{model_name}:$keys"


def composite_index_key(model_name: str, field_names: Iterable[str]) -> str:
    """The hash of one composite index: digest -> record key."""
    return f"$Index:{model_name}:{SEPARATOR.join(field_names)}"


def expiry_key(model_name: str) -> str:
    """The sorted set of records that expire: record key -> moment in epoch milliseconds."""
    return f"$Expiry:{model_name}"


def expiry_values_key(model_name: str) -> str:
    """The hash that keeps what the entries of expiring records are made of."""
    return f"$Expiry:{model_name}:values"


def values_key(model_name: str, field_name: str) -> str:
    """The sorted set (all scores 0) of the distinct texts that an indexed field holds."""
    return f"$Values:{model_name}:{field_name}"


def values_coverage_key(model_name: str) -> str:
    """The hash counting, per field, how many records its `values_key` covers."""
    return f"$Values:{model_name}"


def late_key(model_name: str, name: str) -> str:
    """The key that tells a call of this name that its caller waits no longer."""
    return f"$Late:{model_name}:{name}"


def capped_list_key(record_key: str, field_name: str) -> str:
    """The list that holds a capped list field of one record."""
    return f"{record_key}::{field_name}"


def capped_list(key: str) -> tuple[str, str] | None:
    """The record key and the field that such a key is about; None for another kind of key."""
    record, found, field_name = key.rpartition("::")
    return (record, field_name) if found and field_name.isidentifier() else None


def pointer_keys(record_key: str, field_name: str) -> tuple[str, str]:
    """The keys that name the value set which a record stands in: of popoto 1.9 on, and of 1.8.1."""
    return f"{_POINTER}{record_key}:{field_name}", f"{record_key}{_POINTS}{field_name}"


def pointer(key: str) -> tuple[str, str] | None:
    """The record key and the field that such a key is about; None for another kind of key."""
    if key.startswith(_POINTER):
        record, _, field_name = key.removeprefix(_POINTER).rpartition(SEPARATOR)
        return record, field_name
    record, found, field_name = key.rpartition(_POINTS)
    return (record, field_name) if found else None


def shards_key(model_name: str) -> str:
    """The set of the shards of a model that have one for each value of a field: key texts."""
    return f"$Shards:{model_name}"


def shard_name(model_name: str, text: str) -> str:
    """The shard of the records whose shard field stands with this text in their keys."""
    return f"{model_name}:" + _NOT_IN_TAGS.sub(lambda found: f"%{ord(found.group()):02X}", text)


def model_of_shard(shard: str) -> str:
    """The model whose records a shard holds, all or some of them."""
    return shard.partition(SEPARATOR)[0]


def text_of_shard(physical: bytes, model_name: str) -> str | None:
    """The text by which a key's hash tag names a shard of the model; None for another key."""
    tag = (as_text(physical) or "").partition("}")[0]
    head = "{" + model_name + SEPARATOR
    return unquote(tag.removeprefix(head)) if tag.startswith(head) else None


def shard_prefix(shard: str, *, is_cluster: bool) -> str:
    """What stands in front of every physical key of a shard: a hash tag, on a cluster only."""
    return f"{{{shard}}}" if is_cluster else ""
