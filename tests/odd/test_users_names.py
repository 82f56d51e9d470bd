"""Names that users give to what they add: none of ours, and none twice."""

from pathlib import Path

import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.files import choices
from tests.odd.users import DATA, SWEEP, write
from tests.orchestrator.commands import mimsweep, refused

OURS = [
    ("data", "toydata", "data set"),
    ("data", "Toy4_2", "data set"),
    ("data", "mnist", "data set"),
    ("data", "pca-fashion-mnist20", "data set"),
    ("loss", "mim", "model"),
    ("loss", "convhvae_2level-smim", "model"),
    ("density", "anchor", "distribution"),
    ("density", "gmm-marginal", "distribution"),
]
CALLS = {"data": ", dims=2, load=print", "loss": ", print", "density": ", print"}


@pytest.mark.parametrize(("call", "name", "kind"), OURS)
def test_a_name_of_ours_is_refused_with_its_place(
    users: Path, call: str, name: str, kind: str
) -> None:
    write(users, f"from mimsweep import register\nregister.{call}({name!r}{CALLS[call]})\n")
    told = refused(mimsweep("validate", "s.yaml"))
    assert f"mine.py:2: {name} is a {kind} of ours; give yours another name" in told


def test_all_names_of_ours_are_known_where_users_register() -> None:
    for name in (*choices.BITS, *choices.IMAGE_SETS, "toy0", "toy-4_20", "toyMIM", "ToyMIM"):
        assert registry.OUR_DATA.fullmatch(name)
    assert all(map(registry.OUR_MODELS.fullmatch, choices.MODELS.now))
    assert all(map(registry.OUR_DENSITIES.fullmatch, (*choices.P_Z.now, *choices.Q_X.now)))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "7", "a" * 65, 7])
def test_what_can_be_no_name_is_refused(users: Path, name: object) -> None:
    write(users, f"from mimsweep import register\nregister.loss({name!r}, print)\n")
    told = refused(mimsweep("validate", "s.yaml"))
    assert f"mine.py:2: {name!r} is not allowed as the name of a model" in told


def test_a_name_given_twice_is_refused_with_both_places(users: Path) -> None:
    (users / "other.py").write_text("from mimsweep import register\nregister.loss('a', print)\n")
    write(users, "import other\nfrom mimsweep import register\nregister.loss('a', print)\n")
    told = refused(mimsweep("validate", "s.yaml"))
    assert "mine.py:3: the model a is registered already, in other.py:2" in told
    write(
        users, "from mimsweep import register\nregister.loss('b', print)\nregister.loss('b', str)\n"
    )
    told = refused(mimsweep("validate", "s.yaml"))
    assert "mine.py:3: the model b is registered already, in mine.py:2" in told


def test_the_same_module_may_register_again(users: Path) -> None:
    write(users, DATA, SWEEP)
    assert mimsweep("validate", "s.yaml").exit_code == 0
    for text in (DATA, f"\n{DATA}"):  # imported under another name; reloaded after an edit
        space = {"__name__": "again", "__file__": str(users / "mine.py")}
        exec(compile(text, users / "mine.py", "exec"), space)
    assert registry.DATA["mine"].dims == 2
