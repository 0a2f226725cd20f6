"""A recurrent forecaster: what follows a window of a series, all at once or step by step."""

import itertools
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.models.forecast_heads import Head, Kind
from recurra.models.stack import CellOrPerceptron, StackOptions, Widths, build_stack


class ForecasterOptions(StackOptions):
    """The shape of the network and its dropout."""

    cell: CellOrPerceptron = Field(
        "gru", description="kind of recurrent layer; mlp is a network without memory, over the whole context at once"
    )
    hidden_size: Widths = Field([64], description="units of each layer, bottom first")
    bidirectional: bool = Field(False, description="read the context in both directions")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers")
    output_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the output layer")
    decoding: Literal["direct", "autoregressive"] = Field(
        "direct",
        description="all steps of the horizon by one linear map; or one after the other, each given the one before",
    )
    teacher_forcing: float = Field(
        1.0,
        ge=0,
        le=1,
        description="where autoregressive: share of training steps that are given the true step before them, the "
        "others the model's own; forecasts are always given its own",
    )
    highway: int = Field(
        0, ge=0, description="last steps of the targets that also reach the forecast by one linear map; where direct"
    )
    head: Kind = Field("point", description="what is said of a value: a number, mean and deviation, or quantiles")
    quantiles: list[float] = Field(
        [0.1, 0.5, 0.9], description="levels that are learned where head = quantile; by which it is judged else"
    )

    @model_validator(mode="after")
    def decoder_carries_a_state(self) -> "ForecasterOptions":
        """A decoder goes on from the state that one direction ends in."""
        if self.decoding == "autoregressive" and (self.cell == "mlp" or self.bidirectional or self.highway):
            raise ValueError(
                "a recurrent cell, bidirectional = false and highway = 0 where decoding = autoregressive: the decoder "
                "goes on from the state at the end of the context"
            )
        return self

    @model_validator(mode="after")
    def quantiles_rise(self) -> "ForecasterOptions":
        """Quantiles in order, with the median."""
        rising = sorted(set(self.quantiles))
        if rising != self.quantiles or 0.5 not in rising or not 0 < rising[0] <= rising[-1] < 1:
            raise ValueError("quantiles rising between 0 and 1, 0.5 among them")
        return self


class ForecasterShape(NamedTuple):
    """What a forecaster reads and writes."""

    channels: int  # of a step of the context, targets first
    num_targets: int
    num_known: int  # covariates known beforehand, last among the channels
    context: int  # steps
    horizon: int  # steps it is trained on


