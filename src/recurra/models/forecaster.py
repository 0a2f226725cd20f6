"""A recurrent forecaster: the steps after a window of a series, all at once or autoregressively."""

import itertools
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.models.forecast_heads import ForecastHead, HeadKind
from recurra.models.stack import CellOrPerceptron, StackOptions, Widths, build_stack


class ForecasterOptions(StackOptions):
    """The `[model]` options of a forecaster."""

    cell: CellOrPerceptron = Field(
        "gru", description="kind of recurrent layer; mlp is a network without memory, over the whole context at once"
    )
    hidden_size: Widths = Field([64], description="units of each layer, bottom first")
    bidirectional: bool = Field(False, description="read the context in both directions")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers")
    output_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the output layer")
    decoding: Literal["direct", "autoregressive"] = Field(
        "direct",
        description="forecast all steps of the horizon by one linear map, or each step from the one before",
    )
    teacher_forcing: float = Field(
        1.0,
        ge=0,
        le=1,
        description="with autoregressive decoding: share of training steps that get the true value of the step before, "
        "the others get the model's own forecast",
    )
    highway: int = Field(
        0,
        ge=0,
        description="with direct decoding: last steps of the targets that also enter the forecast by a linear map",
    )
    head: HeadKind = Field(
        "point", description="output for each value: a number, mean and standard deviation, or quantiles"
    )
    quantiles: list[float] = Field(
        [0.1, 0.5, 0.9], description="levels that head = quantile learns, and by which a Gaussian head is evaluated"
    )

    @model_validator(mode="after")
    def autoregressive_decoder_needs_a_state(self) -> "ForecasterOptions":
        """An autoregressive decoder starts from the final state of a recurrent encoder in one direction."""
        if self.decoding == "autoregressive" and (self.cell == "mlp" or self.bidirectional or self.highway):
            raise ValueError(
                "a recurrent cell, bidirectional = false and highway = 0 with decoding = autoregressive, whose decoder "
                "starts from the state at the end of the context"
            )
        return self

    @model_validator(mode="after")
    def quantiles_increase(self) -> "ForecasterOptions":
        """Quantile levels increase and include the median."""
        ordered = sorted(set(self.quantiles))
        if ordered != self.quantiles or 0.5 not in ordered or not 0 < ordered[0] <= ordered[-1] < 1:
            raise ValueError("increasing quantiles between 0 and 1 that include 0.5")
        return self


class ForecasterShape(NamedTuple):
    """Sizes that depend on the data."""

    channels: int  # of a context step: first the targets, last the known covariates
    num_targets: int
    num_known: int  # covariates whose future is known
    context: int  # steps
    horizon: int  # steps of a training forecast


class Forecaster(nn.Module):
    """Forecasts the parameters of a head, relative to a given base forecast.

    Args:
        shape: sizes of the data.
        head: form of the forecast of a value.
        options: cell, widths, decoding and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: ForecasterShape, head: ForecastHead, options: ForecasterOptions) -> None:
        super().__init__()
        self.encoder: ContextEncoder | ContextPerceptron
        if options.cell == "mlp":
            self.encoder = ContextPerceptron(shape, options)
        else:
            self.encoder = ContextEncoder(shape, options)
        self.decoder: DirectDecoder | AutoregressiveDecoder
        if options.decoding == "direct":
            self.decoder = DirectDecoder(self.encoder.width, shape, head, options)
        else:
            self.decoder = AutoregressiveDecoder(shape, head, options)

    def forward(self, context: Tensor, base: Tensor, future: Tensor, targets: Tensor | None = None) -> Tensor:
        """Forecast.

        Args:
            context: all channels of the past, (context, batch, channels).
            base: forecast that the network's output is added to, (horizon, batch, targets); an autoregressive decoder
                forecasts as many steps as it has.
            future: known covariates, (horizon, batch, known).
            targets: true values for teacher forcing, (horizon, batch, targets).

        Returns:
            Parameters of the head, (horizon, batch, targets, width).
        """
        features, state = self.encoder(context)
        parameters: Tensor = self.decoder(features, state, ForecastInputs(context, base, future, targets))
        return parameters


class ForecastInputs(NamedTuple):
    """Inputs of a decoder beside the encoder output; see `Forecaster.forward`."""

    context: Tensor
    base: Tensor
    future: Tensor
    targets: Tensor | None


class ContextEncoder(nn.Module):
    """Recurrent layers over the context; the features are the final hidden states of the top layer.

    Args:
        shape: sizes of the data.
        options: cell, widths and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: ForecasterShape, options: ForecasterOptions) -> None:
        super().__init__()
        self.recurrent = build_stack(options.cell, shape.channels, options, shape.context)
        self.width = options.hidden_size[-1] * (1 + options.bidirectional)
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, context: Tensor) -> tuple[Tensor, Any]:
        """From a context (context, batch, channels) to features (batch, width) and the final state of all layers."""
        _, state = self.recurrent(context)
        final = self.recurrent.top_hidden(state)  # of the top layer, (directions, batch, hidden)
        return self.dropout(final.transpose(0, 1).flatten(1)), state


