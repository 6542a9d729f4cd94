"""`PredictionLedgerMixin`: what was predicted of a record, and how wrong that was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from popoto._former_names import formerly
from popoto.engine.run import arun, run
from popoto.fields.constants import Defaults
from popoto.fields.keeping.entries import CompanionEntry, Entry
from popoto.fields.keeping.families import KeyFamily, companion_family
from popoto.fields.keeping.naming import model_name_of
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.mixin_settings import check_kind, check_numbers
from popoto.fields.predictions import ledger, summaries
from popoto.fields.predictions.summaries import GroupBy
from popoto.memory.prediction.formula import prediction_error

__all__ = ["PredictionLedgerMixin"]


class PredictionLedgerMixin:
    """Keeps one prediction for each record, and the errors of those that were resolved.

    List it among the bases of a model. All methods are class methods that take the record, and have
    a native asyncio twin, ``async_…``. Where `pipeline` is taken, it may be a transaction.

    `_pl_partition`                   which set of errors the model's are in
    `_pl_confidence_error_threshold`  a larger error lowers every confidence of the record,
    `_pl_confidence_low_signal`       by this signal
    `_pl_auto_resolve_errors`         the errors that outcomes stand for
    """

    _pl_partition: str = "default"

    @property
    def _pl_confidence_error_threshold(self) -> float:
        return Defaults.PL_CONFIDENCE_ERROR_THRESHOLD

    @property
    def _pl_confidence_low_signal(self) -> float:
        return Defaults.PL_CONFIDENCE_LOW_SIGNAL

    @property
    def _pl_auto_resolve_errors(self) -> Mapping[str, float]:
        return {
            "acted": Defaults.PL_AUTO_RESOLVE_ACTED,
            "used": Defaults.PL_AUTO_RESOLVE_USED,
            "dismissed": Defaults.PL_AUTO_RESOLVE_DISMISSED,
            "contradicted": Defaults.PL_AUTO_RESOLVE_CONTRADICTED,
        }

    @staticmethod
    def compute_prediction_error(predicted: Any, actual: Any) -> float:
        """How wrong a prediction was, from 0 to 1; see `popoto.memory.prediction.formula`.

        Override it for an error of your own.
        """
        return prediction_error(predicted, actual)

    @classmethod
    def _check_model(cls) -> None:
        check_numbers(cls, "_pl_confidence_error_threshold", "_pl_confidence_low_signal")
        check_kind(cls, "_pl_partition", str, "a name")
        check_kind(cls, "_pl_auto_resolve_errors", Mapping, "a dict of outcomes and numbers")

    # Keys -------------------------------------------------------------------------

    @classmethod
    def _meta_key(cls, instance: Any) -> str:
        """The hash with the prediction of a record."""
        return ledger.entry_key(model_name_of(instance), instance.pk)

    @classmethod
    @formerly(model_class="model_or_instance")
    def _error_key(cls, model_or_instance: Any, partition: str = "default") -> str:
        """The sorted set of absolute errors, by record key."""
        model = (
            model_or_instance if isinstance(model_or_instance, type) else type(model_or_instance)
        )
        return ledger.errors_key(model_name_of(model), partition)

    @classmethod
    def _companion_entries(cls, key: str) -> list[Entry]:
        name = model_name_of(cls)
        return [
            CompanionEntry(ledger.entry_key(name, key), key, "$PL:meta"),
            ledger.ErrorEntry.of(name, cls._pl_partition, key),
            ProposalEntry.of(name, key),
        ]

    @classmethod
    def _key_families(cls) -> list[KeyFamily]:
        name = model_name_of(cls)
        return [
            companion_family("predictions", f"$PL:{name}:meta"),
            companion_family("prediction_errors", f"$PL:{name}:errors", "zset"),
            pending_family(name),
        ]

    # Predicting and resolving -------------------------------------------------------

    @classmethod
    def record_prediction(cls, instance: Any, predicted: Any, pipeline: Any = None) -> Any:
        """Note what is predicted of a record, in place of an earlier prediction.

        `predicted` is anything that MessagePack can hold, usually a dict. Returns None, or the
        pipeline. Raises ValueError (None), TypeError (what cannot be stored; a record that is not
        stored). One command.
        """
        return run(ledger.record(instance, predicted, pipeline))

    @classmethod
    async def async_record_prediction(
        cls, instance: Any, predicted: Any, pipeline: Any = None
    ) -> Any:
        """`record_prediction` for asyncio."""
        return await arun(ledger.record(instance, predicted, pipeline))

    @classmethod
    def resolve_prediction(cls, instance: Any, actual: Any, pipeline: Any = None) -> Any:
        """Compare a record's open prediction with what happened; the error, from 0 to 1.

        Returns None where there is no open prediction, or the pipeline. An error above
        `_pl_confidence_error_threshold` is a signal against the record for every
        `ConfidenceField` of it, as far as that lowers the confidence. Raises ValueError (None),
        TypeError (a record that is not stored). Two commands; one more for each time that the
        prediction was changed meanwhile.
        """
        return run(ledger.resolve(instance, actual, pipeline))

    @classmethod
    async def async_resolve_prediction(
        cls, instance: Any, actual: Any, pipeline: Any = None
    ) -> Any:
        """`resolve_prediction` for asyncio."""
        return await arun(ledger.resolve(instance, actual, pipeline))

    @classmethod
    def auto_resolve(cls, instance: Any, outcome: str, pipeline: Any = None) -> Any:
        """Resolve a record's open prediction with the error that an outcome stands for.

        Returns that error, None where there is no open prediction or no stored record, or the
        pipeline. Raises ValueError for an outcome that stands for none. One command.
        """
        return run(ledger.auto_resolve(instance, outcome, pipeline))

    @classmethod
    async def async_auto_resolve(cls, instance: Any, outcome: str, pipeline: Any = None) -> Any:
        """`auto_resolve` for asyncio."""
        return await arun(ledger.auto_resolve(instance, outcome, pipeline))

    # Reading ------------------------------------------------------------------------

    @classmethod
    def get_prediction_data(cls, instance: Any) -> dict[str, Any] | None:
        """The prediction of a record and what became of it, or None. One command."""
        return run(ledger.read(instance))

    @classmethod
    async def async_get_prediction_data(cls, instance: Any) -> dict[str, Any] | None:
        """`get_prediction_data` for asyncio."""
        return await arun(ledger.read(instance))

    @classmethod
    def get_highest_errors(
        cls, model_class: Any, partition: str = "default", limit: int = 10
    ) -> list[tuple[str, float]]:
        """Record keys with their errors, the largest first. One command."""
        return run(summaries.highest_errors(model_class, partition, limit))

    @classmethod
    async def async_get_highest_errors(
        cls, model_class: Any, partition: str = "default", limit: int = 10
    ) -> list[tuple[str, float]]:
        """`get_highest_errors` for asyncio."""
        return await arun(summaries.highest_errors(model_class, partition, limit))

    @classmethod
    def error_summary(
        cls,
        model_class: Any,
        partition: str = "default",
        group_by: GroupBy = None,
        limit: int = 100,
    ) -> dict[Any, dict[str, float | int]]:
        """Statistics of the `limit` largest errors, in groups.

        `group_by`: None (one group, ``__all__``); "hour" (0-23), "weekday" (0-6, Monday is 0)
        or "day" (text) of the moment it was resolved, in the process's time zone; or a
        function of record key and error that gives the label. Values are ``count``, ``mean``,
        ``stddev`` (population), ``p50``, ``p90``, ``p99``, ``max``. Raises ValueError (an unknown
        word), TypeError (no function, a label that cannot be a key). Two commands at most.
        """
        return run(summaries.summary(model_class, partition, group_by, limit))

    @classmethod
    async def async_error_summary(
        cls,
        model_class: Any,
        partition: str = "default",
        group_by: GroupBy = None,
        limit: int = 100,
    ) -> dict[Any, dict[str, float | int]]:
        """`error_summary` for asyncio."""
        return await arun(summaries.summary(model_class, partition, group_by, limit))