class Forecaster(nn.Module):
    """What follows a context: the parameters of a head, around a plain forecast that is given.

    Args:
        shape: what it reads and writes.
        head: what it says of a value.
        options: cell, widths, decoding and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: ForecasterShape, head: Head, options: ForecasterOptions) -> None:
        super().__init__()
        self.encoder: Recurrence | Perceptron
        if options.cell == "mlp":
            self.encoder = Perceptron(shape, options)
        else:
            self.encoder = Recurrence(shape, options)
        self.decoder: DirectDecoder | StepDecoder
        if options.decoding == "direct":
            self.decoder = DirectDecoder(self.encoder.width, shape, head, options)
        else:
            self.decoder = StepDecoder(shape, head, options)

    def forward(self, context: Tensor, base: Tensor, future: Tensor, targets: Tensor | None = None) -> Tensor:
        """Forecast.

        Args:
            context: all channels up to the present, (context, batch, channels).
            base: plain forecast that the network's is added to, (horizon, batch, targets); where decoding is
                autoregressive it may have any number of steps.
            future: covariates known beforehand, (horizon, batch, known).
            targets: what came, for teacher forcing, (horizon, batch, targets).

        Returns:
            Parameters of the head, (horizon, batch, targets, width).
        """
        read_out, state = self.encoder(context)
        parameters: Tensor = self.decoder(read_out, state, Situation(context, base, future, targets))
        return parameters


class Situation(NamedTuple):
    """What a decoder is given beside what the encoder says; see `Forecaster.forward`."""

    context: Tensor
    base: Tensor
    future: Tensor
    targets: Tensor | None


class Recurrence(nn.Module):
    """Recurrent layers over the context, read out at its end (and at its beginning, where they run backward too).

    Args:
        shape: what it reads.
        options: cell and widths.
    """

    def __init__(self, shape: ForecasterShape, options: ForecasterOptions) -> None:
        super().__init__()
        self.recurrent = build_stack(options.cell, shape.channels, options, shape.context)
        self.width = options.hidden_size[-1] * (1 + options.bidirectional)
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, context: Tensor) -> tuple[Tensor, Any]:
        """From a context (context, batch, channels) to features (batch, width) and the final state of all layers."""
        _, state = self.recurrent(context)
        ends = self.recurrent.top_hidden(state)  # (directions, batch, hidden)
        return self.dropout(ends.transpose(0, 1).flatten(1)), state


class Perceptron(nn.Module):
    """Layers without memory over the whole context.

    Args:
        shape: what it reads.
        options: widths and dropout.
    """

    def __init__(self, shape: ForecasterShape, options: ForecasterOptions) -> None:
        super().__init__()
        widths = [shape.context * shape.channels, *options.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.width = widths[-1]
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, context: Tensor) -> tuple[Tensor, None]:
        """From a context (context, batch, channels) to features (batch, width)."""
        hidden = context.transpose(0, 1).flatten(1)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden).relu())
        return hidden, None


class DirectDecoder(nn.Module):
    """All steps by one linear map of what was read out and what is known beforehand.

    Args:
        width: features that are read out.
        shape: what is forecast.
        head: what is said of a value.
        options: the highway.
    """

    def __init__(self, width: int, shape: ForecasterShape, head: Head, options: ForecasterOptions) -> None:
        super().__init__()
        self.shape, self.head, self.steps = shape, head, options.highway
        values = shape.horizon * shape.num_targets
        self.output = nn.Linear(width + shape.horizon * shape.num_known, values * head.width)
        self.highway = nn.Linear(options.highway * shape.num_targets, values, bias=False) if options.highway else None
        if self.highway is not None:
            nn.init.zeros_(self.highway.weight)  # it is convex: where it begins is the plain forecast

    def forward(self, read_out: Tensor, state: Any, situation: Situation) -> Tensor:  # noqa: ARG002
        """Parameters of the head, (horizon, batch, targets, width)."""
        context, base, future, _ = situation
        assert len(base) == self.shape.horizon
        parameters = self.by_step(self.output(torch.cat([read_out, future.transpose(0, 1).flatten(1)], 1)))
        if self.highway is not None:
            past = context[-self.steps :, :, : self.shape.num_targets].transpose(0, 1).flatten(1)
            base = base + self.by_step(self.highway(past)).squeeze(-1)
        return self.head.move(parameters, base)

    def by_step(self, flat: Tensor) -> Tensor:
        """From (batch, horizon*targets*width) to (horizon, batch, targets, width)."""
        steps: Tensor = flat.unflatten(1, (self.shape.horizon, self.shape.num_targets, -1))
        return steps.transpose(0, 1)


class StepDecoder(nn.Module):
    """Recurrent layers that go on where those over the context ended, each step given the one before.

    Args:
        shape: what is forecast.
        head: what is said of a value.
        options: cell, widths, teacher forcing and dropout.
    """

    def __init__(self, shape: ForecasterShape, head: Head, options: ForecasterOptions) -> None:
        super().__init__()
        self.num_targets, self.head, self.teacher_forcing = shape.num_targets, head, options.teacher_forcing
        self.recurrent = build_stack(options.cell, shape.num_targets + shape.num_known, options, shape.horizon)
        self.dropout = nn.Dropout(options.output_dropout)
        self.output = nn.Linear(options.hidden_size[-1], shape.num_targets * head.width)

    def forward(self, read_out: Tensor, state: Any, situation: Situation) -> Tensor:  # noqa: ARG002
        """Parameters of the head, (horizon, batch, targets, width)."""
        context, base, future, targets = situation
        before = context[-1:, :, : self.num_targets]
        if targets is not None and self.teacher_forcing == 1:
            inputs = torch.cat([torch.cat([before, targets[:-1]]), future], 2)
            return self.advance(inputs, base, state)[0]
        found: list[Tensor] = []
        for step in range(len(base)):
            here = slice(step, step + 1)
            parameters, state = self.advance(torch.cat([before, future[here]], 2), base[here], state)
            found.append(parameters)
            is_taught = targets is not None and float(torch.rand(())) < self.teacher_forcing
            before = targets[here] if targets is not None and is_taught else self.head.middle(parameters)
        return torch.cat(found)

    def advance(self, inputs: Tensor, base: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Some steps further: parameters (time, batch, targets, width) and the state after them."""
        output, state = self.recurrent(inputs, state)
        parameters = self.output(self.dropout(output)).unflatten(2, (self.num_targets, -1))
        return self.head.move(parameters, base), state
