"""Published tables as spreadsheets and people write them: read, or refused with line and column."""

import os
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.dashboards.statistics.published import read_published
from tests.odd.ending import SWEEP as SHORT_SWEEP
from tests.odd.ending import slow, store_complete_runs
from tests.orchestrator.commands import mimsweep, refused

SWEEP = """\
name: a
fixed: {dataset: toy4, model: mim}
published: a.csv
"""
GOOD = """\
# error of reading a mean: mi=0.01 nll=0.1
metric,model,x,mean,spread
mi,mim,2,1.5,0.5
mi,vae,4,0.5,
nll,vae,4,-3e-1,0
"""
POINTS = [
    ("mi", "mim", 2, 1.5, 0.5, 0.01),
    ("mi", "vae", 4, 0.5, None, 0.01),
    ("nll", "vae", 4, -0.3, 0.0, 0.1),
]


@pytest.fixture(autouse=True)
def _sweep(here: Path) -> None:
    (here / "a.yaml").write_text(SWEEP)


READ = {
    "as it should be": GOOD.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "spaces after commas": GOOD.replace(",", ", ").encode(),
    "spaces around all": GOOD.replace(",", " , ").replace("metric", " metric").encode(),
    "quotation marks": GOOD.replace("1.5", '"1.5"').replace("mi,mim", '"mi", "mim"').encode(),
    "lines of Windows": GOOD.replace("\n", "\r\n").encode(),
    "lines of old Macs": GOOD.replace("\n", "\r").encode(),
    "no newline at the end": GOOD.rstrip().encode(),
    "empty lines": GOOD.replace("mi,vae", "\n  \n,,,,\nmi,vae").encode(),
    "comments": GOOD.replace("1.5,0.5", "1.5,0.5  # read twice").encode() + b"# the end\n",
    "a comment saved by a spreadsheet": GOOD.replace("0.1\n", "0.1,,,,\n").encode(),
    "a comment in quotation marks": GOOD.replace("# e", '"# e').replace("0.1\n", '0.1"\n').encode(),
    "a comment with commas": GOOD.replace("mi=0.01 nll=", "mi = 0.01, nll = ").encode(),
    "columns in another order": b"x,spread,mean,metric,model\n2,.5,1.5,mi,mim\n4,,0.5,mi,vae\n"
    b"4,0,-0.3,nll,vae\n# error of reading a mean: mi=0.01\n# error of reading a mean: nll=0.1",
}


@pytest.mark.parametrize("case", READ)
def test_what_means_the_same_is_read_the_same(case: str, here: Path) -> None:
    (here / "a.csv").write_bytes(READ[case])
    assert mimsweep("validate", "a.yaml").output == "a.yaml: a, 1 runs\n"
    frame = read_published(here / "a.csv")
    names = ["metric", "model", "x", "mean", "spread", "reading_error"]
    pd.testing.assert_frame_equal(frame, pd.DataFrame(POINTS, columns=names))


WRONG = {
    "a semicolon": (GOOD.replace(",", ";"), "2:1: columns must be separated by commas, not by ';'"),
    "a tab": (GOOD.replace(",", "\t"), r"2:1: columns must be separated by commas, not by '\t'"),
    "a decimal comma": (
        GOOD.replace("1.5", '"2,1"'),
        "3:10: mean: '2,1' is not allowed; it must be a finite number; write 2.1",
    ),
    "after a decimal comma": (GOOD.replace("1.5,0.5", '1.5, "0,5"'), "3:15: spread: '0,5' is not"),
    "text as a mean": (GOOD.replace("1.5", "high"), "3:10: mean: 'high' is not allowed; it must"),
    "a mean that is missing": (GOOD.replace("1.5", ""), "3:10: mean: is missing"),
    "an infinite mean": (GOOD.replace("1.5", "inf"), "3:10: mean: 'inf' is not allowed"),
    "no number at all": (GOOD.replace("1.5", "nan"), "3:10: mean: 'nan' is not allowed"),
    "a spread below 0": (GOOD.replace("1.5,0.5", "1.5,-1"), "3:14: spread: -1 is not allowed"),
    "text as an x": (GOOD.replace("mim,2", "mim,two"), "3:8: x: 'two' is not allowed"),
    "no model": (GOOD.replace("mi,mim", "mi,"), "3:4: model: is missing"),
    "no such metric": (
        GOOD.replace("mi,mim", "mii,mim"), "3:1: metric: 'mii' is not a metric; did you mean mi?",
    ),
    "a column that is missing": (
        GOOD.replace(",spread", "").replace("0.5,\n", "0.5\n"),
        "2:20: the column spread is missing",
    ),
    "a column too many": (GOOD.replace("spread", "spread,note"), "2:28: 'note' is not a column;"),
    "a column twice": (GOOD.replace("spread", "mean"), "2:21: the column mean is there twice"),
    "a head that is missing": (
        GOOD.replace("metric,model,x,mean,spread\n", ""), "2:1: 'mi' is not a column; allowed",
    ),
    "a row too long": (
        GOOD.replace("1.5,0.5", "1.5,0.5,9"), "3:18: the row has 6 values, but there are 5 columns",
    ),
    "a row too short": (
        GOOD.replace("1.5,0.5", "1.5"), "3:13: the row has 4 values, but there are 5 columns",
    ),
    "a point twice": (
        GOOD + "mi,mim,2.0,1.4,\n", "6:1: metric: this metric, model and x are in line 3 already",
    ),
    "no error of reading": (
        GOOD.replace("nll=", "nl="),
        "5:1: metric: no error of reading for nll; add it in a comment like `# error of reading a",
    ),
    "an error of reading that is text": (GOOD.replace("0.1\n", "small\n"), "1:40: nll: 'small' is"),
    "an error of reading of 0": (GOOD.replace("mi=0.01", "mi=0"), "1:31: mi: '0' is not allowed"),
    "two errors of reading": (
        f"{GOOD}# error of reading a mean: mi=0.5\n",
        "6:31: mi: 0.5 is not what an earlier comment says: 0.01",
    ),
    "a head alone": ("metric,model,x,mean,spread\n", " has no point, only a head; add a row"),
    "no text at all": ("", " the file is empty; write a head of metric, model, x, mean, spread"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_line_and_column(case: str, here: Path) -> None:
    text, sentence = WRONG[case]
    (here / "a.csv").write_text(text)
    for command in ("validate", "run", "report"):
        assert refused(mimsweep(command, "a.yaml")).startswith(f"a.csv:{sentence}")
    assert sorted(os.listdir(here)) == ["a.csv", "a.yaml"]


@pytest.mark.parametrize("model", ["$\\foo{$", *map(slow, ("a$x$b$_$", "$5"))])
def test_a_published_model_is_no_tex(model: str, here: Path) -> None:
    (here / "s.yaml").write_text(f"{SHORT_SWEEP}published: a.csv\n")
    (here / "a.csv").write_text(GOOD.replace("vae", model))
    store_complete_runs()
    drawn = mimsweep("figures", "s.yaml")
    assert (drawn.exit_code, drawn.output) == (0, "figures/s: 2 of 2 runs\n")


def test_a_table_that_is_no_text(here: Path) -> None:
    (here / "a.csv").write_bytes(GOOD.replace("vae", "vaé").encode("latin-1"))
    assert refused(mimsweep("validate", "a.yaml")) == "a.csv:4:6: the file is not UTF-8 text"
    (here / "a.csv").unlink()
    (here / "a.csv").mkdir()
    assert refused(mimsweep("validate", "a.yaml")) == "a.yaml:3:12: published: no such file: a.csv"
