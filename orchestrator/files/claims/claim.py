"""Claims of a sweep file: the sentences that `mimsweep verify` judges, and the form they take.

A claim compares a metric of two groups of runs, or one metric of the one with another of the other,
or of one group with a number, or says that it falls or rises with a field. With `of` a comparison
says by how much: at least (`greater_by`, `less_by`; of a negative number, "no worse than"), or at
most (`within`). `ranks` lists values of the field `over` (the model, if it isn't said) from that of
the greatest metric to that of the least. `holds_in` asks it of so many of the cells only:

    - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}, where: z_dim >= 4}
    - {claim: VAE loses MI, metric: mi, falls_with: z_dim, where: model = vae and z_dim >= 4}
    - {claim: for sure, metric: mi_lower, greater: {model: mim}, than: {model: vae}, than_metric: mi_upper}
    - {claim: by far, metric: mi, of: {model: mim}, greater_by: 0.5, than: {model: vae}}
    - {claim: as likely, metric: nll, of: {model: mim}, within: 0.1, than: {model: vae}, holds_in: 9 of 10 cells}
    - {claim: in this order, metric: mi, ranks: [mim, vae, ae], over: model}

`where` chooses the runs (`claims.where`).
"""  # noqa: E501

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from mimsweep.orchestrator.files.choices import JsonSchema
from mimsweep.orchestrator.files.claims.parts import (
    Along,
    Cells,
    Group,
    MetricName,
    Over,
    Ranks,
    Than,
    Where,
    Within,
)
from mimsweep.orchestrator.files.claims.where import Condition, parse_where
from mimsweep.orchestrator.files.fields import types_of

_BY = ("greater_by", "less_by", "within")
_COMPARED = ("greater", "less", *_BY)
_FORMS = (*_COMPARED, "falls_with", "rises_with", "ranks")

_ON_SEEDS = (
    "runs of the same seed are compared, so a claim can't be on seeds; choose some with `where`, "
    "for example where: seed <= 5"
)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _rules(schema: JsonSchema) -> None:
    """Adds what `Claim._one_form` refuses to the schema of a claim."""

    def given(name: str) -> JsonSchema:
        return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}

    def goes_with(key: str, forms: Sequence[str]) -> JsonSchema:
        of_these = {"anyOf": [given(name) for name in forms]}
        return {"if": of_these, "then": given(key), "else": {"not": given(key)}}

    schema["oneOf"] = [given(name) for name in _FORMS]
    of_runs = {"required": ["than"], "properties": {"than": {"type": "object"}}}
    schema["allOf"] = [
        goes_with("than", _COMPARED),
        goes_with("of", _BY),
        {"if": given("than_metric"), "then": of_runs},
        {"if": given("over"), "then": given("ranks")},
    ]


class Claim(BaseModel):
    """A sentence on a sweep's runs, and the comparison that decides whether it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra=_rules)

    claim: Annotated[str, Field(min_length=1)]
    metric: MetricName
    greater: Group | None = None
    less: Group | None = None
    of: Group | None = None
    greater_by: FiniteFloat | None = None
    less_by: FiniteFloat | None = None
    within: Within | None = None
    than: Than = None
    than_metric: MetricName | None = None
    falls_with: Along | None = None
    rises_with: Along | None = None
    over: Over | None = None
    ranks: Ranks = None
    where: Where = ""
    holds_in: Cells = None

    @model_validator(mode="after")
    def _one_form(self) -> "Claim":
        given = [name for name in _FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give one of {', '.join(_FORMS)}; there is {found}")
        form = given[0]
        if (form in _BY) != (self.of is not None):
            raise ValueError(f"`of` goes with {_listed(_BY)}, and they with it")
        if (form in _COMPARED) != (self.than is not None):
            raise ValueError(f"`than` goes with {_listed(_COMPARED)}, and they with it")
        if self.over and form != "ranks":
            raise ValueError("`over` goes with ranks")
        if self.over == "seed":
            raise ValueError(_ON_SEEDS)
        if self.than_metric and not isinstance(self.than, dict):
            raise ValueError("`than_metric` goes with a `than` that chooses runs")
        along = self.falls_with or self.rises_with
        if along and not {int, float} & {*types_of(along)}:
            raise ValueError(f"{along} is no number, so nothing falls or rises with it")
        self._check_pairs()
        return self

    def _check_pairs(self) -> None:
        """Refuses what no pair of runs of one seed can decide, however many seeds there are."""
        one, other = self.greater or self.less or self.of or {}, self.than
        seeds = {
            group["seed"] for group in (one, other) if isinstance(group, dict) and "seed" in group
        }
        if "seed" in (self.falls_with, self.rises_with) or len(seeds) > 1:
            raise ValueError(_ON_SEEDS)
        if one == other and self.than_metric in (None, self.metric):
            raise ValueError("the group after `than` is the same, so nothing is compared")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What `where` says."""
        return parse_where(self.where)

    @property
    def ranked(self) -> str | None:
        """The field whose values it ranks."""
        return (self.over or "model") if self.ranks else None

    @property
    def sign(self) -> Literal[1, 0, -1]:
        """1 where more is claimed, a rise or ranks, −1 where less or a fall, 0 where neither."""
        if self.within is not None:
            return 0
        more = (self.greater, self.greater_by, self.rises_with, self.ranks)
        return 1 if any(given is not None for given in more) else -1

    @property
    def margin(self) -> float:
        """By how much at least, or at most."""
        return self.greater_by or self.less_by or self.within or 0.0

    @property
    def fields(self) -> set[str]:
        """The fields that it names."""
        groups = [
            group
            for group in (self.greater, self.less, self.of, self.than)
            if isinstance(group, dict)
        ]
        along = filter(None, (self.falls_with, self.rises_with, self.ranked))
        return {*(field for field, _, _ in self.conditions), *along}.union(*groups)
