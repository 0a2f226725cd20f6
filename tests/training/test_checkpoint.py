"""Packing and unpacking of checkpoints."""

from typing import Any

import pytest
import torch
from torch import nn

from recurra.training.checkpoint import pack, unpack

A, B, C = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in ((2, 3), (4,), (1, 5)))


def leaves(state: Any) -> list[torch.Tensor]:
    return [state] if isinstance(state, torch.Tensor) else [x for part in state or () for x in leaves(part)]


@pytest.mark.parametrize("state", [None, A, (A, B), ((A, B), (C,)), (A, (B, (C, None)))])
def test_state_keeps_its_nesting_and_values(state: Any) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    back = unpack(pack(model, optimizer, state), model, optimizer, torch.device("cpu"))

    def shape(nested: Any) -> Any:
        return 0 if isinstance(nested, torch.Tensor) else None if nested is None else [shape(part) for part in nested]

    assert shape(back) == shape(state)
    assert all(torch.equal(one, other) for one, other in zip(leaves(back), leaves(state), strict=True))


def test_optimizer_and_random_numbers_go_on_where_they_were() -> None:
    def update(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        (model(torch.ones(1, 3)) * torch.rand(1, 2)).sum().backward()
        optimizer.step()

    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), 0.1)
    update(model, optimizer)
    checkpoint = pack(model, optimizer, None)
    checkpoint = type(checkpoint)({k: t.clone() for k, t in checkpoint.tensors.items()}, checkpoint.values)
    update(model, optimizer)
    torch.manual_seed(77)
    other = nn.Linear(3, 2)
    other_optimizer = torch.optim.AdamW(other.parameters(), 0.1)
    unpack(checkpoint, other, other_optimizer, torch.device("cpu"))
    update(other, other_optimizer)
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.bias, other.bias)