class ContextPerceptron(nn.Module):
    """A multilayer perceptron over the whole context.

    Args:
        shape: sizes of the data.
        options: widths and dropout.
    """

    def __init__(self, shape: ForecasterShape, options: ForecasterOptions) -> None:
        super().__init__()
        widths = [shape.context * shape.channels, *options.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.width = widths[-1]
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, context: Tensor) -> tuple[Tensor, None]:
        """From a context (context, batch, channels) to features (batch, width); there is no state."""
        hidden = context.transpose(0, 1).flatten(1)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden).relu())
        return hidden, None


class DirectDecoder(nn.Module):
    """Forecasts all steps by one linear map of the features and the known covariates.

    Args:
        width: features of the encoder.
        shape: sizes of the data.
        head: form of the forecast of a value.
        options: size of the highway.
    """

    def __init__(self, width: int, shape: ForecasterShape, head: ForecastHead, options: ForecasterOptions) -> None:
        super().__init__()
        self.shape, self.head, self.steps = shape, head, options.highway
        values = shape.horizon * shape.num_targets
        self.output = nn.Linear(width + shape.horizon * shape.num_known, values * head.width)
        self.highway = nn.Linear(options.highway * shape.num_targets, values, bias=False) if options.highway else None
        if self.highway is not None:
            nn.init.zeros_(
                self.highway.weight
            )  # so that training starts from the base forecast; the problem is convex in these

    def forward(self, features: Tensor, state: Any, inputs: ForecastInputs) -> Tensor:  # noqa: ARG002
        """Parameters of the head, (horizon, batch, targets, width)."""
        context, base, future, _ = inputs
        assert len(base) == self.shape.horizon
        parameters = self.split_steps(self.output(torch.cat([features, future.transpose(0, 1).flatten(1)], 1)))
        if self.highway is not None:
            past = context[-self.steps :, :, : self.shape.num_targets].transpose(0, 1).flatten(1)
            base = base + self.split_steps(self.highway(past)).squeeze(-1)
        return self.head.rescale(parameters, base)

    def split_steps(self, flat: Tensor) -> Tensor:
        """From (batch, horizon*targets*width) to (horizon, batch, targets, width)."""
        steps: Tensor = flat.unflatten(1, (self.shape.horizon, self.shape.num_targets, -1))
        return steps.transpose(0, 1)


class AutoregressiveDecoder(nn.Module):
    """Recurrent layers that start from the final state of the encoder; each step gets the value of the one before.

    Args:
        shape: sizes of the data.
        head: form of the forecast of a value.
        options: cell, widths, teacher forcing and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: ForecasterShape, head: ForecastHead, options: ForecasterOptions) -> None:
        super().__init__()
        self.num_targets, self.head, self.teacher_forcing = shape.num_targets, head, options.teacher_forcing
        self.recurrent = build_stack(options.cell, shape.num_targets + shape.num_known, options, shape.horizon)
        self.dropout = nn.Dropout(options.output_dropout)
        self.output = nn.Linear(options.hidden_size[-1], shape.num_targets * head.width)

    def forward(self, features: Tensor, state: Any, inputs: ForecastInputs) -> Tensor:  # noqa: ARG002
        """Parameters of the head, (horizon, batch, targets, width)."""
        context, base, future, targets = inputs
        before = context[-1:, :, : self.num_targets]
        if targets is not None and self.teacher_forcing == 1:
            known = torch.cat([torch.cat([before, targets[:-1]]), future], 2)  # all steps at once
            return self.run_steps(known, base, state)[0]
        found: list[Tensor] = []
        for step in range(len(base)):
            here = slice(step, step + 1)
            parameters, state = self.run_steps(torch.cat([before, future[here]], 2), base[here], state)
            found.append(parameters)
            is_forced = targets is not None and float(torch.rand(())) < self.teacher_forcing
            before = targets[here] if targets is not None and is_forced else self.head.point(parameters)
        return torch.cat(found)

    def run_steps(self, inputs: Tensor, base: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Run over inputs (time, batch, features).

        Returns:
            Parameters of the head, (time, batch, targets, width), and the state after the last step.
        """
        output, state = self.recurrent(inputs, state)
        parameters = self.output(self.dropout(output)).unflatten(2, (self.num_targets, -1))
        return self.head.rescale(parameters, base), state
