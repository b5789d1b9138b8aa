"""Strict YAML: duplicate keys refused, and a sentence for every value that does not fit."""

import reprlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wdbench.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, where PyYAML would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
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


def read(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises UserError naming file, line and what is wrong."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the folder that has it, or name it with --config-file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); valid: a text file in YAML") from None
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    # a tag that does not fit its value (!!bool x) raises whatever its constructor stumbles over
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}:{where} is not valid YAML: {what}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys to values, not {type(content).__name__}")
    return content


def validate(model: type[Model], content: dict[str, Any], path: str | Path, prefix: str = "") -> Model:
    """`content` as `model`. Raises UserError with the first misfit: file, field, value, what would be valid."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(_sentence(error, path, prefix)) from None


def shown(value: object) -> str:
    """A value as it may stand in a sentence: at most 60 characters, in time that does not grow with it."""
    try:
        # aliases let a short file stand for a value of any size, which repr would write out
        text = _SHORT.repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60

# pydantic's kinds of error -> what would be valid; {..} are its own numbers
_VALID = {
    "literal_error": "valid: {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be of the form {pattern}",
    "too_short": "must have at least {min_length} entry",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "path_type": "must be text that names a file or a folder",
    "recursion_loop": "must not hold itself",
}


def _field(error: ErrorDetails, prefix: str) -> str:
    """The keys that lead to a value; what pydantic adds for the branches of a union or a wrapped value is left out."""
    parts = (str(part) for part in error["loc"])
    kept = (part for part in parts if not part.startswith(("function-", "constrained-", "literal[", "dict[")) and part != "[key]")
    return ".".join([prefix, *(part if part.isprintable() and 0 < len(part) <= 60 else shown(part) for part in kept)]).strip(".")


def _sentence(error: ValidationError, path: str | Path, prefix: str) -> str:
    errors = error.errors(include_url=False)
    field, first = _field(errors[0], prefix), errors[0]
    # the branches of a union fail one by one, at one place
    here = [e for e in errors if _field(e, prefix) == field]
    others = len({_field(e, prefix) for e in errors} - {field})
    value, kind, more = first["input"], first["type"], f" (and {others} more)" if others else ""
    if kind == "extra_forbidden":
        return f"{path}: unknown key {field!r}{more}; the keys there are listed in the comments of config.yaml"
    if kind == "missing":
        return f"{path}: {field}: missing{more}"
    if isinstance(value, str) and kind.startswith(("float", "int")) and (_is_number(value) or len(here) == 1):
        hint = "write a number"
        if _is_number(value):
            hint = f"write {float(value)!r}" if "e" not in repr(float(value)) else f"write {_yaml_float(float(value))}"
        return f"{path}: {field}: {shown(value)} is text, not a number; {hint} (YAML 1.1 needs a dot in 1.0e-4){more}"
    place = f"{path}: {field}: " if field else f"{path}: "
    return f"{place}value {shown(value)}: {' or '.join(dict.fromkeys(map(_valid, here)))}{more}"


def _valid(error: ErrorDetails) -> str:
    if error["type"] in _VALID:
        return _VALID[error["type"]].format(**error.get("ctx", {}))
    return " ".join(error["msg"].removeprefix("Value error, ").replace("Input should be", "must be").split())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _yaml_float(value: float) -> str:
    mantissa, exponent = repr(value).split("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"
