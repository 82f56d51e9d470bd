import math
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.nodes import scalar
from mimsweep.orchestrator.files.yamlfile import YamlFile, YamlPath, load_yaml


def load(folder: Path, text: str | bytes) -> YamlFile:
    path = folder / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5", -2.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("00.5", 0.5),
        (".inf", math.inf),
        ("7", 7),
        ("-7", -7),
        ("0", 0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("toy4_20", "toy4_20"),
        ("1..10", "1..10"),
        # What YAML 1.1 makes something else of:
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("012", "012"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalar_has_no_surprises(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quoted_and_block_text_stays_text(tmp_path: Path) -> None:
    file = load(tmp_path, "a: '5'\nb: \"true\"\nc: |\n  7\n'1': x\n")
    assert file.data == {"a": "5", "b": "true", "c": "7\n", "1": "x"}


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfa: 1").data == {"a": 1}


def test_positions_of_keys_values_and_items(tmp_path: Path) -> None:
    file = load(tmp_path, "# first\nname: a\ngrid:\n  seedz: [1,  20]\n  x: {y: 3}\n")
    assert file.position(("grid", "seedz"), key=True) == (4, 3)
    assert file.position(("grid", "seedz")) == (4, 10)
    assert file.position(("grid", "seedz", 1)) == (4, 15)
    assert file.position(("grid", "x", "y")) == (5, 10)
    assert file.position(("grid", "x", "missing")) == (5, 6)
    assert file.position(("missing",), key=True) == (2, 1)


MERGED = """\
x-base: &base {seed: 1, z_dim: 2}
.more: &more  # the rest

  z_dim: 3
  lr: &lr 0.1
grid:
- {<<: *base, z_dim: 5}
- <<: [*base, *more]
  model: vae
- *more
rate: *lr
"""


def test_aliases_and_merges_are_what_they_stand_for(tmp_path: Path) -> None:
    data = load(tmp_path, MERGED).data
    assert data == {
        "grid": [
            {"seed": 1, "z_dim": 5},
            {"seed": 1, "z_dim": 2, "lr": 0.1, "model": "vae"},
            {"z_dim": 3, "lr": 0.1},
        ],
        "rate": 0.1,
    }
    assert list(data["grid"][1]) == ["seed", "z_dim", "lr", "model"]
    assert load(tmp_path, "a: {'<<': 1}").data == {"a": {"<<": 1}}  # quoted, it is a key


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("grid", 0, "z_dim"), "7:22: grid.z_dim: is wrong"),
        (("grid", 0, "seed"), "1:22: grid.seed: is wrong (used in line 7)"),
        (("grid", 1, "lr"), "5:11: grid.lr: is wrong (used in line 8)"),
        (("grid", 2), "4:3: grid: is wrong (used in line 10)"),
        (("grid", 2, "z_dim"), "4:10: grid.z_dim: is wrong (used in line 10)"),
        (("rate",), "5:11: rate: is wrong (used in line 11)"),
    ],
)
def test_an_error_points_to_what_is_written_and_tells_where_it_is_used(
    tmp_path: Path, path: YamlPath, place: str
) -> None:
    assert str(load(tmp_path, MERGED).error(path, "is wrong")) == f"{tmp_path}/a.yaml:{place}"


def test_a_bomb_of_aliases_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(SpecError) as error:
        load(tmp_path, "\n".join(lines))
    assert str(error.value).endswith(
        "a.yaml:5:45: the alias *a3 makes the file, written out, more than 100,000 values"
    )
    merges = ["a0: &a0 {k: [1, 2, 3]}"]
    merges += [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}}}" for n in range(1, 60)]
    with pytest.raises(SpecError, match="written out, more than 100,000 values"):
        load(tmp_path, "\n".join(merges))
    written_out = load(tmp_path, f"a: [{', '.join(['1'] * 100_001)}]")
    assert len(written_out.data["a"]) == 100_001


