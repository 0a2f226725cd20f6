"""The run folder: nothing half-written, and no damage that goes unnoticed."""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from recurra.errors import RunError, SaveError, UsageError
from recurra.runs import FORMAT, MODEL, RECIPE, WEIGHTS, Checkpoint, Run, canonical_json, write_atomically

DESCRIPTION = {"architecture": {"vocabulary_size": 3, "word": "naïve"}}
FILES = {"tokenizer.json": '{"a": 1}\n', "labels.txt": "yes\nno\n"}


def begun(folder: Path) -> Run:
    """A run with its fixed files."""
    run = Run(folder)
    run.write_model("language-modelling", DESCRIPTION, FILES)
    return run


def forged(folder: Path, **changes: Any) -> Run:
    """A run whose model.json is changed and signed again."""
    run = begun(folder)
    values = {**run.read_json(MODEL), **changes}
    del values["sha256"]
    values = {key: value for key, value in values.items() if value is not None}
    values["sha256"] = hashlib.sha256(canonical_json(values)).hexdigest()
    run.write(MODEL, values)
    return run


def accepted_flips(path: Path, read: Callable[[], object]) -> list[int]:
    """Positions in a file at which a changed byte raised no RunError.

    Changed are a bit, a newline into a carriage return, the case of a letter, and all bits.
    """
    content, found = path.read_bytes(), []
    for position, byte in enumerate(content):
        for mask in (1, 7, 32, 255):
            path.write_bytes(content[:position] + bytes([byte ^ mask]) + content[position + 1 :])
            try:
                read()
            except RunError:
                continue
            found.append(position)
    return found


# --- writing -----------------------------------------------------------------------------------------------------


def test_a_write_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from recurra.errors import SaveError
from recurra.runs import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), bytes(5000))
except SaveError as error:
    print(error)
