"""The version of the installed distribution, written in pyproject.toml alone."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("popoto")
except PackageNotFoundError:
    __version__ = "0.0.0+unknown"
