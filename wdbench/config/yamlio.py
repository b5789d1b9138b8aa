"""Strict YAML: duplicate keys refused, and a sentence for every value that does not fit."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from wdbench.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where PyYAML would keep the last one silently."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
            except TypeError:
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark) from None
            if twice:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read(path: str | Path) -> dict:
    """The mapping in a YAML file. Raises UserError naming file, line and what is wrong."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the folder that has it, or name it with --config-file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{path}:{where} is not valid YAML: {what}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys to values, not {type(content).__name__}")
    return content


def validate(model: type[Model], content: dict, path: str | Path, prefix: str = "") -> Model:
    """`content` as `model`. Raises UserError with the first misfit: file, field, value, what would be valid."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(error, path, prefix)) from None


def _sentence(error: ValidationError, path, prefix: str) -> str:
    first = error.errors()[0]
    field = ".".join([prefix, *(str(part) for part in first["loc"] if not str(part).startswith("function-"))]).strip(".")
    value, kind = first["input"], first["type"]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if kind == "extra_forbidden":
        return f"{path}: unknown key {field!r}{more}; the keys there are listed in the comments of config.yaml"
    if kind == "missing":
        return f"{path}: {field}: missing{more}"
    if isinstance(value, str) and kind.startswith(("float", "int")):
        hint = ""
        try:
            hint = f"; write {float(value)!r}" if "e" not in repr(float(value)) else f"; write {_yaml_float(float(value))}"
        except ValueError:
            hint = "; write a number"
        return f"{path}: {field}: {value!r} is text, not a number{hint} (YAML 1.1 needs a dot in 1.0e-4){more}"
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return f"{path}: {field}: value {shown}: {first['msg'].removeprefix('Value error, ')}{more}"


def _yaml_float(value: float) -> str:
    mantissa, exponent = repr(value).split("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"
