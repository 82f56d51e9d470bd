"""Data files that can't be used: each told in a sentence as the sweep is read, nothing written."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.orchestrator.commands import mimsweep, refused

SOURCE = np.random.default_rng(1)
X = SOURCE.normal(size=(200, 3))
Y = np.arange(200) % 4
CSV = "a,b,c,kind\n" + "".join(
    f"{row[0]:.6f},{row[1]:.6f},{row[2]:.6f},{'pq'[n % 2]}\n" for n, row in enumerate(X)
)
BITS = X > 0


def sweep(name: str, more: str = "", grid: str = "{model: [vae]}") -> None:
    fields = f"dataset: {name}, mid_dim: 4, epochs: 2, warmup: 1, batch_size: 32{more}"
    Path("s.yaml").write_text(f"name: s\nfixed: {{{fields}}}\ngrid: {grid}\n")


def told(name: str, more: str = "", blamed: str = "dataset") -> str:
    """The sentence with which a sweep on a file is refused, less the place in the sweep."""
    sweep(f"file:{name}", more)
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    sentence = refused(mimsweep("run", "s.yaml"))
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    assert not Path(".mimsweep").exists()
    place, field, rest = sentence.split(": ", 2)
    assert place.startswith("s.yaml:2:")
    assert field == f"fixed.{blamed}"
    return rest


def arrays(**arrays: Any) -> Callable[[], object]:
    return lambda: np.savez("f.npz", **{"x": X, "y": Y} | arrays)


def array(x: Any) -> Callable[[], object]:
    return lambda: np.save("f.npy", x, allow_pickle=True)


def text(content: str | bytes) -> Callable[[], object]:
    return lambda: Path("f.csv").write_bytes(
        content.encode() if isinstance(content, str) else content
    )


def table(**columns: Any) -> Callable[[], object]:
    whole = {"a": X[:, 0], "b": X[:, 1]} | columns
    return lambda: parquet.write_table(pa.table(whole), "f.parquet")


def other(row: int, column: int, value: Any, dtype: str = "f8") -> Any:
    x = X.astype(dtype)
    x[row, column] = value
    return x


def cut(name: str, content: bytes, share: float = 0.5) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(content[: int(share * len(content))])


def saved(save: Callable[..., None], *args: Any, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, *args, **arrays)
    return file.getvalue()


def zipped(**members: bytes) -> Callable[[], object]:
    def write() -> None:
        with zipfile.ZipFile("f.npz", "w") as file:
            for name, content in members.items():
                file.writestr(name, content)

    return write


CASES: dict[str, tuple[Callable[[], object], str, str]] = {
    "nothing": (lambda: None, "f.csv", "there is no file f.csv"),
    "folder": (lambda: os.mkdir("f.csv"), "f.csv", "f.csv is a folder, not a file"),
    "pipe": (lambda: os.mkfifo("f.csv"), "f.csv", "f.csv is a pipe or a device, not a file"),
    "nobody's home": (lambda: None, "~nobody/f.csv", "there is no file "),
    "a link to itself": (
        lambda: os.symlink("f.csv", "f.csv"),
        "f.csv",
        "f.csv can't be read: Too many levels of symbolic links",
    ),
    "another ending": (
        lambda: Path("f.txt").write_text(CSV),
        "f.txt",
        "f.txt is no data file: it must end in .npz, .npy, .csv, .parquet",
    ),
    "nan in npz": (
        arrays(x=other(17, 2, np.nan)),
        "f.npz",
        "f.npz: x: row 17 (from 0): column 2 (from 0) is nan; all must be finite numbers",
    ),
    "inf in npy": (
        array(other(0, 1, -np.inf)),
        "f.npy",
        "f.npy: row 0 (from 0): column 1 (from 0) is -inf; all must be finite numbers of float32",
    ),
    "too large": (
        array(other(3, 0, 1e300)),
        "f.npy",
        "f.npy: row 3 (from 0): column 0 (from 0) is 1e+300; all must be finite numbers of float32",
    ),
    "seconds since 1970": (
        array(X + 1.7e9),
        "f.npy",
        "f.npy: column 0 (from 0): float32 can't tell its values apart; subtract their mean",
    ),
    "nan in a text": (
        text("a,b\n1,nan\n2,3\n"),
        "f.csv",
        "f.csv:2: column b is nan; all must be finite numbers of float32",
    ),
    "complex numbers": (
        array(X.astype("c16")),
        "f.npy",
        "f.npy has complex numbers; items must be real numbers",
    ),
    "objects": (
        array(X.astype(object)),
        "f.npy",
        "f.npy has Python objects, which are never unpickled: save numbers, such as",
    ),
    "objects in npz": (
        arrays(y=np.array(["a", None] * 100)),
        "f.npz",
        "f.npz: y has Python objects, which are never unpickled",
    ),
    "texts": (
        array(X.astype("U5")),
        "f.npy",
        "f.npy has values of <U5; items must be real numbers",
    ),
    "dates": (
        array((1e6 * X).astype("M8[s]")),
        "f.npy",
        "f.npy has values of datetime64[s]; items must be real numbers",
    ),
    "records": (
        array(np.zeros(200, "f8,f8")),
        "f.npy",
        "f.npy has values of [('f0', '<f8'), ('f1', '<f8')]; items must be",
    ),
    "one axis": (
        array(X[:, 0]),
        "f.npy",
        "f.npy has shape (200,); it must be (items, columns)",
    ),
    "images": (
        array(np.zeros((200, 8, 8))),
        "f.npy",
        "f.npy has shape (200, 8, 8); it must be (items, columns); write x.reshape(200, -1)",
    ),
    "one column": (
        array(X[:, :1]),
        "f.npy",
        "f.npy has one column of numbers; there must be at least 2",
    ),
    "no items": (
        array(X[:0]),
        "f.npy",
        "f.npy has 0 items; that is too few to train and test on",
    ),
    "cut off npy": (
        cut("f.npy", saved(np.save, X)),
        "f.npy",
        "f.npy is no whole .npy file of NumPy's",
    ),
    "cut off npz": (
        cut("f.npz", saved(np.savez_compressed, x=X)),
        "f.npz",
        "f.npz is no whole .npz file of NumPy's",
    ),
    "empty npy": (cut("f.npy", b""), "f.npy", "f.npy is no whole .npy file of NumPy's"),
    "npz called npy": (
        cut("f.npy", saved(np.savez, x=X), 1.0),
        "f.npy",
        "f.npy has several arrays: call it .npz",
    ),
    "npy called npz": (
        cut("f.npz", saved(np.save, X), 1.0),
        "f.npz",
        "f.npz is one array: call it .npy",
    ),
    "no x": (
        zipped(**{"y.npy": saved(np.save, Y)}),
        "f.npz",
        "f.npz has no array x; it has y",
    ),
    "not arrays": (zipped(x=b"text"), "f.npz", "f.npz: x is no array of NumPy's"),
    "another name": (
        arrays(X_test=X),
        "f.npz",
        "f.npz has an array X_test; allowed: x, y, x_test, y_test; did you mean x_test?",
    ),
    "labels of other items": (
        arrays(y=Y[:150]),
        "f.npz",
        "f.npz: y has 150 labels of 200 items; each must have one",
    ),
    "labels missing to test on": (
        arrays(x_test=X),
        "f.npz",
        "f.npz has no array y_test: the labels of some items are missing",
    ),
    "labels of nothing": (
        zipped(**{"x.npy": saved(np.save, X), "y_test.npy": saved(np.save, Y)}),
        "f.npz",
        "f.npz has y_test, but no x_test",
    ),
    "wider to test on": (
        arrays(x_test=np.zeros((50, 4)), y_test=Y[:50]),
        "f.npz",
        "f.npz: x has 3 columns, x_test 4; they must have the same",
    ),
    "labels one-hot": (
        arrays(y=np.eye(4)[Y]),
        "f.npz",
        "f.npz: y has shape (200, 4); labels are (200,), one of each item",
    ),
    "labels no whole numbers": (
        arrays(y=Y / 8),
        "f.npz",
        "f.npz: y: row 1 (from 0): the label is 0.125; labels are whole numbers or text",
    ),
    "labels nan": (
        arrays(y=np.where(Y == 3, np.nan, Y)),
        "f.npz",
        "f.npz: y: row 3 (from 0): the label is nan; labels are whole numbers or text",
    ),
    "labels complex": (
        arrays(y=Y * 1j),
        "f.npz",
        "f.npz: y has labels of complex128; they must be whole numbers or text",
    ),
    "labels numbers of items": (
        arrays(x=np.tile(X, (6, 1)), y=np.arange(1200)),
        "f.npz",
        "f.npz: there are 1,200 different labels of 1,200 items; at most 1,000 are classes",
    ),
    "constant columns": (
        array(np.hstack([X, np.zeros((200, 5))])),
        "f.npy",
        "file:f.npy: all items to train on have one value in column 3 (from 0), column 4 (from 0)",
    ),
    "too few": (
        array(X[:20]),
        "f.npy",
        "file:f.npy has 16 items to train on and 4 to test on: too few; at least 10 and 6",
    ),
    "text column": (
        text(CSV),
        "f.csv",
        "f.csv:2: column kind is 'p', no number; if the column is text, name it by label: kind, or",
    ),
    "text in a number column": (
        text(CSV.replace("a,b,c,kind\n", "a,b,c,kind\n1,2,3,4\n1,oops,3,4\n")),
        "f.csv",
        "f.csv:3: column b is 'oops', no number",
    ),
    "an empty cell": (
        text("a,b\n1,2\n\n3,\n" + "4,5\n" * 100),
        "f.csv",
        "f.csv:4: column b is empty; fill it in, or leave the row out",
    ),
    "a decimal comma": (
        text('a,b\n1,"2,5"\n'),
        "f.csv",
        "f.csv:2: column b is '2,5', no number; decimals are written with a point",
    ),
    "a number with _": (
        text("a,b\n1,2\n1_000,3\n"),
        "f.csv",
        "f.csv:3: column a is '1_000', no number",
    ),
    "semicolons": (
        text("a;b\n1;2\n"),
        "f.csv",
        "f.csv:1: cells are separated by semicolons; write commas, and points in numbers",
    ),
    "ragged": (
        text("a,b,c\n1,2,3\n4,5\n"),
        "f.csv",
        "f.csv:3: has 2 cells, where the first line has 3 columns",
    ),
    "empty csv": (text(""), "f.csv", "f.csv is empty"),
    "header alone": (
        text("a,b\n"),
        "f.csv",
        "f.csv has 0 items; that is too few to train and test on",
    ),
    "no header": (
        text("0.5,1.5\n2,3\n"),
        "f.csv",
        "f.csv:1: has numbers where names of columns belong; write a first line",
    ),
    "pandas' index": (
        text(",a,b\n0,1,2\n"),
        "f.csv",
        "f.csv:1: column 1 has no name (pandas writes its index so: to_csv(…, index=False)",
    ),
    "a name twice": (text("a,b,a\n1,2,3\n"), "f.csv", "f.csv:1: two columns are called a"),
    "another encoding": (
        text(("a,b\n1,2\n" + 9000 * "3,4\n" + "ü,2\n").encode("latin-1")),
        "f.csv",
        "f.csv:9003: is not UTF-8 text",
    ),
    "an open quote": (text('a,b\n1,"2\n3,4\n'), "f.csv", "f.csv:3: unexpected end of data"),
    "one column of a text": (
        text("a\n1\n2\n"),
        "f.csv",
        "f.csv has one column of numbers; there must be at least 2",
    ),
    "a text called parquet": (
        lambda: Path("f.parquet").write_text(CSV),
        "f.parquet",
        "f.parquet is no whole .parquet file",
    ),
    "missing in parquet": (
        table(c=pa.array([1.0] * 7 + [None] + [2.0] * 192)),
        "f.parquet",
        "f.parquet: row 7 (from 0): column c is missing",
    ),
    "nan in parquet": (
        table(c=other(9, 2, np.nan)[:, 2]),
        "f.parquet",
        "f.parquet: row 9 (from 0): column c is nan; all must be finite numbers of float32",
    ),
    "lists in parquet": (
        table(c=[[1.0, 2.0]] * 200),
        "f.parquet",
        "f.parquet: column c is list<element: double>, no numbers; name it by label: c, or leave",
    ),
    "pandas' index in parquet": (
        table(__index_level_0__=np.arange(200)),
        "f.parquet",
        "f.parquet: pandas has stored its index: to_parquet(…, index=False)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_is_told_in_a_sentence(here: Path, case: str) -> None:
    write, name, sentence = CASES[case]
    write()
    assert told(name).startswith(sentence)


FIELDS = [
    (", label: knid", "label", "f.csv has no column knid; did you mean kind?"),
    (", label: zzz", "label", "f.csv has no column zzz; there are a, b, c, kind"),
    (", label: kind, test_fraction: 1.0", "test_fraction", "1.0 is not allowed; it must be less"),
    (", label: kind, test_fraction: 0", "test_fraction", "0 is not allowed; it must be greater"),
    (", label: kind, bits: true", "bits", "true is not allowed with dataset file:f.csv, whose num"),
    (", label: kind, standardise: 1", "standardise", "1 is not allowed; it must be true or false"),
    (", label: kind, content: abc", "content", "is what a data file has in it, and found; leave"),
    (", label: kind, model: convhvae_2level", "dataset", "file:f.csv is not allowed with model"),
    (", label: kind, q_x: anchor", "q_x", "anchor is not allowed with dataset file:f.csv, whose P"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "blamed", "sentence"), FIELDS)
def test_fields_that_do_not_go_with_a_file_are_told(
    here: Path, more: str, blamed: str, sentence: str
) -> None:
    text(CSV)()
    if "model" in more:
        sweep("file:f.csv", more, "{seed: 1..2}")
        assert f"fixed.{blamed}: {sentence}" in refused(mimsweep("run", "s.yaml"))
    else:
        assert told("f.csv", more, blamed).startswith(sentence)


@pytest.mark.parametrize(
    ("write", "name", "more", "blamed", "sentence"),
    [
        (arrays(), "f.npz", ", label: y", "label", "y is not allowed: f.npz is no table; labels"),
        (
            arrays(x_test=X, y_test=Y),
            "f.npz",
            ", test_fraction: 0.3",
            "test_fraction",
            "0.3 is not allowed with dataset file:f.npz, which has x_test; allowed: 0.2",
        ),
        (
            array(BITS),
            "f.npy",
            ", standardise: false",
            "standardise",
            "false is not allowed with dataset file:f.npy of bits, which are never standardised",
        ),
        (
            array(BITS),
            "f.npy",
            ", p_xz_gmm: 2",
            "p_xz_gmm",
            "2 is not allowed with dataset file:f.npy, whose decoder is Bernoulli; allowed: 0",
        ),
        (
            array(1e30 * X),
            "f.npy",
            ", standardise: false",
            "standardise",
            "false is not allowed with dataset file:f.npy, whose numbers go to ",
        ),
        (
            table(kind=[None, *"pq"] * 66 + ["p", "q"]),
            "f.parquet",
            ", label: kind",
            "dataset",
            "f.parquet: row 0 (from 0): column kind is missing",
        ),
        (
            text(CSV.replace("a,b,c,kind\n", "a,b,c,kind\n1,2,3,\n")),
            "f.csv",
            ", label: kind",
            "dataset",
            "f.csv:2: column kind is empty: no label",
        ),
        (
            text("a,b,c\n1,2,red\n"),
            "f.csv",
            ", label: a",
            "dataset",
            "f.csv:2: column c is 'red', no number; if the column is text, leave it out",
        ),
    ],
)  # fmt: skip
def test_fields_that_do_not_go_with_this_file_are_told(
    here: Path, write: Callable[[], object], name: str, more: str, blamed: str, sentence: str
) -> None:
    write()
    assert told(name, more, blamed).startswith(sentence)


def test_a_batch_that_is_too_large_is_told_whether_given_or_not(here: Path) -> None:
    array(X[:100])()
    sweep("file:f.npy")
    text = "batch_size {} is not allowed with file:f.npy, which has 80 items to train on and 20 to"
    fits = f"{text} test on; 20 would fit"
    assert f"fixed.batch_size: {fits.format(32)}" in refused(mimsweep("run", "s.yaml"))
    Path("s.yaml").write_text("name: s\nfixed: {dataset: file:f.npy, model: vae}\n")
    assert f"fixed.dataset: {fits.format(128)}" in refused(mimsweep("validate", "s.yaml"))
    assert mimsweep("validate", "s.yaml", "--set", "batch_size=20").exit_code == 0


def test_two_files_of_one_content_are_told(here: Path) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(name, X)
    sweep("file:a.npy", grid="{model: [vae]}")
    file = Path("s.yaml")
    file.write_text(
        file.read_text()
        .replace("dataset: file:a.npy, ", "")
        .replace("{model:", "{dataset: [file:a.npy, file:b.npy], model:")
    )
    told = refused(mimsweep("validate", "s.yaml"))
    assert "file:b.npy has the same content as file:a.npy: its runs are the same" in told


def test_a_file_that_may_not_be_read_is_told(here: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    array(X)()
    os.chmod("f.npy", 0)
    assert told("f.npy").startswith("f.npy can't be read: Permission denied")


def test_a_search_is_refused_likewise(here: Path) -> None:
    array(other(0, 0, np.nan))()
    Path("s.yaml").write_text(
        "name: s\nfixed: {dataset: file:f.npy, model: vae}\nseeds: 1..2\n"
        "space: {warmup: {int: [1, 5]}}\nobjective: {metric: nll, direction: minimize}\ntrials: 2\n"
    )
    sentence = "s.yaml:2:18: fixed.dataset: f.npy: row 0 (from 0): column 0 (from 0) is nan"
    assert refused(mimsweep("search", "s.yaml")).startswith(sentence)


def test_a_relative_path_starts_where_it_is_written(here: Path) -> None:
    (here / "deep").mkdir()
    np.save("deep/f.npy", X)
    sweep("file:f.npy")
    Path("s.yaml").rename("deep/s.yaml")
    assert mimsweep("validate", "deep/s.yaml").exit_code == 0
    command = ("validate", "deep/s.yaml", "--set")
    assert mimsweep(*command, "dataset=file:deep/f.npy").exit_code == 0
    assert "there is no file f.npy" in refused(mimsweep(*command, "dataset=file:f.npy"))
    np.save("g.npy", X)
    assert (
        mimsweep(
            "validate", "smoke", "--set", "dataset=file:g.npy", "--set", "batch_size=32"
        ).exit_code
        == 0
    )
