"""How a model is trained: the section every recipe shares."""

from typing import Any, Literal

from pydantic import Field, model_validator

from recurra.config.schema import Duration, Section


class TrainingOptions(Section):
    """The `[training]` section."""

    epochs: int = Field(20, ge=1, description="passes over the training data at the most")
    time: Duration | None = Field(
        None,
        gt=0,
        description="stop training after this long (90s, 10m, 1.5h); reading and the final report come on top",
    )
    steps: int | None = Field(None, ge=1, description="stop after this many updates")
    batch_size: int = Field(32, ge=1, description="sequences (or lanes of text) side by side in a step")
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="update rule")
    learning_rate: float = Field(3e-3, gt=0, description="learning rate of the first epoch")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment in adam and adamw")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment in adam and adamw")
    weight_decay: float = Field(0.0, ge=0, description="pull of the weights towards zero; biases are left alone")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a running mean of the weights, such as 0.998, judged and kept in their place; 0: no mean",
    )
    schedule: Literal["constant", "epoch", "plateau"] = Field(
        "plateau",
        description="learning rate: constant; epoch: times `decay` each epoch after `decay_after`; "
        "plateau: times `decay` after each epoch that did not lower the validation loss",
    )
    decay: float = Field(0.5, gt=0, lt=1, description="factor of the learning rate at a decay")
    decay_after: int = Field(1, ge=1, description="epochs at full learning rate where `schedule = epoch`")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the whole gradient; 0 does not clip")
    clip_value: float = Field(
        0.0, ge=0, description="instead of the norm: largest size of one gradient element; 0 does not clip"
    )
    patience: int | None = Field(None, ge=1, description="stop after this many epochs without improvement")
    checkpoint_every: Duration = Field(300.0, gt=0, description="time between checkpoints within an epoch")

    @model_validator(mode="before")
    @classmethod
    def clip_once(cls, values: Any) -> Any:
        """Clipping by value turns off clipping by norm, unless somebody asks for both: they have no stated order."""
        if isinstance(values, dict) and values.get("clip_value"):
            if values.get("clip_norm"):
                raise ValueError("clip_norm or clip_value, not both")
            return {**values, "clip_norm": 0.0}
        return values
