"""The `[training]` keys that all tasks share."""

from typing import Any, Literal

from pydantic import Field, model_validator

from recurra.config.schema import Duration, Section


class TrainingOptions(Section):
    """The `[training]` section."""

    epochs: int = Field(20, ge=1, description="largest number of passes over the training data")
    time: Duration | None = Field(
        None,
        gt=0,
        description="stop training after this time (90s, 10m, 1.5h), not counting loading and the final evaluation",
    )
    steps: int | None = Field(None, ge=1, description="stop training after this many steps (batches)")
    batch_size: int = Field(
        32, ge=1, description="sequences per batch; in language modelling, parallel streams of text"
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(3e-3, gt=0, description="highest learning rate of the schedule")
    momentum: float = Field(0.0, ge=0, lt=1, description="momentum of sgd")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay rate of the first moment in adam and adamw")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay rate of the second moment in adam and adamw")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of the optimizer, not applied to biases")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights (EMA), such as 0.998; validation and the saved model "
        "use the average; 0 turns it off",
    )
    schedule: Literal["constant", "step", "plateau", "cosine", "one-cycle"] = Field(
        "plateau",
        description="how the learning rate changes; step: times `decay` after epoch `decay_after` and each later one; "
        "plateau: times `decay` after each epoch without a new lowest validation loss; cosine: falls to 0 over the "
        "whole training; one-cycle: rises during the first 30% of it, then falls to 0",
    )
    decay: float = Field(
        0.5, gt=0, lt=1, description="factor of the learning rate where `schedule` is `step` or `plateau`"
    )
    decay_after: int = Field(1, ge=1, description="epochs at the full learning rate where `schedule` is `step`")
    warmup_steps: int = Field(
        0,
        ge=0,
        description="steps over which the learning rate first rises linearly to that of the schedule; 0 for none",
    )
    clip_norm: float = Field(1.0, ge=0, description="clip the norm of the whole gradient to this; 0 for no clipping")
    clip_value: float = Field(
        0.0, ge=0, description="clip each element of the gradient to this instead of the norm; 0 for no clipping"
    )
    patience: int | None = Field(None, ge=1, description="stop training after this many epochs without a new best one")
    checkpoint_every: Duration = Field(
        300.0, gt=0, description="time between checkpoints within an epoch, in seconds or as 90s, 10m, 1.5h"
    )

    @model_validator(mode="before")
    @classmethod
    def clip_once(cls, values: Any) -> Any:
        """Let `clip_value` turn off the default `clip_norm`; both is an error, their order would be unclear."""
        if isinstance(values, dict) and values.get("clip_value"):
            if values.get("clip_norm"):
                raise ValueError("clip_norm or clip_value, not both")
            return {**values, "clip_norm": 0.0}
        return values
