"""The run folder: what `train` writes and all else reads.

Every file is replaced in one step, so a crash or a full disk leaves the previous one. `model.json` and the weights
carry their own digests, `model.json` those of the files that never change: a flipped byte is found before it is used.
"""

import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from recurra.errors import RunError, SaveError, UsageError

FORMAT = 2
MODEL = "model.json"
RECIPE = "recipe.toml"
WEIGHTS = "model.safetensors"
HISTORY = "history.jsonl"
METRICS = "metrics.json"
EVALUATION = "evaluation.json"
SAMPLES = "samples.jsonl"
SEEDS = "seeds.json"  # in a folder of runs that differ in their seed
CARD = "README.md"
CHECKPOINT = "last/checkpoint.safetensors"
BEST = "last/best.safetensors"

Json = dict[str, Any]


class Checkpoint(NamedTuple):
    """Tensors with the plain values that belong to them."""

    tensors: dict[str, Tensor]
    values: Json


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step.

    Raises:
        SaveError: the disk is full or the folder not writable; what stood there before still stands.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"{path}: cannot be written ({reason}); a version written before is untouched. "
            "Free some space or choose another folder; a run goes on with --resume"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def canonical_json(values: Json) -> bytes:
    """The one way we write a JSON file, so that any changed byte shows."""
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def is_genuine(values: Json, digest: object, text: str) -> bool:
    """Whether the digest is that of the values, and the text the one way we write both."""
    try:
        genuine = digest == hashlib.sha256(canonical_json(values)).hexdigest()
        return genuine and canonical_json({**values, "sha256": digest}) == text.encode()
    except ValueError:  # half of a surrogate pair is JSON, but no text
        return False


