"""Methods of a field class that look like hooks, and that nothing calls."""

from __future__ import annotations

import difflib
from types import FunctionType
from typing import Any, Final

from popoto._spoken_names import is_spoken_of
from popoto._unknown_names import is_strict, tell

_HOOKS: Final = (
    "is_valid",
    "format_value_pre_save",
    "on_save",
    "on_delete",
    "get_filter_query_params",
    "filter_query",
)
#: What fields of other libraries have, and what does it here.
_ELSEWHERE: Final = {
    **dict.fromkeys(("validate", "clean", "run_validators"), "is_valid() refuses values"),
    **dict.fromkeys(
        ("to_python", "get_prep_value", "get_db_prep_value", "process_bind_param", "pre_save"),
        "format_value_pre_save() changes a value before it is stored",
    ),
    **dict.fromkeys(
        ("from_db_value", "process_result_value", "to_representation"),
        "values are given back as they are stored; work others out in a property of the model",
    ),
}


def tell_of_field_hooks(cls: type) -> None:
    """Tell of methods of a field class that look like hooks, and are none.

    UnknownNameError where unknown names are refused.
    """
    if cls.__module__.partition(".")[0] == "popoto":
        return
    body: dict[str, Any] = dict(vars(cls))
    for name, value in body.items():
        function = getattr(value, "__func__", value)
        if not isinstance(function, FunctionType) or name.startswith("_"):
            continue
        if name in _HOOKS or any(hasattr(base, name) for base in cls.__mro__[1:]):
            continue
        near = difflib.get_close_matches(name, _HOOKS, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]!r}?" if near else _ELSEWHERE.get(name)
        if hint is not None and not is_spoken_of(name, body):
            tell(
                f"{cls.__name__}.{name}(): popoto calls no method of this name; {hint}",
                refuse=is_strict(),
            )
