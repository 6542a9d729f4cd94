"""Keywords of `save` and `delete` beyond their own: hooks may take them, else they are refused."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from popoto._stock import is_replaced
from popoto._unknown_names import closest, tell
from popoto.fields.field import LEFT_OUT, LeftOut
from popoto.models.record.further import EXPIRY, ask_expiry, refuses_unknown, taken_by
from popoto.models.record.options import AnyField
from popoto.models.record.record import Record

#: What `ttl` and `expire_at` may be: seconds, a moment, None for none, or nothing at all.
Lifetime: TypeAlias = int | datetime.timedelta | LeftOut | None
Moment: TypeAlias = datetime.datetime | LeftOut | None

#: The keywords that are ours; tests hold them to the signatures of `Model`.
OWN: Final[Mapping[str, frozenset[str]]] = {
    "save": frozenset(
        {
            "pipeline",
            "ignore_errors",
            "skip_auto_now",
            "update_fields",
            "migrate_key",
            "expected",
            "recreate",
            "ttl",
            "expire_at",
        }
    ),
    "delete": frozenset({"pipeline"}),
}
#: From which likeness on a keyword is taken for a slip, though some hook takes all keywords.
_LIKENESS = 0.8


def given(**keywords: Any) -> dict[str, Any]:
    """The keywords that were given."""
    return {name: value for name, value in keywords.items() if not isinstance(value, LeftOut)}


def take_expiry(
    instance: Record, further: dict[str, Any], ttl: Lifetime, expire_at: Moment
) -> bool:
    """Let a save set the expiry that its keywords ask for. Whether they do.

    A hook that has a keyword of such a name gets it instead, among the `further` ones. Raises
    UnknownNameError where a field has the name, since it would not be written.
    """
    if ttl is LEFT_OUT and expire_at is LEFT_OUT:
        return False
    named, _ = taken_by(_takers(instance, "save"))
    asked: dict[str, Any] = {}
    for name, value in given(ttl=ttl, expire_at=expire_at).items():
        if name in named:
            further[name] = value
        elif name in instance._meta.by_name:
            model_name = instance._meta.model_name
            tell(
                f"{model_name}.save({name}=…): {name!r} is a field of {model_name}; set it on the "
                f"record, and {EXPIRY[name]} for an expiry; nothing was written",
                refuse=True,
            )
        else:
            asked[name] = value
    if asked:
        ask_expiry(instance, **asked)
    return bool(asked)


def check_keywords(instance: Record, method: str, names: Iterable[str]) -> None:
    """Raise UnknownNameError for keywords that nobody takes.

    Where a hook takes whatever it is given, a keyword that looks like one of ours gives a warning,
    or the error where the model is strict.
    """
    named, takes_any = taken_by(_takers(instance, method))
    for name in names:
        if name in named:
            continue
        own = OWN[method]
        if takes_any and not difflib.get_close_matches(name, own, n=1, cutoff=_LIKENESS):
            continue
        is_refused = not takes_any or refuses_unknown(instance._meta)
        outcome = "nothing was written" if is_refused else "only hooks get it"
        tell(
            f"{instance._meta.model_name}.{method}() has no keyword {name!r}; "
            f"{closest(name, sorted(own), 'its keywords')} ({outcome})",
            refuse=is_refused,
        )


def _takers(instance: Record, method: str) -> Iterator[Any]:
    """What gets the further keywords of a save or a delete."""
    options = instance._meta
    hooked: list[AnyField] = list(options.delete_hooks)
    for each in hooked:
        yield each.on_delete
    if method == "save":
        for each in options.save_hooks:
            yield each.on_save
        found: Any = instance
        if is_replaced(type(instance), "pre_save") or "pre_save" in vars(instance):
            yield found.pre_save
