"""The data file of a run as MLflow shows it: an input, with its hash and where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow.entities import Dataset, DatasetInput, InputTag

if TYPE_CHECKING:
    from mimsweep.models.data.files.found import DataFile

_CONTEXT = "mlflow.data.context"


def as_input(file: DataFile) -> DatasetInput:
    """Returns a data file as an input that a run was trained on."""
    facts = file.facts
    items = facts.train_items + facts.test_items
    dataset = Dataset(
        name=file.path.name,
        digest=file.content,
        source_type="local",
        source=json.dumps({"uri": str(file.path)}),
        profile=json.dumps({"num_rows": items, "num_elements": items * facts.dims}),
    )
    return DatasetInput(dataset, [InputTag(_CONTEXT, "training")])
