"""Data sets of users that aren't what a data set is held to: told before anything trains."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import slow
from tests.odd.test_users_code import program
from tests.odd.users import DATA, SWEEP, changed, line_of, write
from tests.orchestrator.commands import mimsweep, refused


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    return path


CLASS = f"dataset mine (mine.py:{line_of(DATA, 'class Mine')}): "

DRAWN = [
    ("x = x[:100]", "the items of draw('train', 1, 1) have shape (100, 2); it must be (200, 2)"),
    ("x = x[:, :1]", "have shape (200, 1); it must be (200, 2): items(), dims"),
    ("x = x[None]", "have shape (1, 200, 2); it must be (200, 2)"),
    ("x[7, 1] = float('nan') if split == 'final' else 0", "item 7 of draw('final', 1, 1) is nan"),
    ("x = x.double(); x[3] = 1e300", "is 1e+300 in column 0, from 0; all must be finite numbers"),
    ("x = x.double() + 1.7e9", "float32 can't tell its values apart; subtract their mean"),
    ("x = (1000 * x).long() + 2**40", "column 0, from 0, of the items of draw('train', 1, 1) is"),
    ("x = x.to(torch.complex64)", "are of torch.complex64, no real numbers"),
    ("x = [['a', 'b']] * 200", "are list of <U1, no real numbers"),
    ("x = [[1.0], [1.0, 2.0]]", "are no array of numbers: "),
    ("x = np.ma.masked_array(x, x > 0)", "the items of draw('train', 1, 1) have values that are"),
    ("labels = None", "are missing; they must be 200 whole numbers, 0 to 1"),
    ("labels = labels[1:]", "the labels of draw('train', 1, 1) have shape (199,)"),
    ("labels = labels.float()", "are of torch.float32; they must be 200 whole numbers, 0 to 1"),
    ("labels = labels + 1", "go from 1 to 2; they must be 200 whole numbers, 0 to 1"),
    ("return x", "must return items and labels, a pair; it returned Tensor"),
    ("return x, labels, 3", "must return items and labels, a pair; it returned 3 of them"),
    ("x = torch.randn(200, 2)", "draw('train', 1, 1) returned other values when it was called"),
    ("x = x + len(vars(self)); self.__dict__[str(len(vars(self)))] = 1", "returned other values"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "sentence"), DRAWN)
def test_what_it_draws_is_checked_before_the_start(users: Path, line: str, sentence: str) -> None:
    write(users, changed(line))
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(CLASS)
    assert sentence in told
    assert {"mine.py", "s.yaml"} >= set(os.listdir(users)) - {"__pycache__"}


OTHERS = [
    ("dims=2, load", "dims=3, load", "its dims are 2, but 3 were registered"),
    ("return 200", "return 100", "items('train') is 100, too few with batch_size 128"),
    ("return 200", "return 200 if split == 'train' else 30", "items('test') is 30, too few with"),
    ("return 200", "return 0", "items('train') is 0; it must be a whole number from 1"),
    ("return 200", "return 2e2", "items('train') is 200.0; it must be a whole number from 1"),
    ("classes, binary = 2, 2,", "classes, binary = 2, 0,", "its classes are 0; they must be"),
    ("2, 2, False", "2, 2, True", "its binary is True, but binary=False was registered"),
    ("def log_prob", "def log_prob_", "it has no log_prob; docs/extending.md has an example"),
    ("Mine())", "Mine(), known=True)", "log_prob of items with shape (2, 2) is of shape NoneType"),
    ("return None", "return x.sum()", "is of shape (); it must be a tensor with shape (2,)"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), OTHERS)
def test_what_it_says_of_itself_is_checked(users: Path, old: str, new: str, sentence: str) -> None:
    assert old in DATA
    write(users, DATA.replace(old, new), SWEEP.replace("64", "128"))
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(CLASS)
    assert sentence in told


def test_too_few_for_the_measures_is_told(users: Path) -> None:
    module = DATA.replace("return 200", "return 5 if split == 'final' else 200")
    write(users, module, SWEEP.replace("64", "1"))
    assert "and 6 items in whole batches" in refused(mimsweep("run", "s.yaml"))


@pytest.mark.parametrize(
    "where", ["load=lambda folder: 1 / 0", "load=lambda folder: __import__('sys').exit(3)"]
)
def test_what_raises_as_it_loads_is_told_with_its_place(users: Path, where: str) -> None:
    module = DATA.replace("load=lambda folder: Mine()", where)
    write(users, module)
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"mine.py:{line_of(module, 'register.data')}: ")
    assert told.endswith(("ZeroDivisionError: division by zero", "SystemExit: 3"))


def test_what_raises_as_it_draws_is_told_with_its_place(users: Path) -> None:
    module = changed("torch.zeros(2) @ torch.zeros(3)")
    write(users, module)
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"mine.py:{line_of(module, '@')}: RuntimeError: ")


UNCALLABLE = [
    ("lambda folder: Mine()", "Mine", "TypeError: Mine() takes no arguments"),
    ("draw(self, split, seed, epoch)", "draw(self, split, seed)", "TypeError: Mine.draw() takes 3"),
    ("    def items", "    @property\n    def items", "TypeError: Mine.items() missing 1 required"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), UNCALLABLE)
def test_what_cannot_be_called_as_it_is_is_told(
    users: Path, old: str, new: str, sentence: str
) -> None:
    assert old in DATA
    write(users, DATA.replace(old, new))
    told = refused(mimsweep("run", "s.yaml"))
    assert told.startswith(f"mine.py:{line_of(DATA, 'class Mine')}: {sentence}")


def test_an_error_that_cannot_be_told_has_its_kind_and_place(users: Path) -> None:
    odd = "class Odd(Exception):\n    __str__ = None\n\n\nclass Mine"
    module = changed("raise Odd()").replace("class Mine", odd)
    write(users, module)
    assert refused(mimsweep("run", "s.yaml")) == f"mine.py:{line_of(module, 'raise')}: Odd"


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("# module", "import os; os.chdir('/')"),
        slow("# module", "import warnings; warnings.simplefilter('error')"),
        slow("# change", "import warnings; warnings.simplefilter('error')"),
    ],
)
def test_what_it_does_to_the_process_moves_no_store_and_ends_nothing(
    where: str, line: str, here: Path
) -> None:
    write(here, f"{DATA}\n# module\n".replace(where, line))
    ran = program(here, "run", "s.yaml", "--workers", "1", "--retries", "0")
    assert ran.returncode == 0, ran.stderr
    assert (here / "mlflow.db").exists()


FITS = [
    "__import__('os').chdir('/'); __import__('warnings').simplefilter('error')",
    "x = x.numpy(); labels = labels.numpy().astype('u1')",
    "x = x.double(); labels = labels.tolist()",
    "x = x.t().contiguous().t().requires_grad_()",
    "x = np.ascontiguousarray(x.numpy()[::-1]).astype('>f8')[::-1]; x.flags.writeable = False",
    "x = x.to_sparse()",
    "torch.set_default_dtype(torch.float64); torch.set_num_threads(2)",
]


def test_what_can_be_had_without_a_doubt_fits_and_the_rest_fails(users: Path, empty: Path) -> None:
    """All in one sweep: good data sets whose runs agree, and one that breaks as it goes."""
    shutil.copy(empty, users)
    body = DATA.partition("class Mine")[2].partition("register.data")[0]
    lines = ["pass", *FITS, "x = x if epoch < 3 else x[:9]"]
    module = DATA.partition("class Mine")[0]
    for number, line in enumerate(lines):
        module += f"class Mine{number}{body.replace('# change', line)}"
        module += f"register.data('mine{number}', dims=2, load=lambda folder: Mine{number}())\n"
    names = [f"mine{number}" for number in range(len(lines))]
    sweep = SWEEP.replace("dataset: mine, ", "").replace("epochs: 2", "epochs: 3")
    write(users, module, sweep.replace("{model:", f"{{dataset: [{', '.join(names)}], model:"))
    done = mimsweep("run", "s.yaml", "--engine", "inline", "--retries", "0")
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    broken = f"dataset {names[-1]} (mine.py:{line_of(module, f'class Mine{len(lines) - 1}')}): "
    assert f"{broken}the items of draw('train', 1, 3) have shape (9, 2)" in done.stderr
    assert done.stderr.count("failed: ") == 1
    assert mimsweep("results", "s.yaml", "--output", "r.json").exit_code == 0
    rows = json.loads((users / "r.json").read_text())
    assert sorted(row["dataset"] for row in rows) == names[:-1]
    nll = {row["dataset"]: row["nll"] for row in rows}
    assert len(set(nll.values())) == 1
