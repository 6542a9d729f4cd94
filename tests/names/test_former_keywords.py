"""Keywords by the names that popoto 1.6 has for them mean what ours mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from popoto import (
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    CyclicDecayField,
    KeyField,
    Model,
    PredictionLedgerMixin,
    RecallProposal,
    StringField,
)
from popoto.utils.list_search import missing_elements
from popoto.utils.multithreading import run_all_multithreaded
from popoto.utils.sigfigs import round_sig_figs


class Note(PredictionLedgerMixin, Model):
    name = KeyField()
    text = StringField(default="")
    model_class = StringField(default="a")
    sure = ConfidenceField()
    comes = CyclicDecayField()
    beside = CoOccurrenceField()
    words = BM25Field(source="text")
    apart = BM25Field(source="text", partition_by="model_class")


#: Functions, the former keywords, and ours; further arguments by their one name.
CALLS: list[tuple[Callable[..., Any], dict[str, str], dict[str, Any]]] = [
    (
        ConfidenceField.update_confidence,
        {"model_instance": "instance"},
        {"field_name": "sure", "signal": 0.5},
    ),
    (ConfidenceField.get_confidence, {"model_instance": "instance"}, {"field_name": "sure"}),
    (ConfidenceField.get_confidence_data, {"model_instance": "instance"}, {"field_name": "sure"}),
    (Note.sure.get_data_hash_key, {"model_instance": "instance"}, {"field_name": "sure"}),
    (Note.sure.get_old_data_hash_key, {"model_instance": "instance"}, {"field_name": "sure"}),
    (Note.comes.get_cycles_hash_key, {"model_instance": "instance"}, {"field_name": "comes"}),
    (Note.comes.get_pressure_hash_key, {"model_instance": "instance"}, {"field_name": "comes"}),
    (Note.beside.get_edge_key, {"model_class": "model_class_or_instance"}, {"pk": "x"}),
    (RecallProposal._pending_key, {"model_class": "model_class_or_instance"}, {}),
    (Note._error_key, {"model_class": "model_or_instance"}, {}),
    (BM25Field.search, {"model_class": "model"}, {"field_name": "words", "query_text": "red"}),
    (BM25Field.get_idf, {"model_class": "model"}, {"field_name": "words", "tokens": ["red"]}),
    (
        BM25Field.filter_selective_tokens,
        {"model_class": "model"},
        {"field_name": "words", "tokens": ["red"]},
    ),
    (BM25Field.recompute_stats, {"model_class": "model"}, {"field_name": "words"}),
]


@pytest.mark.parametrize(
    ("call", "names", "others"), CALLS, ids=[each[0].__name__ for each in CALLS]
)
def test_a_former_keyword_is_the_one_of_today(
    call: Callable[..., Any], names: dict[str, str], others: dict[str, Any]
) -> None:
    note = Note.create(name="a", text="a red car")
    ((former, name),) = names.items()
    given = Note if former == "model_class" else note
    assert (
        call(**{former: given}, **others)
        == call(**{name: given}, **others)
        == call(given, **others)
    )
    assert former not in inspect.signature(call).parameters
    if name != "model":  # There it would be a partition of that name.
        with pytest.raises(TypeError):
            call(**{name: given, former: given}, **others)


def test_a_partition_may_have_the_former_name_of_a_keyword() -> None:
    Note.create(name="a", text="a red car")
    Note.create(name="b", text="a red bus", model_class="b")
    assert [key for key, _ in BM25Field.search(Note, "apart", "red", model_class="b")] == ["Note:b"]


def test_tools() -> None:
    assert round_sig_figs(value=1234.5678, sig_figs=3) == 1230.0
    assert missing_elements(L=[1, 3]) == missing_elements(sorted_ints=[1, 3]) == [2]
    assert run_all_multithreaded(function_def=str, list_of_params=[1, 2]) == ["1", "2"]
