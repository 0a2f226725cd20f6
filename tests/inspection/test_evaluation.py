"""The page of what a classifier gets wrong: its figures show the numbers of the run, its text is text."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.errors import RunError
from recurra.figures.labels import class_figure, confusion_figure, misclassified_table, reliability_figure
from recurra.inspection import evaluation_page
from recurra.metrics.labels import UNKNOWN, classification_details
from recurra.runs import Run

LABELS = ["1", "10", "2"]  # names that could be taken for numbers
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.3, 0.1, 0.6], [0.1, 0.1, 0.8]])
TARGETS = np.array([0, 1, 1, 1, UNKNOWN])


def details_of(probabilities: np.ndarray = PROBABILITIES, targets: np.ndarray = TARGETS) -> dict[str, Any]:
    fields = [
        {"place": f"<file> line {number}", "content": f"text {number} <b>&", "label": ["1", "10", "2", "odd"][target]}
        for number, target in enumerate(targets.tolist())
    ]
    return classification_details(probabilities, targets, LABELS, fields.__getitem__)


def run_of(folder: Path, evaluation: dict[str, Any] | None) -> Run:
    run = Run(folder)
    run.write_model("classification", {}, {})
    if evaluation is not None:
        run.write("evaluation.json", evaluation)
    return run


def values(numbers: Any) -> list[Any]:
    return np.array(numbers).tolist()


def test_confusion_shows_shares_of_the_true_label_beside_counts() -> None:
    (heatmap,) = confusion_figure(details_of()).data
    assert values(heatmap.customdata) == [[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(heatmap.z, [[1, 0, 0], [1 / 3] * 3, [0, 0, 0], [0, 0, 1]])
    assert values(heatmap.text) == values(heatmap.customdata)
    assert (list(heatmap.x), list(heatmap.y)) == (LABELS, [*LABELS, "(not in training)"])
    (heatmap,) = confusion_figure(details_of(PROBABILITIES[:4], TARGETS[:4])).data
    assert list(heatmap.y) == LABELS


def test_labels_that_look_like_numbers_stay_names() -> None:
    """As numbers 1, 10 and 2 would stand far apart and in another order."""
    layout = confusion_figure(details_of()).layout
    assert (layout.xaxis.type, layout.yaxis.type) == ("category", "category")
    assert layout.yaxis.autorange == "reversed"


def test_many_labels_are_not_written_into_the_cells() -> None:
    labels = [f"label {number}" for number in range(26)]
    details = {"labels": labels, "confusion": np.eye(26, dtype=int).tolist()}
    (heatmap,) = confusion_figure(details).data
    assert heatmap.text is None
    assert heatmap.texttemplate is None
    assert heatmap.customdata is not None


def test_each_label_that_occurs_has_its_bars() -> None:
    bars = {bar.name: list(bar.x) for bar in class_figure(details_of()).data}
    assert list(class_figure(details_of()).data[0].y) == ["1 (1)", "10 (3)"]
    assert bars == {
        "precision": [pytest.approx(1 / 2), 1],
        "recall": [1, pytest.approx(1 / 3)],
        "f1": [pytest.approx(2 / 3), pytest.approx(1 / 2)],
    }


def test_reliability_is_drawn_over_the_diagonal() -> None:
    even, model = reliability_figure(details_of()).data
    assert list(even.x) == list(even.y) == [0, 1]
    assert list(model.x) == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert list(model.y) == [1, 0, 1, 0]
    assert list(model.text) == ["1 examples", "2 examples", "1 examples", "1 examples"]


def test_the_worst_examples_are_escaped_and_cut() -> None:
    details = details_of()
    details["worst"][0]["content"] = "x" * 400
    table = misclassified_table(details)
    rows = [re.sub("<td>", "|", row) for row in table.removesuffix("</table>").split("<tr>")[2:]]
    assert rows == [
        f"|{'x' * 300}|odd|2|0.800|&lt;file&gt; line 4",
        "|text 3 &lt;b&gt;&amp;|10|2|0.600|&lt;file&gt; line 3",
        "|text 2 &lt;b&gt;&amp;|10|1|0.600|&lt;file&gt; line 2",
    ]


def test_the_page_is_of_the_last_split_and_needs_nothing_else(tmp_path: Path) -> None:
    valid, test = details_of(PROBABILITIES[:4], TARGETS[:4]), details_of()
    folder = tmp_path / "a<b>"
    page = evaluation_page(run_of(folder, {"valid": valid, "test": test}))
    assert page == folder / "evaluation.html"
    text = page.read_text(encoding="utf-8")
    assert "<h1>a&lt;b&gt;: predictions for test</h1>" in text
    assert "(not in training)" in text  # only the test split has such
    assert misclassified_table(test) in text
    assert text.count("Plotly.newPlot(") == 3
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
    again = evaluation_page(str(folder))
    assert again == page


def test_a_label_cannot_end_the_script(tmp_path: Path) -> None:
    details = details_of()
    details["labels"] = ["</script><script>alert(1)</script>", "10", "2"]
    page = evaluation_page(run_of(tmp_path / "run", {"test": details}))
    assert page
    assert "<script>alert" not in page.read_text(encoding="utf-8")


def test_a_task_that_leaves_nothing_to_draw_has_no_page(tmp_path: Path) -> None:
    assert evaluation_page(run_of(tmp_path / "run", None)) is None
    assert not (tmp_path / "run" / "evaluation.html").exists()


def test_no_run_or_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        evaluation_page(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="not a run folder"):
        evaluation_page(tmp_path / "empty")
    run = run_of(tmp_path / "run", {"test": {}})
    run.path("evaluation.json").write_text("{")
    with pytest.raises(RunError, match=r"evaluation\.json: damaged, not JSON"):
        evaluation_page(run)
