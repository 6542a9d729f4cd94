"""Files of installed packages, believed by their hash alone and found without running any code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["PinnedFile"]


@dataclass(frozen=True)
class PinnedFile:
    """One file whose content is known beforehand.

    `packages` are the distributions that bring it, in the order in which they are asked.
    """

    name: str
    sha256: str
    packages: tuple[str, ...]
    extra: str

    def read(self, folder: str | Path | None = None) -> bytes:
        """The content, of the file in `folder` or else in one of the packages.

        No code of a package runs: where its files are is told by what its installation has noted.
        Raises ImportError where the file is missing, and RuntimeError unless it is the one meant.
        """
        paths = self._installed() if folder is None else iter([Path(folder) / self.name])
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            wanted = f"in {folder}" if folder else f"in the package {' or '.join(self.packages)}"
            raise ImportError(
                f"{self.name} was not found {wanted}: pip install 'popoto[{self.extra}]'"
            )
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise RuntimeError(
                f"{path} is not the file that popoto knows, and was not loaded: its SHA-256 is "
                f"{found}, where {self.sha256} belongs. The package is another version, or "
                f"damaged: pip install --force-reinstall 'popoto[{self.extra}]'"
            )
        return content

    def _installed(self) -> Iterator[Path]:
        for package in self.packages:
            try:
                files = metadata.distribution(package).files
            except metadata.PackageNotFoundError:
                continue
            for file in files or ():
                if file.name == self.name:
                    yield Path(str(file.locate()))
