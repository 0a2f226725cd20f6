"""What holds for every task, as one table: training, gradients, resuming, loading, batches, bad data."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from task_table import CASES

import recurra
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import METRICS, Run
from recurra.tasks import TASKS
from recurra.tasks.task import check_samples, fingerprint, load_data, restore
from recurra.training.session import resolve_recipe

EVERY_TASK = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run of a task, trained for two epochs when it is first asked for."""
    runs: dict[str, Path] = {}

    def run_of(name: str) -> Path:
        if name not in runs:
            folder = tmp_path_factory.mktemp(name)
            path = CASES[name].write(folder)
            options = {**CASES[name].options, "epochs": 2}
            runs[name] = recurra.train(name, path, run=folder / "run", progress=Progress(), **options)
        return runs[name]

    return run_of


def start(name: str, folder: Path) -> Any:
    """A new task on its data."""
    torch.manual_seed(3)
    recipe = resolve_recipe(name, CASES[name].write(folder), CASES[name].options)
    return TASKS[name].task.start(recipe, Progress())


def test_the_table_is_complete() -> None:
    assert CASES.keys() == TASKS.keys()
    assert all(entry.task.name == name for name, entry in TASKS.items())


@EVERY_TASK
def test_every_parameter_gets_a_gradient(name: str, tmp_path: Path) -> None:
    task = start(name, tmp_path)
    batches, state = task.batches(0), None
    for index in range(len(batches)):
        loss = task.loss(batches[index], state)
        loss.mean.backward()
        state = loss.state
    for parameter_name, parameter in task.model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.count_nonzero(parameter.grad), parameter_name


@EVERY_TASK
def test_a_resumed_run_ends_in_the_same_weights(name: str, trained: Any, tmp_path: Path) -> None:
    whole = trained(name)
    path = Run(whole).read_recipe()["data"]["path"]
    steps = len(start(name, tmp_path).batches(0)) + 2  # stopped within the second epoch
    options = {**CASES[name].options, "epochs": 2}
    parts = recurra.train(name, path, run=tmp_path / "parts", progress=Progress(), steps=steps, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for tensor_name, tensor in one.items():
        assert torch.equal(tensor, other[tensor_name]), tensor_name
    assert Run(parts).read_json(METRICS)["model"] == Run(whole).read_json(METRICS)["model"]


@EVERY_TASK
def test_a_loaded_model_computes_the_same(name: str, trained: Any) -> None:
    run = Run(trained(name))
    model = recurra.load(run.folder)
    assert check_samples(model.task, run) < 1e-6
    metrics = run.read_json(METRICS)
    assert model.evaluate(progress=Progress()) == {who: s for who, s in metrics.items() if who != "training"}
    assert len(metrics) > 2, "a baseline stands beside the model"
    again = restore(TASKS[name].task, run)
    load_data(again, run, Progress())
    assert fingerprint(again) == run.read_model()["data"]


@EVERY_TASK
def test_an_answer_does_not_depend_on_its_batch(name: str, trained: Any) -> None:
    """Nor on the lengths of the others, so padding changes nothing."""
    model = recurra.load(trained(name))
    load_data(model.task, model.run, Progress())
    inputs = CASES[name].inputs(model.task)
    together = [answer.as_json() for answer in model.predict(inputs)]
    alone = [answer.as_json() for one in inputs for answer in model.predict([one])]
    assert len(together) == len(inputs)
    for one, other in zip(together, alone, strict=True):
        assert_alike(one, other)


def assert_alike(one: Any, other: Any) -> None:
    """Plain values are equal, floats but for rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_alike(first, second)
    elif isinstance(one, float):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)  # sums in float32, in another order
    else:
        assert one == other


@EVERY_TASK
def test_an_answer_has_text_and_json(name: str, trained: Any) -> None:
    import json

    model = recurra.load(trained(name))
    load_data(model.task, model.run, Progress())
    for answer in model.predict(CASES[name].inputs(model.task)):
        assert isinstance(answer.text, str)
        json.dumps(answer.as_json(), allow_nan=False)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.broken is not None])
def test_bad_data_is_one_clear_line(name: str, tmp_path: Path) -> None:
    path = CASES[name].write(tmp_path)
    place = tmp_path / f"broken{path.suffix if path.is_file() and path.suffix != '.npz' else '.csv'}"
    place.write_text(CASES[name].broken or "")
    with pytest.raises(DataError) as error:
        recurra.train(name, place, run=tmp_path / "run", progress=Progress(), **CASES[name].options)
    assert str(place) in str(error.value)
    assert CASES[name].message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@EVERY_TASK
def test_loading_a_run_imports_its_package_alone(name: str, trained: Any) -> None:
    """Neither other tasks, nor scikit-learn, nor plotly."""
    code = (
        "import sys, recurra; recurra.load(sys.argv[1]);"
        "names = {m.split('.')[2] for m in sys.modules if m.startswith('recurra.tasks.')};"
        "print(sorted(names), [m for m in ('sklearn', 'plotly') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code, trained(name)], capture_output=True, text=True, check=True)
    packages = {entry.package.rpartition(".")[2] for entry in TASKS.values()}
    names, heavy = outcome.stdout.strip().split("] [")
    assert {package for package in packages if f"'{package}'" in names} == {name.replace("-", "_")}
    assert heavy == "]"
