"""How contents are named in a store."""

from __future__ import annotations

import hashlib
import re
from typing import Any

#: What `FilesystemStore` and its like leave of a key as it is, so that it needs no digest.
_PLAIN = re.compile(r"[\w.-]*")
_DIGEST_ENDS_IT = re.compile(r".*_[0-9a-f]{16}")


def content_key(options: Any, instance: Any, field_name: str) -> str:
    """What tells the contents of records and fields of a model apart.

    The values of the key fields in alphabetical order, and this field's name where the
    model has several ContentFields. Where a store that turns all but letters, digits
    and "-_." into "_" could take two of them for one, a digest follows.
    """
    values = [getattr(instance, each.name) for each in options.key_fields]
    parts = [str(value) for value in values if value is not None]
    if len(options.listed("content")) > 1:
        parts.append(field_name)
    key = ":".join(parts) or "default"
    if (
        all(_PLAIN.fullmatch(part) for part in parts)
        and None not in values
        and (len(parts) == 1 or not any("_" in part for part in parts))
        and not _DIGEST_ENDS_IT.fullmatch(key)
    ):
        return key
    exact = "\0".join(f"{len(str(value))}:{value!r}" for value in [*values, field_name])
    return f"{key}~{hashlib.sha256(exact.encode('utf-8', 'backslashreplace')).hexdigest()[:16]}"