def test_error_names_file_position_and_field(tmp_path: Path) -> None:
    file = load(tmp_path, "grid:\n- seed: 1\n- seed: [2, 3]\n")
    error = file.error(("grid", 1, "seed", 1), "3 is too much")
    assert str(error) == f"{tmp_path}/a.yaml:3:13: grid.seed: 3 is too much"
    assert str(file.error((), "is wrong")) == f"{tmp_path}/a.yaml:1:1: is wrong"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid:\n\tseed: 1\n", ":2:1: a tab is not allowed here; use spaces"),
        ("a: 1\nb: 2\na: 3\n", ":3:1: the key a is given twice, first in line 1"),
        ("g: {a: 1,\n a: 2}", ":2:2: the key a is given twice, first in line 1"),
        (
            "a: !!python/object/apply:os.system ['touch /tmp/x']",
            ":1:4: the tag !!python/object/apply:os.system is not allowed; write a plain value",
        ),
        ("a: !!python/name:os.system", ":1:4: the tag !!python/name:os.system is not allowed"),
        ("a: !!int '3'", ":1:4: the tag !!int is not allowed; write a plain value"),
        ("!x\na: 1", ":1:1: the tag !x is not allowed; write a plain value"),
        ("a: &x [*x]", ":1:8: the alias *x is inside of what it stands for"),
        ("a: &x {<<: *x}", ":1:12: the alias *x is inside of what it stands for"),
        (
            "a: &base 1\nb: *bsae",
            ":2:4: the alias *bsae has no anchor &bsae before it; did you mean base?",
        ),
        ("a: &x 1\nb: &x 2", ":2:4: the anchor &x is given twice, first in line 1"),
        ("a: &x 1\nb: {<<: *x}", ":2:9: << merges mappings; write <<: *name, or <<: [*a, *b] for"),
        ("a: &x {b: 1}\nb: {<<: [*x, 1]}", ":2:14: << merges mappings"),
        ("a: {<<: }", ":1:8: << merges mappings"),
        ("a: &x {b: 1}\nc: {<<: *x, <<: *x}", ":2:13: << is given twice in a mapping; merge"),
        ("a: &x {b: 1}\nc: {<<: *x, d: 1, d: 1}", ":2:19: the key d is given twice, first in"),
        ("g: {a: 2,4, 8}", ":1:10: 4 has no value; a list is written a: [2, 4, 8]"),
        ("g: {b: 1, a: x, y, c: 1}", ":1:17: y has no value; a list is written a: [x, y]"),
        ("g: {seed}", ":1:5: seed has no value; write seed: value"),
        ("g: {a: [1], 2}", ":1:13: 2 has no value; write 2: value"),
        ("a: b: c", ":1:5: mapping values are not allowed here"),
        ("a: [1, 2", ":1:9: while parsing a flow sequence: expected ',' or ']'"),
        ("a: 1\n---\nb: 2", ":2:1: a second document is not allowed; one file is one document"),
        ("- a\n- b\n", ":1:1: the file must be a mapping of keys to values"),
        ("seed", ":1:1: the file must be a mapping of keys to values"),
        ("1: 2", ":1:1: a key must be text"),
        ("a: 1\n? [b]\n: 3", ":2:3: a key must be text"),
        ("", ": the file is empty"),
        ("# only a comment\n", ": the file is empty"),
        ("a: 1\nb: \x01", ":2:4: the control character #x01 is not allowed"),
        ("[" * 5000, ": nested too deeply"),
        (b"a: 1\nbc: \xff", ":2:5: the file is not UTF-8 text"),
    ],
)
def test_bad_yaml_is_told_in_a_sentence_with_its_position(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/a.yaml{message}")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: no such file$"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match=r"is a folder, not a file$"):
        load_yaml(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match=r"cannot be read: Not a directory$"):
        load_yaml(tmp_path / "file" / "a.yaml")
