# What popoto uses of msgpack, which ships no types. Pyright and mypy read this instead.
from collections.abc import Callable, Iterator
from typing import Literal, Self

from .exceptions import ExtraData as ExtraData
from .exceptions import FormatError as FormatError
from .exceptions import OutOfData as OutOfData
from .exceptions import StackError as StackError
from .exceptions import UnpackException as UnpackException
from .exceptions import UnpackValueError as UnpackValueError

version: tuple[int, int, int]

class ExtType:
    code: int
    data: bytes
    def __new__(cls, code: int, data: bytes) -> Self: ...

class Packer:
    def __init__(
        self,
        *,
        default: Callable[[object], object] | None = None,
        use_single_float: bool = False,
        autoreset: bool = True,
        use_bin_type: bool = True,
        strict_types: bool = False,
        datetime: bool = False,
        unicode_errors: str | None = None,
        buf_size: int = ...,
    ) -> None: ...
    def pack(self, obj: object) -> bytes: ...
    def pack_array_header(self, size: int) -> bytes: ...
    def pack_map_header(self, size: int) -> bytes: ...
    def bytes(self) -> bytes: ...
    def reset(self) -> None: ...

class Unpacker(Iterator[object]):
    def __init__(
        self,
        file_like: object = None,
        *,
        read_size: int = 0,
        use_list: bool = True,
        raw: bool = False,
        timestamp: Literal[0, 1, 2, 3] = 0,
        strict_map_key: bool = True,
        object_hook: Callable[[dict[object, object]], object] | None = None,
        object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
        list_hook: Callable[[list[object]], object] | None = None,
        unicode_errors: str | None = None,
        max_buffer_size: int = ...,
        ext_hook: Callable[[int, bytes], object] = ...,
        max_str_len: int = -1,
        max_bin_len: int = -1,
        max_array_len: int = -1,
        max_map_len: int = -1,
        max_ext_len: int = -1,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> object: ...
    def feed(self, next_bytes: bytes | bytearray | memoryview) -> None: ...
    def read_bytes(self, nbytes: int) -> bytes: ...
    def read_array_header(self) -> int: ...
    def read_map_header(self) -> int: ...
    def skip(self) -> None: ...
    def tell(self) -> int: ...
    def unpack(self) -> object: ...

def packb(
    o: object,
    *,
    default: Callable[[object], object] | None = None,
    use_single_float: bool = False,
    use_bin_type: bool = True,
    strict_types: bool = False,
    datetime: bool = False,
    unicode_errors: str | None = None,
) -> bytes: ...
def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    use_list: bool = True,
    raw: bool = False,
    timestamp: Literal[0, 1, 2, 3] = 0,
    strict_map_key: bool = True,
    object_hook: Callable[[dict[object, object]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
    list_hook: Callable[[list[object]], object] | None = None,
    unicode_errors: str | None = None,
    max_buffer_size: int = ...,
    ext_hook: Callable[[int, bytes], object] = ...,
    max_str_len: int = -1,
    max_bin_len: int = -1,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
) -> object: ...
