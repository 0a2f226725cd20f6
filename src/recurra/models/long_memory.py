"""A recurrent network for tasks that need long memory."""

from pydantic import Field
from torch import Tensor, nn

from recurra.models.stack import CellName, StackOptions, Widths, build_stack, dropout_of, stack_width


class LongMemoryOptions(StackOptions):
    """The `[model]` options of the network."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    hidden_size: Widths = Field([64], description="units of each layer, bottom first")
    bidirectional: bool = Field(
        False,
        description="read each sequence in both directions; of no use for outputs at the last steps",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers")
    output_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the output layer")


class LongMemoryNetwork(nn.Module):
    """Recurrent layers and an output layer at the last steps.

    Args:
        input_size: features of a step.
        output_size: features of an output.
        steps: length of a training sequence.
        options: cell, widths, initial weights and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, input_size: int, output_size: int, steps: int, options: LongMemoryOptions) -> None:
        super().__init__()
        self.recurrent = build_stack(options.cell, input_size, options, steps)
        self.dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(stack_width(options), output_size)

    def forward(self, inputs: Tensor, num_outputs: int) -> Tensor:
        """Outputs at the last steps.

        Args:
            inputs: (time, batch, features).
            num_outputs: number of last steps with an output, at most time.

        Returns:
            (num_outputs, batch, outputs).
        """
        hidden, _ = self.recurrent(inputs)  # (time, batch, hidden)
        outputs: Tensor = self.output(self.dropout(hidden[-num_outputs:]))  # (num_outputs, batch, outputs)
        return outputs
