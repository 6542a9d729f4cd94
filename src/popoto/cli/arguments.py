"""Arguments that several commands share, and the models that they name."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from popoto import redis_db
from popoto.cli.exits import UsageProblem
from popoto.models.base import Model, ModelBase

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
    AnyModel: TypeAlias = type[Model]
else:
    Commands = AnyModel = Any


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
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def use_server(url: str | None) -> None:
    """Use the server of `--url`, if one is given. Raises ConfigurationError for a bad URL."""
    if url is not None:
        redis_db.set_REDIS_DB_settings(url=url)


class Parser(argparse.ArgumentParser):
    """Tells what is wrong with arguments, but not what may be a connection URL."""

    def error(self, message: str) -> NoReturn:
        """End the process with code 2."""
        super().error(_URL.sub("***", message))


#: From the word that looks like a URL on: a password may hold spaces.
_URL = re.compile(r"\S*(?:://|:.*@).*", re.DOTALL)


def no_url(text: str, what: str) -> str:
    """The text, unless it is a connection URL, which no message may tell. Raises UsageProblem."""
    if _URL.search(text):
        raise UsageProblem(f"{what} is expected, and not a connection URL, which goes to --url")
    return text


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
    here = str(Path.cwd())
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
