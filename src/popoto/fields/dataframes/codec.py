"""The codec of DataFrames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from popoto.fields.dataframes.decoding import Decoder
from popoto.fields.dataframes.encoding import Encoder


def require_pandas() -> ModuleType:
    """The pandas module. Raises ImportError that says how to install it."""
    try:
        import pandas  # optional
    except ImportError as error:
        raise ImportError(
            "DataFrameField needs pandas, which is not installed: pip install 'popoto[dataframe]'"
        ) from error
    return pandas


def frame_codec() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """The encoder and the decoder of frames. Raises ImportError without pandas.

    Encoding and decoding grow with the cells: some 0.2 us for a number, 1 us for an object.
    """
    pandas = require_pandas()
    import numpy  # optional: pandas brings it

    return Encoder(pandas, numpy).encode, Decoder(pandas, numpy).decode
