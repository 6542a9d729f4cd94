"""Records as text for a prompt. What stands in them cannot leave the frame they stand in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.record.as_dict import to_dict

__all__ = [
    "FORMATS",
    "checked_content_field",
    "format_content",
    "format_natural",
    "format_structured",
    "format_xml",
    "rendering",
    "values_of",
]

Render: TypeAlias = Callable[[Sequence[Any]], str]

#: How fields are called that hold the text of a record, where no index of texts tells it.
_CONTENTS: Final = ("content", "text")

#: What ends a line, for Python or for whoever reads, or steers a terminal.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
#: What is not seen, but read, or turns around how others are seen: a text could hide in it, and
#: what stands behind it look otherwise than it is.
_UNSEEN: Final = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
#: Emoji and some scripts need joiners and variants, two in a row at most.
_ROWS: Final = r"[\u200c\u200d\ufe0e\ufe0f]{3,}"
#: What XML does not allow in a text, and in the name of an element. Parsers differ in letters that
#: few names have.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_NAME: Final = re.compile(
    r"[^A-Za-z0-9_.\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0131\u0391-\u03a1\u03a3-\u03ce\u0401-\u040c"
    r"\u040e-\u044f\u0451-\u045c\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3-]|^(?=[0-9.-])"
)
_REFERRED: Final = re.compile(rf"[{_CONTROLS}{_UNSEEN}]|{_ROWS}")
#: What a line does not have as it is, and the beginning of what may be a tag or a token of a model.
_NO_LINE: Final = re.compile(rf"[{_CONTROLS}{_UNSEEN}\ud800-\udfff]|{_ROWS}|<(?=[A-Za-z/!?|])")
#: Of a text in JSON, what could be read as a tag by who does not read it as JSON.
_IN_JSON: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&"}


def values_of(record: Any) -> Mapping[str, Any]:
    """The values of a record by name, those that it has; a dict as it is.

    Relationships are the keys of the records they refer to.
    """
    if isinstance(record, Mapping):
        return cast("Mapping[str, Any]", record)
    values = to_dict(record, None, None, relationships=False, max_depth=None)
    return {name: value for name, value in values.items() if value is not None}


def format_structured(records: Sequence[Any]) -> str:
    """A JSON array of objects, in ASCII; what JSON does not know is its text.

    Signs of markup are written as JSON can write any character, so that no text holds a tag.
    """
    text = json.dumps([_plain(values_of(record)) for record in records], indent=2, default=str)
    return text.translate(_IN_JSON)


def _plain(value: Any) -> Any:
    """A value as JSON can have it: names are texts, and numbers finite."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, Any]", value).items()
        return {str(name): _plain(each) for name, each in pairs}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def format_xml(records: Sequence[Any]) -> str:
    """An element for each record in `<records>`, with one for each value, on a line.

    Ends of lines in values, and characters that are not seen, are references (``&#xa;``).
    """
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
    return _REFERRED.sub(_reference, _NO_XML.sub("\ufffd", text))


def _reference(found: re.Match[str]) -> str:
    return "".join(f"&#x{ord(each):x};" for each in found.group())


def _spelled(found: re.Match[str]) -> str:
    text = found.group()
    return r"\x3c" if text == "<" else text.encode("unicode_escape").decode("ascii")


def format_natural(records: Sequence[Any]) -> str:
    r"""A line for each record: ``1. name: value, name: value``.

    Ends of lines in values are written ``\n``, so that a line is a record; so are other controls,
    characters that are not seen, and ``<`` where a tag may begin.
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


def format_content(records: Sequence[Any], content_field: str | None = None) -> str:
    r"""A line for each record with nothing but its text: ``- text``.

    `content_field` names the text; without it, it is that of which the model's `BM25Field` or
    `EmbeddingField` is made, else `content` or `text`. Ends of lines are written as in
    `format_natural`. A record without a text has no line.
    """
    texts = (_text_of(record, content_field) for record in records)
    return "\n".join(f"- {_NO_LINE.sub(_spelled, text)}" for text in texts if text)


def _text_of(record: Any, name: str | None) -> str:
    if isinstance(record, Mapping):
        values = cast("Mapping[str, Any]", record)
        names = [name] if name is not None else [each for each in _CONTENTS if each in values]
        text = values.get(names[0]) if names else None
    else:
        name = _content_field_of(type(record)) if name is None else name
        text = None if name is None else getattr(record, name)
    return "" if text is None else str(text).strip()


def _content_field_of(model: Any) -> str | None:
    """The field that holds the text of a model's records."""
    options = model._meta
    sources = [each.source for word in ("keywords", "embedding") for each in options.listed(word)]
    names = [*sources, *(each.name for each in options.listed("content")), *_CONTENTS]
    return next((name for name in names if name in options.by_name), None)


def checked_content_field(model: Any, name: Any, output_format: str) -> str | None:
    """The field that `content` shows. Raises QueryException for none, where it has to be one."""
    if name is not None and name not in model._meta.by_name:
        raise QueryException(
            f"content_field names {describe(name)}, which is no field of {model.__name__}; "
            f"fields are {', '.join(model._meta.by_name)}"
        )
    found = _content_field_of(model) if name is None else name
    if found is None and output_format == "content":
        raise QueryException(
            f"output_format='content' shows the text of records, and nothing tells which field of "
            f"{model.__name__} holds it: name it, content_field=..."
        )
    return found


FORMATS: Final[Mapping[str, Render]] = {
    "structured": format_structured,
    "xml": format_xml,
    "natural": format_natural,
    "content": format_content,
}


def rendering(output_format: str, content_field: str | None) -> Render:
    """The format of a name; that of any other name is `structured`."""
    if output_format == "content":
        return partial(format_content, content_field=content_field)
    return FORMATS.get(output_format, format_structured)
