"""Claims and verdicts in words, the same in the terminal and in a report."""

from collections.abc import Mapping

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.statistics.claims.claim import Claim, Judgement
from mimsweep.dashboards.statistics.claims.power import MOST

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 3) -> str:
    """Returns a number to so many significant digits, with a true minus sign."""
    if value != value:
        return "n/a"
    text = f"{value:.{digits}g}"
    if "e" in text and 1e-4 <= abs(value) < 1e6:
        text = f"{value:.0f}"
    return text.replace("-", MINUS)


def fields(values: Mapping[str, object]) -> str:
    """Returns `z_dim = 4, model = vae`."""
    return ", ".join(f"{name} = {style.value(value)}" for name, value in values.items())


def cell_text(judgement: Judgement) -> str:
    """Returns the numbers of the decisive cell in a sentence."""
    cell = judgement.decisive
    if cell is None:
        return ""
    needed = judgement.claim.holds_in
    weakest = f"weakest of {needed[0]}" if needed else "weakest"
    which = "decided" if judgement.verdict == "fails" else weakest
    where = f"{which} at {fields(cell.fields)}: " if cell.fields else ""
    effect = (
        "Kendall\N{RIGHT SINGLE QUOTATION MARK}s τ"
        if judgement.claim.along or judgement.claim.ranks
        else "Cliff\N{RIGHT SINGLE QUOTATION MARK}s δ"
    )
    kind = "change" if judgement.claim.along else "difference"
    interval = "" if cell.low != cell.low else f" [{number(cell.low)}, {number(cell.high)}]"
    return (
        f"{where}{kind} of {_metrics(judgement.claim)} {number(cell.difference)}{interval}, "
        f"{effect} {number(cell.delta, 2)}, n = {cell.pairs}"
    )


def forecast_text(judgement: Judgement) -> str:
    """Returns with how many seeds an undecided claim would be decided; empty where not known."""
    if judgement.forecast is None:
        return ""
    if (seeds := judgement.forecast.seeds) is None:
        return f"if others are like these, more than {MOST} seeds would be needed to decide it"
    return f"if others are like these, {seeds} seeds in all would decide it 4 times in 5"


def _metrics(claim: Claim) -> str:
    """Returns `mi`, or `mi_lower and mi_upper` of a claim that compares one with the other."""
    return " and ".join(claim.metrics)


def claim_text(claim: Claim) -> str:
    """Returns what is compared: `mi: model = mim greater than model = vae, where z_dim >= 4`."""
    if claim.ranks:
        text = f"{claim.metric} ranks {claim.over} {' > '.join(map(style.value, claim.ranks))}"
    elif claim.along:
        text = f"{claim.metric} {'rises' if claim.sign > 0 else 'falls'} with {claim.along}"
    else:
        other = fields(claim.than) if isinstance(claim.than, Mapping) else style.value(claim.than)
        of_other = f"{claim.than_metric} of {other}" if claim.than_metric else other
        text = f"{claim.metric} of {fields(claim.group)} {_relation(claim)} {of_other}"
    where = " and ".join(f"{name} {op} {style.value(value)}" for name, op, value in claim.where)
    text = f"{text}, where {where}" if where else text
    return (
        f"{text}, in {claim.holds_in[0]} of {claim.holds_in[1]} cells" if claim.holds_in else text
    )


def _relation(claim: Claim) -> str:
    margin = style.value(claim.margin).replace("-", MINUS)
    if claim.sign == 0:
        return f"within {margin} of"
    way = "greater" if claim.sign > 0 else "less"
    return f"{way} by {margin} than" if claim.margin else f"{way} than"


def p_text(judgement: Judgement) -> str:
    """Returns the corrected p of the test that decided, or of both."""
    holds, fails = f"{number(judgement.p_holds, 2)}", f"{number(judgement.p_fails, 2)}"
    if judgement.verdict == "undecided":
        return f"{holds} that it holds, {fails} that it fails"
    return holds if judgement.verdict == "holds" else fails