"""


def test_a_disk_that_fills_up_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"previous")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert "file.txt: cannot be written (File too large); a version written before is untouched" in done.stdout
    assert path.read_bytes() == b"previous"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("kind", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_at_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: BaseException
) -> None:
    def fail(descriptor: int) -> None:  # noqa: ARG001
        raise kind

    path = tmp_path / "file.txt"
    path.write_bytes(b"previous")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(SaveError if isinstance(kind, OSError) else KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"previous"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveError, match="cannot be written"):
        begun(tmp_path / "file")
    with pytest.raises(SaveError, match="cannot be written"):
        write_atomically(tmp_path, b"over a folder")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


# --- model.json --------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    values = run.read_model()
    assert (values["format"], values["task"]) == (FORMAT, "language-modelling")
    assert values["architecture"] == DESCRIPTION["architecture"]
    assert {name: run.read(name) for name in FILES} == FILES
    with pytest.raises(UsageError, match="already holds a run"):
        run.claim()
    assert str(run) == str(tmp_path / "run")
    run.write("history.jsonl", [{"a": 1}, {"a": "é"}])
    assert run.read_rows("history.jsonl") == [{"a": 1}, {"a": "é"}]


def test_every_flipped_byte_of_model_json_is_found(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert accepted_flips(run.path(MODEL), run.read_model) == []


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_of_the_files_it_vouches_for_is_found(tmp_path: Path, name: str) -> None:
    run = begun(tmp_path)
    assert accepted_flips(run.path(name), run.read_model) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"3",
        b"null",
        b"\xff\xfe",
        b"\x80\x04\x95.",  # a pickle
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": 2, "task": "\\ud800"}',
        b'{"format": 2}',
        b'{"format": "2"}',
        b'{"format": NaN, "sha256": 1}',
    ],
)
def test_a_foreign_or_hostile_model_json(tmp_path: Path, content: bytes) -> None:
    run = begun(tmp_path)
    run.path(MODEL).write_bytes(content)
    with pytest.raises(RunError, match=r"damaged|cannot be read"):
        run.read_model()


def test_a_truncated_model_json(tmp_path: Path) -> None:
    run = begun(tmp_path)
    content = run.path(MODEL).read_bytes()
    for length in range(len(content)):
        run.path(MODEL).write_bytes(content[:length])
        with pytest.raises(RunError, match=r"damaged|cannot be read"):
            run.read_model()


def test_a_newer_format_says_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"format 3 is newer than 2.*upgrade"):
        forged(tmp_path, format=3).read_model()


def test_an_older_format_says_to_train_again(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"format 1 is older than 2.*train it again from its recipe\.toml"):
        forged(tmp_path, format=1).read_model()


def test_missing_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no such folder; `recurra train` makes one"):
        Run(tmp_path / "absent").read_model()
    with pytest.raises(RunError, match="is a file; expected the folder"):
        Run(tmp_path / "file").read_model()
    with pytest.raises(RunError, match=r"not a run folder, it has no model\.json"):
        Run(tmp_path / "empty").read_model()
    run = begun(tmp_path / "run")
    with pytest.raises(RunError, match=r"incomplete, model\.safetensors is missing"):
        run.read_tensors(WEIGHTS)
    with pytest.raises(RunError, match=r"incomplete, recipe\.toml is missing"):
        run.read_recipe()
    run.path("labels.txt").unlink()
    with pytest.raises(RunError, match=r"incomplete, labels\.txt is missing"):
        run.read_model()


def test_damaged_rows(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.write("history.jsonl", '{"a": 1}\n{"a": \n')
    with pytest.raises(RunError, match=r"history\.jsonl: damaged, not JSON"):
        run.read_rows("history.jsonl")
    run.write("history.jsonl", "[1]\n")
    with pytest.raises(RunError, match=r"history\.jsonl: damaged, expected a JSON object"):
        run.read_rows("history.jsonl")


def test_a_damaged_recipe(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.write(RECIPE, "seed = = 1\n")
    with pytest.raises(RunError, match=r"recipe\.toml: damaged, not TOML"):
        run.read_recipe()


# --- tensors -----------------------------------------------------------------------------------------------------

NUMBERS = torch.arange(6).reshape(2, 3)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
DTYPES = (*FLOATS, torch.bool, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_with_type_shape_and_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {
        "plain": NUMBERS.to(dtype),
        "scalar": torch.tensor(1, dtype=dtype),
        "none": torch.zeros(0, 4, dtype=dtype),
    }
    values = {"epoch": 3, "loss": 0.1, "deep": {"list": [1, None, "é"]}}
    run = Run(tmp_path)
    run.write_tensors("some.safetensors", Checkpoint(tensors, values))
    found, found_values = run.read_tensors("some.safetensors")
    assert found_values == values
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


def test_special_numbers_keep_their_bits(tmp_path: Path) -> None:
    tensor = torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45])
    Run(tmp_path).write_tensors("x.safetensors", Checkpoint({"x": tensor}, {}))
    found = Run(tmp_path).read_tensors("x.safetensors").tensors["x"]
    assert torch.equal(found.view(torch.int32), tensor.view(torch.int32))


def test_shared_transposed_overlapping_and_learned_tensors(tmp_path: Path) -> None:
    base, other = torch.arange(12.0), torch.arange(9.0)
    tensors: dict[str, Tensor] = {
        "tie_embeddings": base,
        "also": base,
        "head": other[:7],
        "tail": other[3:],
        "turned": base.reshape(3, 4).T,
        "learned": nn.Parameter(torch.ones(2)),
    }
    Run(tmp_path).write_tensors("x.safetensors", Checkpoint(tensors, {}))
    found = Run(tmp_path).read_tensors("x.safetensors").tensors
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor.detach())


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Run, Path, bytes]:
    """A small file of tensors: the run, its path, its bytes."""
    run = begun(tmp_path)
    tensors = {"embedding": torch.randn(3, 2), "bias": torch.randn(5, dtype=torch.float64), "on": torch.tensor(True)}
    run.write_tensors(WEIGHTS, Checkpoint(tensors, {"epoch": 1}))
    path = run.path(WEIGHTS)
    return run, path, path.read_bytes()


def test_every_flipped_byte_of_the_weights_is_found(weights: tuple[Run, Path, bytes]) -> None:
    run, path, _ = weights
    assert accepted_flips(path, lambda: run.read_tensors(WEIGHTS)) == []


def test_truncated_and_lengthened_weights(weights: tuple[Run, Path, bytes]) -> None:
    run, path, content = weights
    for damaged in [*(content[:length] for length in range(len(content))), content + b"\0", content * 2]:
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            run.read_tensors(WEIGHTS)


def header(description: object) -> bytes:
    """A safetensors file of nothing but this header."""
    text = json.dumps(description).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00.",  # a pickle
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        header({}),
        header({"__metadata__": {"values": "{}"}}),
        header({"__metadata__": {"values": "{}", "sha256": "0" * 64}}),
        header({"x": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 4]}}),
        header({"x": {"dtype": "F32", "shape": [2**63, 2], "data_offsets": [0, 0]}}),
        header({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        header({"x": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 4]}}),
    ],
)
def test_foreign_and_hostile_weights(weights: tuple[Run, Path, bytes], content: bytes) -> None:
    run, path, _ = weights
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        run.read_tensors(WEIGHTS)


def test_weights_of_another_program(weights: tuple[Run, Path, bytes]) -> None:
    run, path, _ = weights
    safetensors.torch.save_file({"embedding": torch.randn(3, 2)}, path)
    with pytest.raises(RunError, match="not a weights file of Recurra"):
        run.read_tensors(WEIGHTS)


def test_weights_that_do_not_fit_the_model(tmp_path: Path) -> None:
    run = begun(tmp_path)
    layer = nn.Linear(3, 2)
    run.write_tensors(WEIGHTS, Checkpoint(layer.state_dict(), {"epoch": 4}))
    other = nn.Linear(3, 2)
    assert run.load_weights(other) == {"epoch": 4}
    assert torch.equal(other.weight, layer.weight)
    with pytest.raises(RunError, match=r"model\.safetensors: does not fit model\.json"):
        run.load_weights(nn.Linear(3, 4))


# --- a run that `train` wrote ------------------------------------------------------------------------------------


def test_a_trained_run_is_whole_and_moves(tiny_run: Path, tmp_path: Path) -> None:
    expected = {"model.json", "model.safetensors", "tokenizer.json", "recipe.toml", "metrics.json"}
    expected |= {"history.jsonl", "samples.jsonl", "README.md", "last"}
    assert {file.name for file in tiny_run.iterdir()} >= expected
    shutil.copytree(tiny_run, tmp_path / "moved")
    import recurra

    here, there = (recurra.load(folder).predict(["the cat"], top=5) for folder in (tiny_run, tmp_path / "moved"))
    assert here == there


def test_a_flipped_byte_anywhere_in_trained_weights_is_found(tiny_run: Path, tmp_path: Path) -> None:
    run = Run(shutil.copytree(tiny_run, tmp_path / "run"))
    path = run.path(WEIGHTS)
    content = path.read_bytes()
    for position in np.linspace(0, len(content) - 1, 200).astype(int).tolist():
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(RunError, match="damaged"):
            run.read_tensors(WEIGHTS)
