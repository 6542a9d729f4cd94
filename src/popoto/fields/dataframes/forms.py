"""Types and texts of stored DataFrames, by the names that pandas gives them."""

from __future__ import annotations

import re

TAG = "__dataframe__"
EXACT = "exact"

#: Little-endian numpy types by the name of the dtype.
NUMBERS: dict[str, str] = {
    "bool": "|b1",
    **{f"int{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"uint{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"float{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"complex{8 * size}": f"<c{size}" for size in (8, 16)},
}
#: The nullable types of pandas, by the name of the dtype.
NULLABLE: dict[str, str] = {
    "boolean": "|b1",
    **{f"Int{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UInt{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"Float{8 * size}": f"<f{size}" for size in (4, 8)},
}
MOMENT = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)\]")
ZONE_NAME = re.compile(r"(?!dateutil/)(?=.{1,64}\Z)[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
NOT_A_FRAME = (ValueError, TypeError, KeyError, IndexError, OverflowError, AssertionError)
