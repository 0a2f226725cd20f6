"""Figures of recordings and outputs: bands and symbols upwards, time to the right, text as text."""

import numpy as np

from recurra.tasks.speech.page import figures, output_figure

FEATURES = np.arange(15.0).reshape(5, 3)  # (frames, mels)
PROBABILITIES = np.arange(8.0).reshape(2, 4) / 8  # (steps, symbols)
OUTPUT = {
    "features": FEATURES.tolist(),
    "probabilities": PROBABILITIES.tolist(),
    "symbols": ["(blank)", " ", "<b>", "a"],
    "output": "a <b>",
    "target": "a",
}


def test_time_runs_to_the_right() -> None:
    figure = output_figure(OUTPUT)
    spectrum, symbols = figure.data
    np.testing.assert_array_equal(np.array(spectrum.z, float), FEATURES.T)  # a row of z is a row of the picture
    np.testing.assert_array_equal(np.array(symbols.z, float), PROBABILITIES.T)
    assert (symbols.zmin, symbols.zmax) == (0, 1)
    layout = figure.layout
    assert (layout.yaxis.title.text, layout.xaxis2.title.text) == ("mel", "steps")
    assert list(layout.yaxis2.tickvals) == [0, 1, 2, 3]
    assert list(layout.yaxis2.ticktext) == ["(blank)", "\u00b7", "&lt;b&gt;", "a"]


def test_titles_are_text_and_say_what_was_wrong() -> None:
    wrong, right = map(output_figure, [OUTPUT, {**OUTPUT, "output": "a"}])
    assert wrong.layout.title.text == "a &lt;b&gt; (target: a)"
    assert right.layout.title.text == "a"


def test_many_symbols_are_not_named() -> None:
    many = {**OUTPUT, "symbols": [str(number) for number in range(41)], "probabilities": np.eye(41).tolist()}
    figure = output_figure(many)
    assert figure.layout.yaxis2.ticktext is None


def test_a_recording_without_a_frame_has_a_figure() -> None:
    figure = output_figure({**OUTPUT, "features": [], "probabilities": []})
    assert len(figure.data) == 2


def test_the_page_is_of_the_last_split() -> None:
    row = {"place": "a.wav", "output": "wrong", "target": "right", "cer": 0.8}
    found = figures(
        {split: {"worst": [row | {"place": split}], "outputs": [OUTPUT] * 3} for split in ("valid", "test")}
    )
    assert "test" in found[0]
    assert "valid" not in found[0]
    assert len(found) == 4
