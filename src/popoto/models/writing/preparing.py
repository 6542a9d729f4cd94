"""What is checked and formatted before a save is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from popoto._stock import stock
from popoto._unknown_names import is_strict, tell, warn_caller
from popoto.engine.codec import NIL
from popoto.exceptions import (
    KeyMutationError,
    ModelException,
    SkipSaveException,
    ValidationError,
)
from popoto.fields.describing import describe
from popoto.fields.given import is_mapping
from popoto.models.record import overridden
from popoto.models.record.checking import coerce_and_check, logger, refusal
from popoto.models.record.field_names import known_names
from popoto.models.record.further import tell_of_attributes
from popoto.models.record.record import Record
from popoto.models.writing.keywords import check_keywords
from popoto.models.writing.restoring import Restoring
from popoto.models.writing.save_request import SaveRequest
from popoto.models.writing.saving import Saving
from popoto.models.writing.updating import Updating, numbers_of, set_aside


def prepared_save(
    instance: Record,
    request: SaveRequest,
    names: list[str] | None,
    kind: type[Saving] = Saving,
) -> Saving | None:
    """A save, once everything is checked and formatted; None = nothing is saved."""
    numbers = numbers_of(instance, names)
    if not numbers:
        return _prepared(instance, request, names, kind if request.condition is None else Updating)
    # Until the sum is known, its field is as it was loaded.
    with set_aside(instance, numbers):
        saving = _prepared(instance, request, names, Updating)
        if isinstance(saving, Updating):
            try:
                saving.add(numbers)
            except ValidationError as error:
                if not request.ignore_errors:
                    raise
                logger.error("%s", error)
                return None
    return saving


def _prepared(
    instance: Record, request: SaveRequest, names: list[str] | None, kind: type[Saving]
) -> Saving | None:
    if request.hook_arguments:
        check_keywords(instance, "save", request.hook_arguments)
    if names is not None and request.recreate:
        raise ModelException(
            f"{instance._meta.model_name}.save(update_fields=…, recreate=True): a record that is "
            "written again is written whole; leave update_fields out"
        )
    tell_of_attributes(instance)
    key = instance._record_key
    if instance._is_stored and key != instance._redis_key and not request.migrate_key:
        check_key_change(instance)
    is_unwanted = bool(instance._meta.save_checks) and is_skipped(instance, names)
    if instance._belongings is not None:
        # It was kept before, whatever a filter says now.
        kind = Restoring
    elif is_unwanted:
        return None
    if _has_stock(instance, "pre_save"):
        goes_on: Any = pre_save(
            instance,
            update_fields=names,
            skip_auto_now=request.skip_auto_now,
            ignore_errors=request.ignore_errors,
        )
        if instance._meta.fills_key and goes_on:
            key = _filled_key(instance, request)
    else:
        goes_on = overridden.pre_save(
            instance,
            pipeline=request.pipeline,
            ignore_errors=request.ignore_errors,
            skip_auto_now=request.skip_auto_now,
            update_fields=names,
            **request.hook_arguments,
        )
        key = instance._record_key
    if not goes_on:
        if goes_on is not False:
            warn_caller(
                f"{type(instance).__name__}.pre_save() returns {goes_on!r}, so nothing is saved: "
                "let it return super().pre_save(**kwargs), or True; False, to save nothing on "
                "purpose"
            )
        return None
    saving = kind(instance, request, names, key)
    if names is None and kind is not Restoring and instance._is_keyless:
        _warn_of_no_key(instance, key)
        saving.has_no_key = request.create_only is not False
    return saving


def _filled_key(instance: Record, request: SaveRequest) -> str:
    """The key once the time is filled in that is a part of it. Raises KeyMutationError."""
    key = instance._record_key
    if instance._is_stored and key != instance._redis_key and not request.migrate_key:
        check_key_change(instance)
    return key


def _warn_of_no_key(instance: Record, key: str) -> None:
    names = ", ".join(instance._meta.key_names)
    warn_caller(
        f"{type(instance).__name__}: no key field has a value ({names}), so this record goes to "
        f"{key!r}, and so would every other one without a key; set {names}. KeyField(null=False) "
        "refuses this, and a model without a KeyField makes keys itself."
    )


def _has_stock(instance: Record, name: str) -> bool:
    """Whether a method of an instance is ours, so that its work may be done directly."""
    found: object = getattr(type(instance), name)
    return stock.is_on(found) and name not in vars(instance)


def is_skipped(instance: Record, names: Sequence[str] | None) -> bool:
    """Whether a mixin of the model keeps this save from happening."""
    try:
        for check in instance._meta.save_checks:
            check(instance, names)
    except SkipSaveException as reason:
        logger.debug("%s is not saved: %s", type(instance).__name__, reason)
        return True
    return False


def names_of(instance: Record, request: SaveRequest) -> list[str] | None:
    """The fields that a save writes; None for all of them.

    Raises ModelException for unknown ones, and where an expiry is asked for and no field is named:
    such a save writes nothing.
    """
    if request.update_fields is None:
        return None
    names = _checked_names(instance, request.update_fields)
    if request.asks_expiry and not names:
        raise ModelException(
            f"{instance._meta.model_name}.save(update_fields=[], ttl=…): a save of no field writes "
            "nothing; renew_ttl() sets an expiry alone"
        )
    return names


def _checked_names(instance: Record, names: Iterable[str]) -> list[str]:
    """The names of a partial save, each once. Raises ModelException for unknown ones.

    Tells of a dict with other values than the instance has, which are not written.
    """
    options = instance._meta
    found = known_names(
        options.by_name, names, options.model_name, call="save", keyword="update_fields"
    )
    if is_mapping(names):
        given = cast("Mapping[str, Any]", names)
        for name in found:
            value = given[name]
            # `dict.fromkeys(names)` holds nothing but names.
            if value is not None and (
                _coerced(options.by_name[name], value) != getattr(instance, name)
            ):
                tell(
                    f"{options.model_name}.save(update_fields={{{name!r}: …}}) names fields, and "
                    f"sets none: what the record holds is written; set record.{name}, or call "
                    f"{options.model_name}.query.update({name}=…)",
                    refuse=is_strict(options.strict),
                )
    return found


def check_key_change(instance: Record) -> None:
    """Raise KeyMutationError when a key field changed since the record was stored."""
    stored, values = instance._stored, vars(instance)
    for key_field in instance._meta.key_fields:
        name = key_field.name
        if key_field.auto or name not in values:
            continue
        before = stored.get(name)
        if before is None or before == NIL:
            continue
        old, new = key_field.decode(before), values[name]
        if new is None or not key_field.is_same(old, _coerced(key_field, new)):
            raise KeyMutationError(
                f"{key_field.label} is part of the record key and changed from {describe(old)} "
                f"to {describe(new)}; save(migrate_key=True) moves the record to the new key"
            )


def _coerced(key_field: Any, value: Any) -> Any:
    try:
        return key_field.coerce(value)
    except ValueError:
        return value


def pre_save(
    instance: Record,
    *,
    update_fields: Sequence[str] | None,
    skip_auto_now: bool,
    ignore_errors: bool,
) -> bool:
    """Validate, and let fields format their values; the stock part of `Model.pre_save`."""
    options = instance._meta
    names = options.by_name if update_fields is None else update_fields
    valid = (
        (update_fields is not None or _has_stock(instance, "is_valid"))
        and coerce_and_check(instance, names, null_check=True) is None
    ) or overridden.is_valid(instance, update_fields)
    if not valid:
        error = refusal(instance, names, "nothing was saved")
        if ignore_errors:
            logger.error("%s", error)
            return False
        raise error
    values = vars(instance)
    for target in options.formatting_fields:
        name = target.name
        if name not in names:
            continue
        if name not in values and name in instance._stored and not target.formats_untouched:
            continue
        if name not in values and name in values.get("_references", ()):
            continue
        if name not in values and name in instance._deferred:
            continue
        value = getattr(instance, name)
        formatted = target.format_value_pre_save(value, skip_auto_now=skip_auto_now)
        if formatted is not value and type(instance)._has_own_setattr:
            setattr(instance, name, formatted)
            formatted = getattr(instance, name)
        elif formatted is not value:
            values[name] = formatted
        if formatted is None and not target.null and target.problem(formatted) is None:
            raise ModelException(f"{target.label}: invalid value None: it cannot be null")
    return True