def digest_of_tensors(tensors: Mapping[str, Tensor], values: str) -> str:
    """SHA-256 over names, types, shapes, bytes and the values stored beside them."""
    digest = hashlib.sha256(values.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Run:
    """One run folder.

    Args:
        folder: where it is; need not exist yet.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def __str__(self) -> str:
        return str(self.folder)

    def path(self, name: str) -> Path:
        """Path of a file in the run."""
        return self.folder / name

    def refuse_taken(self) -> None:
        """Refuse a folder that a new run could not have for itself.

        Raises:
            UsageError: something is there already.
        """
        if self.path(MODEL).exists():
            raise UsageError(f"{self}: already holds a run; go on with it by --resume {self}, or choose another folder")
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UsageError(f"{self}: is there already and not empty; choose a new folder for the run")

    def claim(self) -> None:
        """Make the folder, for a new run alone.

        Raises:
            UsageError: something is there already.
            SaveError: the folder cannot be made.
        """
        self.refuse_taken()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{self.folder}: cannot be written ({error.strerror}); choose another folder") from error

    def abandon(self) -> None:
        """Take a claim back: remove the folder, with what was written to it since."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def copy(self, name: str, to: str) -> None:
        """Copy a file of the run within it.

        Raises:
            SaveError: it cannot be written; what stood there before still stands.
        """
        write_atomically(self.path(to), self.path(name).read_bytes())

    def remove(self, *names: str) -> None:
        """Remove files of the run that are there."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    # --- text files ---------------------------------------------------------------------------------------------

    def write(self, name: str, content: str | Json | list[Json]) -> None:
        """Write text, a JSON object (.json), or a list of them a line each (.jsonl).

        Raises:
            SaveError: it cannot be written; the previous version is untouched.
        """
        if isinstance(content, str):
            data = content.encode()
        elif isinstance(content, list):
            data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
        else:
            data = canonical_json(content)
        write_atomically(self.path(name), data)

    def read(self, name: str) -> str:
        """Text of a file of the run.

        Raises:
            RunError: it is missing or not text.
        """
        try:
            return self.path(name).read_bytes().decode("utf-8")  # line ends as they are: a changed one shows
        except (FileNotFoundError, NotADirectoryError):
            raise self.missing(name) from None
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path(name)}: cannot be read: {error}") from None

    def read_json(self, name: str) -> Json:
        """A JSON object of the run.

        Raises:
            RunError: it is missing or damaged.
        """
        return self.parse(name, self.read(name))

    def read_rows(self, name: str) -> list[Json]:
        """JSON objects of the run that stand in a file a line each (.jsonl).

        Raises:
            RunError: it is missing or damaged.
        """
        return [self.parse(name, line) for line in self.read(name).split("\n") if line]

    def parse(self, name: str, text: str) -> Json:
        """A JSON object that stands in a file of the run.

        Raises:
            RunError: it is none.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.path(name)}: damaged, not JSON: {error}") from None
        if not isinstance(values, dict):
            raise RunError(f"{self.path(name)}: damaged, expected a JSON object")
        return values

    def missing(self, name: str) -> RunError:
        """The error for a file that is not there."""
        if not self.folder.exists():
            return RunError(f"run {self.folder}: no such folder; `recurra train` makes one")
        if not self.folder.is_dir():
            return RunError(f"run {self.folder}: is a file; expected the folder that `recurra train` made")
        if self.path(SEEDS).exists():
            return RunError(f"run {self.folder}: holds runs of several seeds; name one, {self.folder}/seed-N")
        if not self.path(MODEL).exists():
            return RunError(f"run {self.folder}: not a run folder, it has no {MODEL}")
        return RunError(f"run {self.folder}: incomplete, {name} is missing")

    def read_recipe(self) -> Json:
        """Values of the recipe the run was made by, not yet checked.

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            return tomllib.loads(self.read(RECIPE))
        except tomllib.TOMLDecodeError as error:
            raise RunError(f"{self.path(RECIPE)}: damaged, not TOML: {error}") from None

    # --- model.json ---------------------------------------------------------------------------------------------

    def write_model(self, task: str, description: Json, files: Mapping[str, str]) -> None:
        """Begin the run: the files that never change, then `model.json` that vouches for them.

        Args:
            task: name of the task.
            description: whatever else model.json says: architecture, labels.
            files: name and text of each file that never changes.
        """
        for name, text in files.items():
            self.write(name, text)
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
        values = {"format": FORMAT, "task": task, **description, "files": digests}
        values["sha256"] = hashlib.sha256(canonical_json(values)).hexdigest()
        self.write(MODEL, values)

    def read_model(self) -> Json:
        """What `model.json` says, after checking it and the files it vouches for.

        Raises:
            RunError: missing, damaged, or of a newer format.
        """
        values = self.read_json(MODEL)
        version = values.get("format")
        if isinstance(version, int) and version < FORMAT:
            raise RunError(
                f"run {self.folder}: format {version} is older than {FORMAT}, the only one this Recurra reads; train "
                "it again from its recipe.toml, with today's keys (docs/recipes.md)"
            )
        if isinstance(version, int) and version > FORMAT:
            raise RunError(
                f"run {self.folder}: format {version} is newer than {FORMAT}, the newest this Recurra reads; "
                "upgrade with pip install --upgrade recurra"
            )
        stated = values.pop("sha256", None)
        if not is_genuine(values, stated, self.read(MODEL)):
            raise RunError(f"{self.path(MODEL)}: damaged, its content does not match its own digest; restore a copy")
        for name, digest in values["files"].items():
            if hashlib.sha256(self.read(name).encode()).hexdigest() != digest:
                raise RunError(f"{self.path(name)}: changed or damaged, it does not match {MODEL}; restore a copy")
        return values

    # --- tensors ------------------------------------------------------------------------------------------------

    def write_tensors(self, name: str, checkpoint: Checkpoint) -> None:
        """Write tensors and their values as one safetensors file that carries its digest.

        Raises:
            SaveError: it cannot be written; the previous version is untouched.
        """
        tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in checkpoint.tensors.items()}
        shared = [t.untyped_storage().data_ptr() for t in tensors.values()]  # tied weights; the format has none
        tensors = {
            k: t.clone() if shared.count(at) > 1 else t for (k, t), at in zip(tensors.items(), shared, strict=True)
        }
        values = json.dumps(checkpoint.values)
        metadata = {"values": values, "sha256": digest_of_tensors(tensors, values)}
        write_atomically(self.path(name), safetensors.torch.save(tensors, metadata))

    def load_weights(self, model: nn.Module) -> Json:
        """Put the best weights of the run into a model of the same shape; returns the values stored beside them.

        Raises:
            RunError: missing, damaged, or of another shape.
        """
        tensors, values = self.read_tensors(WEIGHTS)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise RunError(f"{self.path(WEIGHTS)}: does not fit {MODEL}: {error}") from None
        return values

    def read_tensors(self, name: str) -> Checkpoint:
        """Tensors and values of a file of the run, on the CPU.

        Raises:
            RunError: missing or damaged.
        """
        path = self.path(name)
        if not path.is_file():
            raise self.missing(name)
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            values = metadata["values"]
            if digest_of_tensors(tensors, values) != metadata["sha256"]:
                raise RunError(f"{path}: damaged, the content does not match its digest; restore a copy")
            return Checkpoint(tensors, json.loads(values))
        except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"{path}: damaged, not a weights file of Recurra ({error}); restore a copy") from None
