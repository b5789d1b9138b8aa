"""mechanisms.yaml, advice.yaml and controls.yaml as frozen models; a name that does not exist is refused when they are read."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, field_validator

from wdbench.conclusions.outcome import WORDS
from wdbench.config import yamlio
from wdbench.config.study import Frozen
from wdbench.errors import UserError

HERE = Path(__file__).parent
Texts = dict[str, str]
VERDICTS = ("supported", "equivalent", "refuted", "conditional", "inconclusive", "holds", "fails")


class Source(Frozen):
    """A claim, or those of its strata whose label has `including` in it, or has not `excluding`."""

    claim: str = Field(min_length=1)
    including: str = ""
    excluding: str = ""

    @property
    def part(self) -> str:
        """Which strata, in words; empty for all."""
        words = (self.including and f"with {self.including}", self.excluding and f"without {self.excluding}")
        return ", ".join(word for word in words if word)

    @property
    def wanted(self) -> Callable[[str], bool] | None:
        """Whether a stratum of that label is meant; None where all are."""
        if not self.including and not self.excluding:
            return None
        return lambda label: self.including in label and not (self.excluding and self.excluding in label)


def _words(value: Texts, more: tuple[str, ...] = ()) -> Texts:
    for word in value:
        if word not in (*WORDS, *more):
            raise ValueError(f"{word!r} is no outcome; valid: {', '.join((*WORDS, *more))}")
    return value


class Test(Frozen):
    """What stories predict of the sign of some claims' effects, and for which model each claim is."""

    __test__ = False  # pytest looks for classes of this name

    predicts: Texts
    claims: dict[str, tuple[Source, ...]]

    @field_validator("predicts")
    @classmethod
    def _outcomes(cls, value: Texts) -> Texts:
        if not value:
            raise ValueError("a test that no story predicts anything of tells no stories apart")
        _words(dict.fromkeys(value.values(), ""))
        return value

    @field_validator("claims", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if not isinstance(value, dict):
            raise ValueError("must map models to lists of claims")
        return {k: [{"claim": one} if isinstance(one, str) else one for one in v] for k, v in value.items()}


class Discriminator(Frozen):
    """A question whose answer differs between stories. says: what each story answers, in words."""

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    title: str = Field(min_length=1)
    says: Texts
    tests: tuple[Test, ...] = Field(min_length=1)


class Mechanisms(Frozen):
    """mechanisms.yaml. stories: in the order in which each is held against the next."""

    claims: str
    stories: Texts = Field(min_length=2)
    models: Texts = Field(min_length=1)
    discriminators: tuple[Discriminator, ...] = Field(min_length=1)

    def references(self) -> Iterator[tuple[str, Iterable[str], Iterable[str]]]:
        """(field, names used there, names that exist)."""
        for discriminator in self.discriminators:
            where = f"discriminators.{discriminator.id}"
            yield f"{where}.says", discriminator.says, self.stories
            for test in discriminator.tests:
                yield f"{where}.tests.predicts", test.predicts, self.stories
                yield f"{where}.tests.claims", test.claims, self.models

    def sources(self) -> list[Source]:
        return [s for d in self.discriminators for test in d.tests for sources in test.claims.values() for s in sources]


class Question(Frozen):
    """A question to which advice is an answer. models: those to which it applies; none: all."""

    text: str = Field(min_length=1)
    models: tuple[str, ...] = ()


class Rule(Source):
    """What each outcome of a claim would advise; `mixed`: where it is upheld on some strata and refuted on others."""

    model: str
    precision: str
    question: str
    advice: Texts = Field(min_length=1)

    @field_validator("advice")
    @classmethod
    def _outcomes(cls, value: Texts) -> Texts:
        return _words(value, ("mixed",))


class Advice(Frozen):
    """advice.yaml."""

    claims: str
    models: Texts = Field(min_length=1)
    precisions: Texts = Field(min_length=1)
    questions: dict[str, Question] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)

    def references(self) -> Iterator[tuple[str, Iterable[str], Iterable[str]]]:
        """(field, names used there, names that exist)."""
        for name, question in self.questions.items():
            yield f"questions.{name}.models", question.models, self.models
        for number, rule in enumerate(self.rules, start=1):
            for field, valid in (("model", self.models), ("precision", self.precisions), ("question", self.questions)):
                yield f"rules.{number}.{field}", [getattr(rule, field)], valid

    def sources(self) -> list[Source]:
        return list(self.rules)


class Control(Source):
    """What must come out: a verdict among `expect`; where it does not, claims on the studies `guards` are marked."""

    kind: Literal["positive", "negative"]
    what: str = Field(min_length=1)
    expect: tuple[str, ...] = Field(min_length=1)
    guards: tuple[str, ...] = Field(min_length=1)


class Controls(Frozen):
    """controls.yaml."""

    claims: str
    controls: tuple[Control, ...] = Field(min_length=1)

    def references(self) -> Iterator[tuple[str, Iterable[str], Iterable[str]]]:
        """(field, names used there, names that exist)."""
        for number, control in enumerate(self.controls, start=1):
            yield f"controls.{number}.expect", control.expect, VERDICTS

    def sources(self) -> list[Source]:
        return list(self.controls)


Content = TypeVar("Content", Mechanisms, Advice, Controls)


def mechanisms(known: Iterable[str] | None = None, path: Path = HERE / "mechanisms.yaml") -> Mechanisms:
    """The file's content. Raises UserError for one that does not fit, and for a claim that is not in `known` (None: not checked)."""
    return _checked(yamlio.validate(Mechanisms, yamlio.read(path), path), known, path)


def advice(known: Iterable[str] | None = None, path: Path = HERE / "advice.yaml") -> Advice:
    """As `mechanisms`, of advice.yaml."""
    return _checked(yamlio.validate(Advice, yamlio.read(path), path), known, path)


def controls(known: Iterable[str] | None = None, path: Path = HERE / "controls.yaml") -> Controls:
    """As `mechanisms`, of controls.yaml."""
    return _checked(yamlio.validate(Controls, yamlio.read(path), path), known, path)


def _checked(content: Content, known: Iterable[str] | None, path: Path) -> Content:
    for field, values, valid in content.references():
        for value in values:
            if value not in valid:
                raise UserError(f"{path}: {field}: value {value!r}: valid: {', '.join(valid)}")
    ids = None if known is None else set(known)
    for source in content.sources():
        if ids is not None and source.claim not in ids:
            raise UserError(f"{path}: claim: value {source.claim!r}: {content.claims} has no such claim; valid: its ids")
    return content
