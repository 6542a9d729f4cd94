"""Arguments that several commands share, and the models that they name."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from popoto import redis_db
from popoto.cli.exits import USAGE, UsageProblem
from popoto.cli.output import complain
from popoto.models.base import Model, ModelBase

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
    AnyModel: TypeAlias = type[Model]
else:
    Commands = AnyModel = Any


#: More records than this are handled at once by nobody, and some numbers the server does not take.
_GREATEST = 2**31 - 1
_COLON = re.compile("://|:")
_SPACES = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u3000"


def add_models(parser: argparse.ArgumentParser) -> None:
    """An argument that names a model, or all models of a module."""
    parser.add_argument(
        "models",
        metavar="module[:Model]",
        help="a model, or all models of a module; found as Python does, from this directory",
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """The option that names the server."""
    parser.add_argument("--url", help="the server, in the forms of REDIS_URL")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """The option for scheduled jobs."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="say nothing unless something is wrong"
    )


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """The option that bounds memory and the length of a step."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=1000,
        metavar="N",
        help="records handled at once (1000)",
    )


def positive(text: str) -> int:
    """A number of 1 or more."""
    number = int(text)
    if not 1 <= number <= _GREATEST:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_GREATEST:,}, not {number}")
    return number


def use_server(url: str | None) -> None:
    """Use the server of `--url`, if one is given. Raises ConfigurationError for a bad URL."""
    if url is not None:
        redis_db.set_REDIS_DB_settings(url=url)


class _Once(argparse.Action):
    """Keeps the value of an option. A second one is refused: the first would be forgotten."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        given: set[str] = vars(namespace).setdefault("_given", set())
        if option_string is not None and self.dest in given:
            raise argparse.ArgumentError(self, "it is given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Tells in one line what is wrong with arguments, but not what may be a connection URL."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("action", None, _Once)

    def error(self, message: str) -> NoReturn:
        """End the process with code 2."""
        start = _start_of_url(message)
        told = message if start is None else f"{message[:start]}***"
        complain(f"{self.prog}: error: {told} ({self.prog} --help tells more)")
        self.exit(USAGE)


def _start_of_url(text: str) -> int | None:
    """Where a word begins that looks like a URL; all behind it may be of its password."""
    last = text.rfind("@")
    for found in _COLON.finditer(text):
        if found.end() - found.start() == len("://") or found.start() < last:
            return max(text.rfind(each, 0, found.start()) for each in _SPACES) + 1
    return None


def no_url(text: str, what: str) -> str:
    """The text, unless it is a connection URL, which no message may tell. Raises UsageProblem."""
    if _start_of_url(text) is not None:
        raise UsageProblem(f"{what} is expected, and not a connection URL, which goes to --url")
    return text


def path_of(text: str, what: str) -> Path:
    """A path that the file system can be asked for. Raises UsageProblem."""
    if not no_url(text, what) or "\0" in text or not _can_be_told(text):
        raise UsageProblem(f"{what} is expected, and not {text!r}")
    return Path(text)


def _can_be_told(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def find_models(text: str) -> list[AnyModel]:
    """The model that `module:Model` names, or the models of a module, in order of definition.

    Abstract ones are left out, and popoto's own unless they are named. Raises UsageProblem.
    """
    no_url(text, "a model, as module:Model,")
    module_name, _, class_name = text.partition(":")
    module = load_module(module_name)
    if class_name:
        return [_named(module, class_name)]
    found = models_in(module)
    if not found:
        raise UsageProblem(f"there is no model in the module {module_name!r}")
    return found


def load_module(name: str) -> ModuleType:
    """Import a module as `python -m` does: also from the current directory."""
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageProblem("the current directory does not exist any more") from error
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageProblem(f"the module {name!r} cannot be imported: {error}") from error
        raise UsageProblem(
            f"there is no module {name!r} in {here} or on the Python path; models are named "
            "module:Model, such as shop.models:Restaurant"
        ) from error
    except Exception as error:
        raise UsageProblem(
            f"the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def models_in(module: ModuleType) -> list[AnyModel]:
    """The models that a module defines or imports, each model name once."""
    found: dict[str, AnyModel] = {}
    for value in vars(module).values():
        if not is_model(value) or value._meta.abstract or value.__module__.startswith("popoto."):
            continue
        found.setdefault(value._meta.model_name, value)
    return list(found.values())


def is_model(value: Any) -> bool:
    """Whether something is a model with fields."""
    return isinstance(value, ModelBase) and hasattr(value, "_meta")


def _named(module: ModuleType, class_name: str) -> AnyModel:
    value: Any = module
    for part in class_name.split("."):
        value = getattr(value, part, None)
    if not is_model(value):
        known = ", ".join(model.__name__ for model in models_in(module)) or "none"
        raise UsageProblem(
            f"{module.__name__} has no model {class_name!r}; its models are: {known}"
        )
    if value._meta.abstract:
        raise UsageProblem(f"{module.__name__}:{class_name} is abstract and has no records")
    model: AnyModel = value
    return model
