"""The fields of a run, and the values that each can have by itself."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mimsweep.orchestrator.files.choices import (
    ACTIVATIONS,
    IMAGE_MODELS,
    MODELS,
    P_Z,
    PRIORS,
    Q_X,
    Q_X_SAMPLES,
    check_dataset,
    is_file,
)

IMAGE_FIELDS = (
    "prior",
    "pseudo_inputs",
    "use_training_data_init",
    "patience",
    "likelihood_samples",
    "train_items",
    "test_items",
)
"""The fields that only the two-level image models have."""

OTHERS_FIELDS = (
    "mid_dim",
    "layers",
    "act",
    "inv_h",
    "min_logvar",
    "p_z",
    "q_x",
    "q_x_samples",
    "p_z_gmm",
    "q_x_gmm",
    "q_zx_gmm",
    "p_xz_gmm",
    "learn_p_z",
)
"""The fields that they don't have."""

FILE_FIELDS = ("test_fraction", "standardise", "label", "bits")
"""The fields that only runs on data files have, beside what is found of them."""

FOUND_FIELDS = ("content",)
"""The fields that nobody sets."""

LATER_FIELDS = (*IMAGE_FIELDS, *FILE_FIELDS, *FOUND_FIELDS)
"""The fields that are newer than the first stored runs: no part of a key while they have their
defaults."""

EPOCH_POINTS = 10_000
"""Points in an epoch of toy data, the smallest epoch there is: no batch can be larger."""

LARGEST = 10**18 - 1
"""Of an integer: 18 digits fit an int64."""

Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Components = Annotated[int, Field(ge=0, le=EPOCH_POINTS)]


class RunFields(BaseModel):
    """The fields of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: Annotated[str, AfterValidator(check_dataset)]
    model: Annotated[str, AfterValidator(MODELS.check)]
    seed: Annotated[int, Field(ge=0, le=LARGEST)] = 1
    z_dim: Positive = 2
    mid_dim: Positive = 50
    layers: Positive = 2
    act: Annotated[str, AfterValidator(ACTIVATIONS.check)] = "tanh"
    inv_h: bool = False
    # Beyond 18 the inverse of the floor's square, 10^36, leaves what float32 can hold.
    min_logvar: Annotated[int, Field(ge=0, le=18)] = 6
    warmup: Positive = 3
    epochs: Positive = 200
    batch_size: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 128
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    p_z: Annotated[str, AfterValidator(P_Z.check)] = "anchor"
    q_x: Annotated[str, AfterValidator(Q_X.check)] = "marginal"
    q_x_samples: Annotated[str, AfterValidator(Q_X_SAMPLES.check)] = "conditional"
    p_z_gmm: Components = 0
    q_x_gmm: Components = 0
    q_zx_gmm: Components = 0
    p_xz_gmm: Components = 0
    learn_p_z: bool = False
    prior: Annotated[str, AfterValidator(PRIORS.check)] = "standard"
    pseudo_inputs: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 500
    use_training_data_init: bool = True
    patience: Positive = 50
    likelihood_samples: Positive = 5000
    train_items: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    test_items: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    standardise: bool = True
    label: Annotated[str, Field(max_length=200)] = ""
    bits: bool = False
    content: str = ""

    @property
    def of_images(self) -> bool:
        """Whether it is a two-level image model, which has training and measures of its own."""
        return self.model in IMAGE_MODELS

    @property
    def of_file(self) -> bool:
        """Whether its data set is a file."""
        return is_file(self.dataset)

    def own_fields(self) -> dict[str, Any]:
        """Returns the fields that its model and data have; the others have their defaults."""
        others = {*(OTHERS_FIELDS if self.of_images else IMAGE_FIELDS)}
        if not self.of_file:
            others |= {*FILE_FIELDS, *FOUND_FIELDS}
        return {name: value for name, value in self if name not in others}
