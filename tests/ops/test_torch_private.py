"""What is used of torch without being documented is there, and is used in one file only."""

import ast
import re
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad

import recurra
from recurra.ops import torch_private

PACKAGE = Path(recurra.__file__).parent
VERSION = ".".join(torch.__version__.split(".")[:2])
NAMES = {  # each with what it is looked up in
    "torch.ops.mkldnn._linear_pointwise": torch.ops.mkldnn,
    "torch._C._get_mkldnn_enabled": torch._C,
    "torch._C._get_tracing_state": torch._C,
    "torch._C._len_torch_dispatch_stack": torch._C,
    "torch._C._functorch.peek_interpreter_stack": torch._C._functorch,
    "torch._C._functorch.is_batchedtensor": torch._C._functorch,
    "torch._C._autograd._get_current_graph_task_keep_graph": torch._C._autograd,
    "forward_ad._current_level": forward_ad,
    "torch._foreach_lerp_": torch,
    "torch._foreach_mul_": torch,
}


@pytest.mark.parametrize("name", NAMES)
def test_torch_has_it(name: str) -> None:
    assert hasattr(NAMES[name], name.rpartition(".")[2]), (
        f"torch {VERSION} has no {name}; ops/torch_private.py is known to work with torch "
        f"{', '.join(torch_private.KNOWN_TO_WORK)}"
    )


def test_the_compiler_keeps_constant_results() -> None:
    calls = []

    @torch_private.constant_when_compiled
    def constant() -> float:
        calls.append(len(calls))
        return float(len(calls))

    compiled = torch.compile(lambda x: x * constant(), fullgraph=True, backend="eager")
    assert [compiled(torch.ones(())).item() for _ in range(3)] == [1.0, 1.0, 1.0]
    assert constant() == 2.0, "without a compiler it is called each time"


def private_names(path: Path) -> list[str]:
    """Attributes of torch that begin with an underscore, and imports of such modules."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.ImportFrom) and node.module:
            dotted = ".".join([node.module, *(alias.name for alias in node.names)])
        head, *rest = dotted.split(".") if re.fullmatch(r"[\w.]+", dotted) else [""]
        if head in ("torch", "forward_ad") and any(part.startswith("_") and part[1:2] != "_" for part in rest):
            found.append(dotted)
    return found


def test_all_of_it_stands_in_one_file() -> None:
    """Each name in the file is in the list above, and no other file has any."""
    own = PACKAGE / "ops" / "torch_private.py"
    elsewhere = {
        path.relative_to(PACKAGE).as_posix(): private_names(path)
        for path in PACKAGE.rglob("*.py")
        if path != own and private_names(path)
    }
    assert elsewhere == {}
    longest = {name for name in private_names(own) if not any(o.startswith(f"{name}.") for o in private_names(own))}
    assert longest == set(NAMES)


def test_multiply_and_lerp_all() -> None:
    tensors, ends = [torch.tensor([1.0, 2.0]), torch.tensor([4.0])], [torch.tensor([3.0, 2.0]), torch.tensor([0.0])]
    torch_private.lerp_all_(tensors, ends, 0.25)
    assert [tensor.tolist() for tensor in tensors] == [[1.5, 2.0], [3.0]]
    torch_private.multiply_all_(tensors, 2.0)
    assert [tensor.tolist() for tensor in tensors] == [[3.0, 4.0], [6.0]]
