"""A store that a user edits in MLflow: what is gone is missing, what is broken is named."""

import math
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import RefusedError
from mimsweep.orchestrator.tracking.runs import Run
from mimsweep.orchestrator.tracking.store import listed
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.commands import RUNS, mimsweep
from tests.orchestrator.stores import SPECS, start


@pytest.fixture
def client(store: Tracking) -> MlflowClient:
    """MLflow's own view of the sweep's store."""
    return MlflowClient(store.uri)


def experiment_id(client: MlflowClient) -> str:
    (found,) = [each for each in client.search_experiments() if each.name != "Default"]
    return str(found.experiment_id)


def test_a_run_without_its_key_is_named_in_a_line_and_passed_over(
    store: Tracking, client: MlflowClient, sweep: Path
) -> None:
    run_id = store.complete("toy")[RUNS[0].run_key]
    client.delete_tag(run_id, "mimsweep.run_key")
    line = (
        f"mimsweep: MLflow's run {run_id} ({RUNS[0].run_name}) has lost its tag "
        "mimsweep.run_key: it is passed over\n"
    )
    for command, expected in [
        (("results", sweep), RUNS[1].run_key),
        (("plan", sweep), "6 runs, 1 complete"),
        (("status", sweep, "--json"), '"finished": 1'),
    ]:
        done = mimsweep(*command)
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert done.stderr == line
        assert expected in done.stdout


def test_a_parent_without_its_role_owns_nothing(
    store: Tracking, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    parent_id = store.latest_parent("toy")
    assert parent_id
    client.delete_tag(parent_id, "mimsweep.role")
    assert store.statuses("toy")[RUNS[4].run_key].status == "KILLED"
    assert "has lost its tag mimsweep.role" in capsys.readouterr().err
    store.statuses("toy")
    assert capsys.readouterr().err == ""


def test_runs_of_others_in_the_experiment_are_passed_over_without_a_word(
    store: Tracking, client: MlflowClient, sweep: Path
) -> None:
    before = mimsweep("status", sweep, "--json").stdout
    run = client.create_run(experiment_id(client), tags={"mimsweep.complete": "true"})
    client.set_terminated(run.info.run_id)
    after = mimsweep("status", sweep, "--json")
    assert (after.stdout, after.stderr) == (before, "")
    assert len(store.frame("toy")) == 2


def test_a_renamed_experiment_is_found_by_its_tag(
    store: Tracking, client: MlflowClient, sweep: Path
) -> None:
    before = store.complete("toy")
    client.rename_experiment(experiment_id(client), "of last year")
    assert store.complete("toy") == before
    assert store.sweeps() == ["toy"]
    assert "6 runs, 2 complete" in mimsweep("plan", sweep).output
    client.create_experiment("toy")  # by hand, and empty
    assert store.complete("toy") == before
    parent_id = store.latest_parent("toy")
    assert parent_id
    store.finish_sweep(parent_id, "FINISHED", {})
    start(store)
    assert store.complete("toy") == before


def test_an_experiment_renamed_with_its_sweep_is_found_by_its_name(
    store: Tracking, client: MlflowClient
) -> None:
    before = store.complete("toy")
    client.rename_experiment(experiment_id(client), "toys")
    assert store.complete("toys") == before
    parent_id = store.latest_parent("toy")
    assert parent_id
    store.finish_sweep(parent_id, "FINISHED", {})
    store.start_sweep("toys", "", {}, {})
    assert store.complete("toys") == before
    assert store.complete("toy") == {}


def test_what_was_deleted_is_refused_for_good(store: Tracking, client: MlflowClient) -> None:
    parent_id = store.latest_parent("toy")
    assert parent_id
    (run_id,) = store.create_runs(parent_id, SPECS[:1], {})
    client.delete_run(run_id)
    for call in (
        lambda: store.log_epochs(run_id, [(1, {"a": 1.0})]),
        lambda: store.finish(run_id, {}, {}),
        lambda: store.fail(run_id, "", {}),
        lambda: store.kill([run_id]),
        lambda: store.log_epochs("0" * 32, [(1, {"a": 1.0})]),
    ):
        with pytest.raises(RefusedError, match="refused: "):
            call()
    client.delete_experiment(experiment_id(client))
    with pytest.raises(RefusedError):
        store.create_runs(parent_id, SPECS[:1], {})


def test_a_database_lists_runs_as_a_search_finds_them(
    store: Tracking, client: MlflowClient, sweep: Path
) -> None:
    number = experiment_id(client)
    gone, odd = (client.create_run(number).info.run_id for _ in range(2))
    client.delete_run(gone)
    for name, value in [("nan", math.nan), ("most", math.inf), ("least", -math.inf)]:
        client.log_metric(odd, name, value)
    found = client.search_runs([number])
    listing = listed(client, number, values=True)
    assert listing is not None
    assert repr([_facts(run) for run in listing]) == repr([_facts(run) for run in found])
    assert len(listing) > len(RUNS) - 1
    assert any(run.data.params for run in listing)
    bare = listed(client, number, values=False)
    assert bare is not None
    assert [run.data.tags for run in bare] == [run.data.tags for run in found]
    assert not any(run.data.params or run.data.metrics for run in bare)


def _facts(run: Run) -> list[object]:
    info, data = run.info, run.data
    names = (info.run_id, info.run_name, info.status, info.start_time)
    return [names, *(sorted(each.items()) for each in (data.tags, data.params, data.metrics))]
