"""Records as text for a prompt. What stands in them cannot leave the frame they stand in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from popoto.models.record.as_dict import to_dict

__all__ = ["FORMATS", "format_natural", "format_structured", "format_xml", "values_of"]

#: What XML does not allow in a text, and in the name of an element.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_NAME: Final = re.compile(r"[^\w.-]|^(?=[\d.-])")
#: What ends a line, for Python or for whoever reads, steers a terminal, or is no character.
_NO_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def values_of(record: Any) -> Mapping[str, Any]:
    """The values of a record by name, those that it has; a dict as it is.

    Relationships are the keys of the records they refer to.
    """
    if isinstance(record, Mapping):
        return cast("Mapping[str, Any]", record)
    values = to_dict(record, None, None, relationships=False, max_depth=None)
    return {name: value for name, value in values.items() if value is not None}


def format_structured(records: Sequence[Any]) -> str:
    """A JSON array of objects, in ASCII; what JSON does not know is its text."""
    return json.dumps([_plain(values_of(record)) for record in records], indent=2, default=str)


def _plain(value: Any) -> Any:
    """A value as JSON can have it: names are texts, and numbers finite."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, Any]", value).items()
        return {str(name): _plain(each) for name, each in pairs}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def format_xml(records: Sequence[Any]) -> str:
    """An element for each record in `<records>`, with one for each value."""
    lines = ["<records>"]
    for record in records:
        lines.append("  <record>")
        for name, value in values_of(record).items():
            tag = _NO_NAME.sub("_", str(name)) or "_"
            lines.append(f"    <{tag}>{_as_xml(value)}</{tag}>")
        lines.append("  </record>")
    return "\n".join([*lines, "</records>"])


def _as_xml(value: Any) -> str:
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _NO_XML.sub("\ufffd", text)


def _spelled(found: re.Match[str]) -> str:
    return repr(found.group())[1:-1]


def format_natural(records: Sequence[Any]) -> str:
    r"""A line for each record: ``1. name: value, name: value``.

    Ends of lines in values are written ``\n``, so that a line is a record; so are other controls.
    """
    lines: list[str] = []
    for number, record in enumerate(records, 1):
        pairs = (
            _NO_LINE.sub(_spelled, f"{name}: {value}")
            for name, value in values_of(record).items()
            if value is not None
        )
        lines.append(f"{number}. {', '.join(pairs)}")
    return "\n".join(lines)


FORMATS: Final[Mapping[str, Callable[[Sequence[Any]], str]]] = {
    "structured": format_structured,
    "xml": format_xml,
    "natural": format_natural,
}
