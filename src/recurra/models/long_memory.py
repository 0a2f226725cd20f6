"""A recurrent network that is asked for something it read long ago."""

from pydantic import Field
from torch import Tensor, nn

from recurra.models.stack import CellName, StackOptions, Widths, build_stack, dropout_of, stack_width


class MemoryOptions(StackOptions):
    """The shape of the network."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    hidden_size: Widths = Field([64], description="units of each layer, bottom first")
    bidirectional: bool = Field(False, description="read each sequence in both directions, which helps nobody remember")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers")
    output_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the output layer")


class MemoryNetwork(nn.Module):
    """Recurrent layers and an output layer that reads nothing but their state.

    Args:
        input_size: features of a step.
        output_size: features of an answer.
        steps: of a training sequence.
        options: cell, widths, initial weights and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, input_size: int, output_size: int, steps: int, options: MemoryOptions) -> None:
        super().__init__()
        self.recurrent = build_stack(options.cell, input_size, options, steps)
        self.dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(stack_width(options), output_size)

    def forward(self, inputs: Tensor, num_answers: int) -> Tensor:
        """Answers at the last steps.

        Args:
            inputs: (time, batch, features).
            num_answers: of how many steps an answer is wanted, at most time.

        Returns:
            (num_answers, batch, outputs).
        """
        hidden, _ = self.recurrent(inputs)  # (time, batch, hidden)
        answers: Tensor = self.output(self.dropout(hidden[-num_answers:]))  # (num_answers, batch, outputs)
        return answers
