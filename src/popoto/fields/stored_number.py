"""`F`: the number that a field holds on the server, and what is added to it there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NoReturn, SupportsIndex, TypeAlias

from popoto.fields.describing import describe
from popoto.fields.type_variables import FitsAnyAnnotation

__all__ = ["F"]

Amount: TypeAlias = float | Decimal | SupportsIndex


class F(FitsAnyAnnotation):  # type: ignore[misc]  # Any, on purpose
    """The number that a field holds when the write arrives: ``F("stock") - 1``.

    Takes the field's name, or the field (``F(Product.stock)``). A number can be added to it and
    taken from it, exactly; the sum is given to `update()`, or to the field of a stored record
    before `save()`, and stays there until that has been carried out.
    """

    def __init__(self, field: Any) -> None:
        name: object = field if isinstance(field, str) else getattr(field, "name", None)
        if not isinstance(name, str) or not name:
            raise TypeError(
                f"F() takes a field or its name, as in F('stock') - 1, got {describe(field)}"
            )
        #: the field's name
        self.name = name
        #: what is added, one by one
        self.amounts: tuple[Any, ...] = ()

    def _with(self, amount: Any) -> F:
        if isinstance(amount, F):
            self._refuse(amount)
        more = F(self.name)
        more.amounts = (*self.amounts, amount)
        return more

    def __add__(self, amount: Amount) -> F:
        return self._with(amount)

    def __radd__(self, amount: Amount) -> F:
        return self._with(amount)

    def __sub__(self, amount: Amount) -> F:
        if isinstance(amount, F):
            self._refuse(amount)
        taken: Any = amount
        if not hasattr(taken, "__neg__"):
            raise TypeError(f"{self!r}: what is taken away is a number, got {describe(taken)}")
        # Of a Decimal not by -amount, which rounds to the precision of the caller's context.
        return self._with(taken.copy_negate() if isinstance(taken, Decimal) else -taken)

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self!r}: a number is added to a stored one or taken from it, and nothing else is "
            "worked out on the server. Read the record, and write what comes of it by "
            "save(expected=[…])"
        )

    # What Django's F has beyond that.
    __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = __rmod__ = _refuse
    __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse

    def __repr__(self) -> str:
        return f"F({self.name!r})" + "".join(f" + {amount}" for amount in self.amounts).replace(
            "+ -", "- "
        )
