"""The stack of recurrent layers that every model is built around, as a recipe describes it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from torch import nn

from recurra.config import Section
from recurra.nn import LockedDropout
from recurra.nn.initialization import families, initialize
from recurra.nn.layers import LAYERS
from recurra.nn.recurrent import Recurrent
from recurra.ops.cells import option_choices

Merge: TypeAlias = Literal["concat", "sum", "average", "multiply"]

if TYPE_CHECKING:  # choices of a recipe, read from the records of the cells, which type checkers cannot do
    CellName: TypeAlias = str
    CellOrPerceptron: TypeAlias = str
    GatedCellName: TypeAlias = str
    Nonlinearity: TypeAlias = str
else:
    CellName = Literal[tuple(LAYERS)]
    CellOrPerceptron = Literal[(*LAYERS, "mlp")]
    GatedCellName = Literal[tuple(family.lower() for family in families(keeping=True))]
    Nonlinearity = Literal[tuple(option_choices("RNN")["nonlinearity"])]


def as_list(value: object) -> object:
    """A single width is one layer."""
    return [value] if isinstance(value, int) else value


def above_zero(widths: list[int]) -> list[int]:
    """Widths of layers."""
    if min(widths) < 1:
        raise ValueError("widths of at least 1")
    return widths


Widths = Annotated[list[int], Field(min_length=1), BeforeValidator(as_list), AfterValidator(above_zero)]


class WidthOptions(Section):
    """The width of each layer."""

    hidden_size: Widths = Field([128], description="units of each layer, bottom first")


class LayerOptions(WidthOptions):
    """Recurrent layers, their dropout and their initial weights."""

    dropout: float = Field(0.3, ge=0, lt=1, description="dropout between layers")
    output_dropout: float = Field(0.3, ge=0, lt=1, description="dropout before the output layer")
    locked_dropout: bool = Field(True, description="keep a dropout mask for all steps of a sequence")
    initialization: Literal["default", "orthogonal", "identity", "chrono"] = Field(
        "default",
        description="recurrent weights: uniform; orthogonal; identity (of an rnn); chrono: gates that keep the state "
        "for up to as many steps as the longest training sequence has",
    )
    forget_bias: float | None = Field(None, description="bias of the gate that keeps the state, of a cell with one")
    nonlinearity: Nonlinearity = Field("tanh", description="of an rnn")


class StackOptions(LayerOptions):
    """A stack in one or both directions."""

    bidirectional: bool = Field(True, description="read each sequence in both directions")
    merge: Merge = Field("concat", description="how the two directions become one")


def build_stack(cell: str, input_size: int, options: StackOptions, longest: int) -> Recurrent:
    """The recurrent layers of a recipe, in one or both directions; arguments and errors as of `build_layers`."""
    return build_layers(cell, input_size, options, longest, bidirectional=options.bidirectional, merge=options.merge)


def build_layers(
    cell: str,
    input_size: int,
    options: LayerOptions,
    longest: int,
    *,
    bidirectional: bool = False,
    merge: Merge = "concat",
) -> Recurrent:
    """The recurrent layers of a recipe.

    Args:
        cell: a name in `LAYERS`.
        input_size: features of the input.
        options: widths, dropout and initial weights.
        longest: steps of the longest training sequence.
        bidirectional: in both directions.
        merge: how these become one.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """
    layer = LAYERS[cell]
    stack = layer(
        input_size,
        options.hidden_size,
        bidirectional=bidirectional,
        merge=merge,
        dropout=options.dropout if len(options.hidden_size) > 1 else 0.0,
        locked_dropout=options.locked_dropout,
        **own_options(layer.family, options),
    )
    initialize(stack, options.initialization, forget_bias=options.forget_bias, longest=longest)
    return stack


def own_options(family: str, options: LayerOptions) -> dict[str, Any]:
    """The options of a family of cells that a recipe has too, such as the non-linearity of an RNN."""
    return {name: value for name, value in options if name in option_choices(family)}


def stack_width(options: StackOptions) -> int:
    """Features that a stack gives at each step."""
    return options.hidden_size[-1] * (2 if options.bidirectional and options.merge == "concat" else 1)


def dropout_of(share: float, locked: bool) -> nn.Module:
    """Dropout with a fresh mask each step, or one for all steps."""
    return LockedDropout(share) if locked else nn.Dropout(share)
