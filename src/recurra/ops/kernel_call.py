"""A call of the kernels, which see sizes and addresses only."""

import torch
from torch import Tensor

from recurra.ops.instructions import kernels_in_use
from recurra.ops.kernels import Cell as Kernel
from recurra.ops.kernels import Scan
from recurra.ops.packing import Packing


class KernelCall:
    """A call of the kernels, which see sizes and addresses only: the tensors behind those are held here.

    Args:
        kernel: of which cell.
        weight_hh: (gates*hidden, hidden).
        time: steps.
        batch: sequences.
        packing: of the rows, None where all steps are valid.
        reverse: last step first.
        backward: the backward pass.
    """

    def __init__(
        self,
        kernel: Kernel,
        weight_hh: Tensor,
        time: int,
        batch: int,
        packing: Packing | None,
        reverse: bool,
        backward: bool = False,
    ) -> None:
        self.held: list[Tensor] = []
        self.kernels = kernels_in_use()
        self.scan = Scan()
        self.scan.cell, self.scan.reverse, self.scan.backward = kernel, reverse, backward
        self.scan.is_double = weight_hh.dtype == torch.float64
        self.scan.steps, self.scan.batch, self.scan.hidden = time, batch, weight_hh.shape[1]
        self.reads(weights=self.packed(weight_hh))
        if packing:
            self.reads(counts=packing.counts, offsets=packing.offsets)

    def packed(self, weight: Tensor) -> Tensor:
        """Weights in the order the kernels read them."""
        scan, weight = self.scan, weight.contiguous()
        what = (scan.cell, scan.is_double, scan.hidden, weight.shape[1])
        room = weight.new_empty(self.kernels.packed_size(*what, scan.backward))
        self.kernels.pack(*what, weight.data_ptr(), room.data_ptr(), scan.backward, torch.get_num_threads())
        return room

    def multiply(self, rows: Tensor | None, weight_ih: Tensor) -> None:
        """Let the kernels multiply the input too: in a batch its rows share each read of a weight.

        Args:
            rows: input of all valid steps, (steps, input); none where it is handed over later.
            weight_ih: (gates*hidden, input).
        """
        self.scan.inputs = weight_ih.shape[1]
        self.reads(x=rows, input_weights=self.packed(weight_ih))

    def reads(self, **tensors: Tensor | None) -> None:
        """Hand over tensors by name; none, or an empty one, is a null pointer."""
        for name, tensor in tensors.items():
            if tensor is not None and tensor.numel():
                tensor = tensor.contiguous()
                self.held.append(tensor)
                setattr(self.scan, name, tensor.data_ptr())

    def writes(self, **tensors: Tensor) -> None:
        """Hand over tensors that the kernels write to."""
        assert all(tensor.is_contiguous() for tensor in tensors.values())
        self.reads(**tensors)

    def run(self) -> None:
        """Compute."""
        self.kernels.run(self.scan, torch.get_num_threads())
