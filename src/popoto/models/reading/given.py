"""Conditions as they are given by position."""

from __future__ import annotations

from collections.abc import Iterable

from popoto._unknown_names import is_strict, tell
from popoto.fields.asking.conditions import CombinedExpression, Expression, Q, as_q
from popoto.fields.describing import describe
from popoto.models.record.known_models import all_models
from popoto.models.record.options import ModelOptions

__all__ = ["as_condition", "is_condition"]


def as_condition(condition: object, options: ModelOptions) -> Q:
    """A positional condition of a query on a model. Raises TypeError for what is none.

    An expression on a field of another model is told of: it is taken by the name of its field.
    """
    if isinstance(condition, (Q, Expression, CombinedExpression)):
        q = as_q(condition)
        if q.of_models and q.of_models != frozenset((options.model_name,)):
            _tell_of_others(options, q.of_models)
        return q
    if isinstance(condition, bool):
        raise TypeError(
            f"filter() got {condition}: a comparison was decided before the query saw it. Compare "
            "a field of the class with a value (Model.rating > 4, not record.rating > 4 and not "
            "one field with another), and combine conditions, or Q objects, with & and | and ~"
        )
    raise TypeError(
        f"filter() takes Q objects and expressions such as Model.field > 3 by position, and "
        f"field=value conditions by keyword; got {describe(condition)}"
    )


def is_condition(given: object, options: ModelOptions) -> bool:
    """Whether what `get()` was given by position is meant as a condition, and not as a key."""
    if isinstance(given, bool):
        # Unless keys are of that type, it is a comparison that was decided already.
        return all(options.by_name[name].type is not bool for name in options.key_names)
    return isinstance(given, (Q, Expression, CombinedExpression))


def _tell_of_others(options: ModelOptions, names: Iterable[str]) -> None:
    model = options.model
    if model is None:
        return
    derived = [each for each in all_models() if issubclass(each, model)]
    kin = {
        vars(each)["_meta"].model_name
        for each in (*model.__mro__, *derived)
        if "_meta" in vars(each)
    }
    for name in sorted(set(names) - kin):
        tell(
            f"{options.model_name}: a condition is written on a field of {name}, and asks the "
            f"field of that name of {options.model_name}; write {options.model_name}.field there, "
            f"or query {name}",
            refuse=is_strict(options.strict),
        )
