"""Files of vectors that somebody has planted: read as numbers, or left out with a word."""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.memory.vectors.arrays import FORMS, packed, unpacked
from popoto.memory.vectors.files import VectorDirectory, vector_name
from tests.hostile.inputs import any_texts


@contextmanager
def directory() -> Iterator[VectorDirectory]:
    with tempfile.TemporaryDirectory() as path:
        yield VectorDirectory(path)


def planted(header: str | bytes, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with this header, whatever that says."""
    told = header.encode("latin1", "replace") if isinstance(header, str) else header
    size = struct.pack("<H" if version == (1, 0) else "<I", len(told) % 65536)
    return b"\x93NUMPY" + bytes(version) + size + told + data


def whole(vector: object, **options: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(vector), **options)  # type: ignore[arg-type]
    return file.getvalue()


_kinds = st.sampled_from(
    [
        "'<f4'",
        "'<f8'",
        "'>f2'",
        "'|O'",
        "'<U4'",
        "'<i8'",
        "'|V8'",
        "'f'",
        "[('a', '<f4')]",
        "1",
        "''",
    ]
)
_shapes = st.sampled_from(
    ["(2,)", "()", "(2, 1)", "(-1,)", "(True,)", "(10**9,)", "2", "(2.0,)", "(1<<62,)"]
)
_pieces = st.sampled_from(
    [
        *"{}()[]'\",:-+~*\\\n\t #\0",
        "'descr': ",
        "'fortran_order': ",
        "'shape': ",
        "False",
        "1L",
        "not ",
    ]
)
headers = st.one_of(
    st.builds("{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n".format, _kinds, _shapes),
    st.builds(lambda piece, count: piece * count, _pieces, st.integers(0, 3_000)),
    st.lists(_pieces | _kinds | _shapes, max_size=12).map("".join),
    st.binary(max_size=40),
)
files = st.one_of(
    st.binary(max_size=60),
    st.builds(
        planted,
        headers,
        st.binary(max_size=24),
        st.sampled_from([(1, 0), (2, 0), (3, 0), (0, 0)]),
    ),
    st.builds(
        lambda found, at, byte: found[:at] + bytes([byte]) + found[at + 1 :],
        st.just(whole([1.0, 2.0])),
        st.integers(0, 130),
        st.integers(0, 255),
    ),
)


@given(files)
def test_a_file_is_a_vector_of_finite_numbers_or_an_error(data: bytes) -> None:
    with directory() as found:
        Path(found.path, "x.npy").write_bytes(data)
        try:
            vector = found.load("x.npy")
        except ValueError:
            return
        assert vector.dtype == np.float32
        assert vector.ndim == 1
        assert np.isfinite(vector).all()


@pytest.mark.parametrize(
    "character", ["-", "(", "[", "{", "not ", "~", "'a'", "[1,", "{1:", "1+", "\\\n"]
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_no_header_is_too_deep_or_too_long(character: str, version: tuple[int, int]) -> None:
    with directory() as found:
        for count in (50, 1_000, 9_000, 60_000):
            Path(found.path, "x.npy").write_bytes(planted(character * count, b"", version))
            with pytest.raises(ValueError, match="header"):
                found.load("x.npy")


@given(st.dictionaries(st.text(max_size=3) | st.just(vector_name("Note:1")), any_texts | st.none()))
def test_an_index_names_records_only_by_the_names_of_their_files(
    entries: dict[str, object],
) -> None:
    """Whatever it says: no file becomes the vector of another record."""
    with directory() as found:
        Path(found.path, "_index.json").write_text(json.dumps(entries), encoding="utf-8")
        for name, key in found.keys_of([*entries, vector_name("Note:2")]).items():
            assert name in (vector_name(key), key.encode().hex() + ".npy")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "\ufeff{}", "\0", "[]", "1e999", ""]
)
def test_an_index_that_is_none_counts_as_empty(text: str) -> None:
    with directory() as found:
        Path(found.path, "_index.json").write_text(text, encoding="utf-8")
        assert found.read_index() == {}


@pytest.mark.parametrize("name", ["_index.json", vector_name("Note:1")])
@pytest.mark.parametrize("kind", ["pipe", "link", "endless link", "directory", "huge"])
def test_what_is_no_file_of_ours_is_not_read(name: str, kind: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(whole([1.0]) if name.endswith(".npy") else b'{"a": "b"}')
    with directory() as found:
        path = Path(found.path, name)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "huge":
            with path.open("wb") as file:
                file.write(planted("{'descr': '<f4', 'fortran_order': False, 'shape': (1<<34,)}\n"))
                file.truncate(1 << 36)
        else:
            path.symlink_to(outside if kind == "link" else "/dev/zero")
        assert found.read_index() == {}
        assert found.dimensions_of("Note:1") is None
        assert found.keys_of([vector_name("Note:1")]) == {}


@given(st.sampled_from(sorted(FORMS)), st.binary(max_size=40), st.integers(0, 10))
def test_stored_bytes_are_a_vector_of_finite_numbers_or_an_error(
    form: str, data: bytes, dimensions: int
) -> None:
    try:
        vector = unpacked(data, form, dimensions)
    except ValueError:
        return
    assert vector.shape == (dimensions,)
    assert np.isfinite(vector).all()
    packed(vector, form)
