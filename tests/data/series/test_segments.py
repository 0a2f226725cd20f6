"""Windows of recordings: wholly inside one segment, views, none forgotten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.series.segments import (
    Recording,
    Segment,
    labelled_windows,
    segments_of,
    whole_series,
    windows_ahead,
    without_steps,
)
from recurra.errors import DataError


def recording(labels: str, num_channels: int = 3) -> Recording:
    """A recording whose values count up; each letter is the label of a step, a blank is none."""
    names = sorted(set(labels) - {" "})
    codes = np.array([names.index(label) if label != " " else -1 for label in labels])
    values = np.arange(len(labels) * num_channels, dtype=np.float32).reshape(len(labels), num_channels)
    return Recording(values, segments_of(codes, names), "file line 7", "anna", ("x", "y", "z"))


def test_segments_of_a_label_per_step() -> None:
    assert recording("  aab bba ").segments == [
        Segment("a", 2, 4),
        Segment("b", 4, 5),
        Segment("b", 6, 8),
        Segment("a", 8, 9),
    ]
    assert recording("a").segments == [Segment("a", 0, 1)]
    assert recording("  ").segments == []


@given(labels=st.text("ab ", min_size=1, max_size=60), window=st.integers(1, 9), data=st.data())
def test_windows_are_those_a_search_step_by_step_finds(labels: str, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    expected = []
    for start in range(len(labels) - window + 1):
        begin = start
        while begin and labels[begin - 1] == labels[start]:
            begin -= 1
        one_label = len(set(labels[start : start + window])) == 1 and labels[start] != " "
        if one_label and (start - begin) % (window - overlap) == 0:
            expected.append((start, labels[start]))
    whole = recording(labels)
    found = labelled_windows(whole, window, overlap)
    assert [(int(one.values[0, 0]) // 3, one.label) for one in found] == expected
    for one in found:
        start = int(one.values[0, 0]) // 3
        assert one.values.base is not None
        assert np.shares_memory(one.values, whole.values)
        assert np.array_equal(one.values, whole.values[start : start + window])
        assert one.name == f"file line 7 steps {start + 1} to {start + window}"
        assert (one.group, one.channels) == ("anna", ("x", "y", "z"))
    only_b = labelled_windows(whole, window, overlap, ["b", "absent"])
    assert [one.name for one in only_b] == [one.name for one in found if one.label == "b"]


def test_a_window_does_not_cross_from_a_segment_into_the_next_of_the_same_label() -> None:
    whole = recording("aaaaaaaa")._replace(segments=[Segment("a", 0, 3), Segment("a", 3, 8)])
    assert [int(one.values[0, 0]) // 3 for one in labelled_windows(whole, 2)] == [0, 3, 5]


def test_a_recording_of_one_label_is_a_series() -> None:
    one = whole_series(recording("aaaa"))
    assert one.values.shape == (4, 3)
    assert (one.label, one.name, one.group, one.channels) == ("a", "file line 7", "anna", ("x", "y", "z"))


@pytest.mark.parametrize(("labels", "steps"), [("aab", "1 to 2 of 3"), (" aa", "2 to 3 of 3"), ("aa ", "1 to 2 of 3")])
def test_a_recording_of_more_or_less_than_one_label_is_none(labels: str, steps: str) -> None:
    with pytest.raises(DataError, match=f"file line 7: label 'a' holds for steps {steps}; .*Set window"):
        whole_series(recording(labels))


def test_a_recording_without_a_label() -> None:
    with pytest.raises(DataError, match="file line 7: has no label"):
        whole_series(recording("  "))


@given(labels=st.text("ab ", min_size=1, max_size=30), data=st.data())
def test_steps_left_out_take_their_labels_along(labels: str, data: st.DataObject) -> None:
    bad = np.array(data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    whole = recording(labels)
    rest = without_steps(whole, bad)
    assert np.array_equal(rest.values, whole.values[~bad])
    found = [" "] * len(rest.values)
    for label, start, stop in rest.segments:
        assert start < stop
        found[start:stop] = [label] * (stop - start)
    assert "".join(found) == "".join(label for label, is_bad in zip(labels, bad, strict=True) if not is_bad)


@given(
    labels=st.text("ab ", min_size=1, max_size=20), window=st.integers(1, 5), ahead=st.integers(1, 4),
    stride=st.integers(1, 3),
)  # fmt: skip
def test_windows_before_their_labels_and_their_split_by_time(labels: str, window: int, ahead: int, stride: int) -> None:
    whole = recording(labels)
    found = windows_ahead(whole, window, ahead, stride)
    told = [label if label != " " else None for label in labels]
    if any(told):
        lasts = range(len(labels) - 1 - ahead, window - 2, -stride)
        expected = [last for last in lasts if told[last + ahead]][::-1]
        assert [one.label for one in found] == [told[last + ahead] for last in expected]
        assert [one.before for one in found] == [told[last] for last in expected]
    else:  # whoever asks for no labels wants to know what comes
        expected = list(range(len(labels) - 1, window - 2, -stride))[::-1]
    for one, last in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, whole.values[last - window + 1 : last + 1])
    parts = [windows_ahead(whole, window, ahead, 1, part) for part in ((0, 0.6), (0.6, 0.8), (0.8, 1))]
    if any(told):
        everything = windows_ahead(whole, window, ahead)
        assert [one.name for part in parts for one in part] == [one.name for one in everything]
