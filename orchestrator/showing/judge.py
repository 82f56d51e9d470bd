"""Claims of a sweep file to verdicts, for people and for scripts. Imports pandas as it loads."""

from typing import Any

import numpy as np
import pandas as pd

from mimsweep.dashboards.statistics import verdicts as statistics
from mimsweep.dashboards.statistics.claims import claim as forms
from mimsweep.dashboards.statistics.claims.claim import Cell, Judgement
from mimsweep.dashboards.statistics.claims.ranking import ranking
from mimsweep.dashboards.statistics.wording import cell_text, forecast_text
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.claims.claim import Claim
from mimsweep.orchestrator.files.fields import FOUND_FIELDS
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.showing.listing import finite
from mimsweep.orchestrator.showing.table import fields_of


def judge(sweep: Sweep, complete: pd.DataFrame, level: float = statistics.ALPHA) -> list[Judgement]:
    """Returns the verdict on each claim of a sweep, in the order of the file.

    Args:
        sweep: with its claims.
        complete: a row per complete run, from `Tracking.frame`.
        level: of the chance that any claim is wrongly said to hold, and likewise to fail.
    """
    keys = {*complete["run_key"]}
    runs = [{"run_key": run.key_among(keys), **run.model_dump()} for run in sweep.runs]
    named = {field for claim in sweep.claims for field in claim.fields}
    own = [name for name in fields_of(sweep.runs) if name not in FOUND_FIELDS]
    fields = [*own, *(named - {*own})]
    planned = pd.DataFrame(runs, columns=["run_key", *fields])
    claims = [_claim(claim) for claim in sweep.claims]
    return statistics.judge(claims, planned, complete, level)


def require_claims(sweep: Sweep) -> None:
    """Refuses a sweep without claims: that nothing was contradicted would not mean that all holds.

    Raises:
        SpecError: it has none.
    """
    if not sweep.claims:
        raise SpecError(
            f"{sweep.name}: the sweep file has no claims to verify; add for example\n"
            "claims:\n"
            "  - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}}"
        )


def to_json(each: Judgement) -> dict[str, Any]:
    """Returns what `verify --json` prints of a claim; a number that there isn't is null."""
    return {
        "claim": each.claim.text,
        "metric": each.claim.metric,
        "verdict": each.verdict,
        "reason": each.reason,
        "pairs": each.pairs,
        "missing": each.missing,
        "not_finite": each.not_finite,
        "p_holds": each.p_holds,
        "p_fails": each.p_fails,
        "seeds_to_decide": each.forecast.seeds if each.forecast else None,
        "cells": [_cell_json(each.claim, cell) for cell in each.cells],
    }


def to_lines(judgement: Judgement) -> list[str]:
    """Returns what `mimsweep verify` prints of a claim."""
    head = f"{judgement.verdict:<10}{judgement.claim.text}"
    cells = "1 cell" if len(judgement.cells) == 1 else f"{len(judgement.cells)} cells"
    numbers = f"{judgement.pairs} pairs in {cells}"
    p = f"p(holds) {judgement.p_holds:.2g}, p(fails) {judgement.p_fails:.2g}"
    lines = [head, f"          {judgement.reason}; {numbers}; {p}"]
    if judgement.decisive:
        lines.append(f"          {cell_text(judgement)}")
    if told := forecast_text(judgement):
        lines.append(f"          {told}")
    return lines


def _cell_json(claim: forms.Claim, cell: Cell) -> dict[str, Any]:
    shown = {name: value for name, value in vars(cell).items() if name != "seeds"}
    told = finite({**shown, "fields": finite(cell.fields), "pairs": cell.pairs})
    return {**told, "ranking": _ranking_json(claim, cell)} if claim.ranks else told


def _ranking_json(claim: forms.Claim, cell: Cell) -> dict[str, Any] | None:
    if not cell.pairs:
        return None
    found, values = ranking(np.array(cell.seeds)), claim.ranks
    return {
        "mean_ranks": [
            {"value": value, "rank": rank}
            for value, rank in zip(values, found.mean_ranks, strict=True)
        ],
        "friedman": found.friedman,
        "pairs": [{"values": [values[i], values[j]], "p": p} for (i, j), p in found.pairs.items()],
    }


def _claim(claim: Claim) -> forms.Claim:
    return forms.Claim(
        text=claim.claim,
        metric=claim.metric,
        sign=claim.sign,
        group=claim.greater or claim.less or claim.of or {},
        than=claim.than,
        along=claim.falls_with or claim.rises_with,
        where=claim.conditions,
        than_metric=claim.than_metric,
        margin=claim.margin,
        holds_in=claim.holds_in,
        ranks=claim.ranks or (),
        over=claim.ranked or "",
    )
