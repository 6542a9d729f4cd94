"""One package, whatever it is imported as.

With the root of the repository on `sys.path` there is `src.popoto` beside `popoto`. Loaded twice,
everything would be there twice: an exception that one raises would pass by the `except` of the
other. So another name is one more name for the same modules.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType

__all__ = ["be_one"]

_NAME = "popoto"


class _SameModule(Loader):
    """Gives a module of the package one more name."""

    def __init__(self, own: str) -> None:
        self.own = own

    def exec_module(self, module: ModuleType) -> None:
        # What stands here when this ends is what is imported.
        sys.modules[module.__name__] = importlib.import_module(self.own)


class _OtherName(MetaPathFinder):
    """Finds the modules of the package below another name of it."""

    def __init__(self, name: str) -> None:
        self.prefix = f"{name}."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self.prefix):
            return None
        own = f"{_NAME}.{fullname.removeprefix(self.prefix)}"
        return ModuleSpec(fullname, _SameModule(own)) if find_spec(own) else None


def be_one(name: str, file: str) -> None:
    """Let the package in this file, which is being imported by this name, be `popoto`."""
    if name == _NAME:
        return
    if find_spec(_NAME) is None:
        _load(file)
    sys.modules[name] = importlib.import_module(_NAME)
    sys.meta_path.insert(0, _OtherName(name))


def _load(file: str) -> None:
    """Import the package from a file, where it is not on `sys.path` by its own name."""
    specification = spec_from_file_location(_NAME, file)
    if specification is None or specification.loader is None:
        raise ImportError(f"{_NAME} cannot be imported from {file!r}", name=_NAME)
    package = sys.modules[_NAME] = module_from_spec(specification)
    try:
        specification.loader.exec_module(package)
    except BaseException:
        del sys.modules[_NAME]
        raise
