"""Frozen values that refuse what makes no sense, have a hash and go through JSON: what recipes of both kinds can do."""

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, Self, get_args, get_origin


@dataclass(frozen=True)
class Range:
    """Which numbers make sense in a field: `Annotated[float, Range(0, 1)]`; with `above`, `low` itself does not."""

    low: float
    high: float
    above: bool = False

    def __str__(self) -> str:
        return f"above {self.low:g} and at most {self.high:g}" if self.above else f"in [{self.low:g}, {self.high:g}]"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)


@dataclass(frozen=True, kw_only=True)
class Values:
    """The base of a dataclass whose fields are bools, texts, choices (`Literal`) and numbers with a `Range`."""

    def __post_init__(self) -> None:
        """ValueError names the first bad field, its value and what is allowed."""
        for field in fields(self):
            value, kind, allowed = getattr(self, field.name), field.type, None
            if get_origin(kind) is Annotated:
                kind, allowed = get_args(kind)
            elif get_origin(kind) is Literal:
                kind, allowed = str, get_args(kind)
            if kind is float and type(value) is int:  # equal recipes must have equal hashes: 5 becomes 5.0
                object.__setattr__(self, field.name, value := float(value))
            if type(value) is not kind:  # refuse '0.1' for a number or 1 for a switch
                raise self.bad(field.name, f"{getattr(kind, '__name__', kind)}, is {type(value).__name__}")
            if allowed is not None and value not in allowed:
                raise self.bad(field.name, f"one of {', '.join(allowed)}" if kind is str else str(allowed))

    def bad(self, name: str, allowed: str) -> ValueError:
        """What is raised when a field's value makes no sense."""
        return ValueError(f"{type(self).__name__}.{name} = {getattr(self, name)!r}: must be {allowed}")

    @property
    def hash(self) -> str:
        """Eight hex digits of the fields that are not at their default: a field added later changes no hash."""
        before = type(self)().to_dict()
        different = {name: value for name, value in self.to_dict().items() if value != before[name]}
        return hashlib.sha256(json.dumps(different, sort_keys=True).encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The recipe with these fields, others at their default. ValueError names an unknown field and the nearest."""
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
                raise ValueError(f"{cls.__name__} has no field {name!r}. Nearest: {near!r}")
        return cls(**values)


def choices(cls: type[Values], name: str) -> tuple[str, ...]:
    """What a field that is a choice may be."""
    return get_args(cls.__annotations__[name])
