"""`Meta`: options that there are not are told or refused; those of Django mean the same here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import popoto
from popoto import IntField, KeyField, Model, ModelException, StringField
from popoto.exceptions import UniquenessError, UnknownNameError
from popoto.models.base import TypedModel
from popoto.models.record.meta import META_OPTIONS
from tests.driver import Api


class Base(Model):
    name = KeyField()
    size = IntField(default=0)
    kind = StringField()

    class Meta:
        abstract = True


def box(base: Any = Base, **options: Any) -> Any:
    body = {"__module__": __name__, "Meta": type("Meta", (), options)}
    return type(base)("Box", (base,), body)


@pytest.fixture
def strict_process() -> Iterator[None]:
    popoto.configure(strict=True)
    yield
    popoto.configure(strict=False)


# Options that there are not --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("tttl", "ttl"),
        ("orderby", "order_by"),
        ("indices", "indexes"),
        ("abstrct", "abstract"),
        ("index_together", "indexes"),
        ("key_prefix", "name"),
        ("db_table", "name"),
        ("constraints", "unique_together"),
    ],
)
def test_an_unknown_option_is_told_with_the_closest_one(wrong: str, right: str) -> None:
    with pytest.warns(UserWarning, match=rf"Box\.Meta\.{wrong}.*did you mean '{right}'"):
        box(**{wrong: 60})


def test_an_option_like_none_of_ours_is_told_with_all_of_them() -> None:
    with pytest.warns(UserWarning, match="verbose_name.*options are abstract, history"):
        box(verbose_name="Box")


def test_the_warning_points_at_the_class() -> None:
    def defined() -> Any:
        class Tuppence(Base):
            class Meta:
                tttl = 60

        return Tuppence

    with pytest.warns(UserWarning, match="tttl") as seen:
        assert defined()._meta.ttl is None
    (warning,) = seen
    first = defined.__code__.co_firstlineno
    assert (warning.filename, warning.lineno) == (__file__, first + 1)


def test_where_it_is_strict_it_is_refused(strict_process: None) -> None:
    with pytest.raises(UnknownNameError, match="tttl"):
        box(tttl=60)
    with pytest.warns(UserWarning, match="tttl"):
        box(tttl=60, strict=False)


def test_a_strict_model_refuses_it_and_so_do_those_derived_from_it() -> None:
    for base, options in ((Base, {"strict": True}), (box(strict=True), {}), (TypedModel, {})):
        with pytest.raises(UnknownNameError, match="tttl") as caught:
            box(base, tttl=60, **options)
        assert isinstance(caught.value, ModelException)


@pytest.mark.parametrize("strict", ["yes", 1, 0])
def test_strict_is_true_or_false(strict: object) -> None:
    with pytest.raises(ModelException, match="strict"):
        box(strict=strict)


def test_a_private_attribute_of_meta_is_nobodys_option(recwarn: pytest.WarningsRecorder) -> None:
    box(_note="for us")
    assert not recwarn.list


def test_all_options_are_known(recwarn: pytest.WarningsRecorder) -> None:
    box(**dict.fromkeys(META_OPTIONS - {"self_repair", "ttl_policy", "ordering"}))
    assert not recwarn.list


@pytest.mark.parametrize("name", ["meta", "META"])
def test_a_meta_of_another_spelling_is_refused(name: str) -> None:
    with pytest.raises(ModelException, match="named Meta"):
        type(Model)("Box", (Model,), {name: type(name, (), {"ttl": 60})})


def test_a_field_or_method_may_be_named_meta(recwarn: pytest.WarningsRecorder) -> None:
    for meta in (StringField(), property(lambda self: self.pk), lambda self: self.pk):
        type(Model)("Box", (Model,), {"meta": meta})
    assert not recwarn.list


def test_meta_is_a_class() -> None:
    with pytest.raises(ModelException, match="must be a class"):
        type(Model)("Box", (Model,), {"Meta": {"ttl": 60}})


# Those of Django ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordering", "order_by", "names"),
    [
        (["-size"], "-size", "cab"),
        (("size",), "size", "bac"),
        ("size", "size", "bac"),
        (["kind", "-size"], ("kind", "-size"), "cba"),
        ([], None, "abc"),
        (None, None, "abc"),
    ],
)
def test_ordering_is_the_order_of_results(
    ordering: Any, order_by: Any, names: str, api: Api
) -> None:
    model = box(ordering=ordering)
    for name, size, kind in (("a", 2, "y"), ("b", 1, "x"), ("c", 3, "x")):
        api(model.create, name=name, size=size, kind=kind)
    assert model._meta.order_by == order_by
    assert [each.name for each in api(model.query.filter().all)] == list(names)


@pytest.mark.parametrize("ordering", [["missing"], ["?"], [3], {"size"}, 3])
def test_an_ordering_that_cannot_be_is_refused(ordering: Any) -> None:
    with pytest.raises(ModelException, match="order"):
        box(ordering=ordering)


def test_ordering_and_order_by_replace_each_other_in_derived_models() -> None:
    assert box(box(order_by="size"), ordering=["-kind"])._meta.order_by == "-kind"
    assert box(box(ordering=["size", "kind"]), order_by="kind")._meta.order_by == "kind"
    assert box(box(ordering=["size", "kind"]))._meta.order_by == ("size", "kind")
    with pytest.raises(ModelException, match="order_by and ordering"):
        box(ordering=["size"], order_by="size")


@pytest.mark.parametrize(
    "together", [("size", "kind"), ["size", "kind"], (("size", "kind"),), [["size", "kind"]]]
)
def test_unique_together_is_a_unique_index(together: Any, api: Api) -> None:
    model = box(unique_together=together)
    assert model._meta.unique_together == [("size", "kind")]
    assert model._meta.indexes == ((("size", "kind"), True),)
    api(model.create, name="a", size=1, kind="x")
    api(model.create, name="b", size=1, kind="y")
    api(model.create, name="c", size=1, kind=None)
    api(model.create, name="d", size=1, kind=None)
    with pytest.raises(UniquenessError):
        api(model.create, name="e", size=1, kind="x")


def test_several_groups_and_indexes_go_together() -> None:
    model = box(
        unique_together=[("name", "size"), ("size", "kind")], indexes=((("size", "kind"), True),)
    )
    assert model._meta.indexes == ((("size", "kind"), True), (("name", "size"), True))
    assert box(model)._meta.indexes == model._meta.indexes


@pytest.mark.parametrize("together", [("size", "missing"), "size", (("size", 3),), ((),), 3])
def test_a_unique_together_that_cannot_be_is_refused(together: Any) -> None:
    with pytest.raises(ModelException, match="unique_together"):
        box(unique_together=together)
