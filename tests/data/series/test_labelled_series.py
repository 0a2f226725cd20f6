"""Series of files in splits: no person on two sides, no window across a split, nothing lost."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from noting import Notes
from recurra.data.catalogue import find
from recurra.data.series.labelled import SeriesOptions, find_series, read_series
from recurra.data.series.segments import Series
from recurra.errors import DataError, UsageError

RNG = np.random.default_rng(11)
SIX = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")


def options(**values: object) -> SeriesOptions:
    return SeriesOptions.parse(values, "test")


def save(path: Path, num_series: int = 30, num_groups: int = 0, num_channels: int = 2) -> Path:
    """Series of 6 steps with labels a, b, a, b, ... and groups g0, g1, ... by turns of three."""
    path.parent.mkdir(exist_ok=True)
    groups = {"groups": np.array([f"g{i // 3 % num_groups}" for i in range(num_series)])} if num_groups else {}
    x = RNG.normal(size=(num_series, 6, num_channels))
    np.savez(path, x=x, y=np.array([("a", "b")[i % 2] for i in range(num_series)]), **groups)
    return path


def contents(series: list[Series]) -> list[bytes]:
    return [one.values.tobytes() for one in series]


def ordered(part: list[bytes], whole: list[bytes]) -> bool:
    places = [whole.index(one) for one in part]
    return places == sorted(places)


# --- splits ------------------------------------------------------------------------------------------------------


def test_series_without_groups_are_split_by_their_values(tmp_path: Path) -> None:
    path = save(tmp_path / "toy.npz")
    splits = find_series(str(path), options())
    whole = contents(read_series(path, options()))
    parts = {split: contents(series) for split, series in splits.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 24, "valid": 3, "test": 3}
    assert sorted(one for part in parts.values() for one in part) == sorted(whole)
    assert all(ordered(part, whole) for part in parts.values())
    for one in splits["train"]:
        assert one.label == "ab"[whole.index(one.values.tobytes()) % 2]


def test_the_same_series_falls_on_the_same_side_wherever_it_stands(tmp_path: Path) -> None:
    first = save(tmp_path / "toy.npz")
    with np.load(first) as arrays:
        np.savez(tmp_path / "turned.npz", x=arrays["x"][::-1], y=arrays["y"][::-1])
    turned = find_series(str(tmp_path / "turned.npz"), options())
    for split, series in find_series(str(first), options()).items():
        assert contents(series) == contents(turned[split])[::-1]


def test_equal_series_are_never_on_two_sides(tmp_path: Path) -> None:
    x = np.repeat(RNG.normal(size=(6, 4, 1)), 5, axis=0)
    np.savez(tmp_path / "toy.npz", x=x, y=np.zeros(30, int))
    splits = find_series(str(tmp_path / "toy.npz"), options(shares=(0.5, 0.25, 0.25)))
    sides = [set(contents(series)) for series in splits.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 6


def test_groups_are_ordered_by_the_hash_of_their_names(tmp_path: Path) -> None:
    path = save(tmp_path / "toy.npz", num_series=60, num_groups=10)
    splits = find_series(str(path), options(shares=(0.6, 0.1, 0.3)))
    order = sorted((f"g{i}" for i in range(10)), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    sides = {split: {one.group for one in series} for split, series in splits.items()}
    assert sides == {"train": set(order[:6]), "valid": set(order[6:7]), "test": set(order[7:])}
    assert sum(map(len, splits.values())) == 60


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.1, 0.1, 0.8), (0.98, 0.01, 0.01), (0.01, 0.98, 0.01)])
@pytest.mark.parametrize("num_groups", [3, 4, 7])
def test_every_split_has_a_group_however_few(tmp_path: Path, shares: tuple[float, ...], num_groups: int) -> None:
    splits = find_series(str(save(tmp_path / "toy.npz", num_groups=num_groups)), options(shares=shares))
    sides = [{one.group for one in series} for series in splits.values()]
    assert list(splits) == ["train", "valid", "test"]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides)) == num_groups


def test_groups_go_where_they_are_named_for(tmp_path: Path) -> None:
    path = str(save(tmp_path / "toy.npz", num_groups=9))
    splits = find_series(path, options(test_groups=["g3", "g5"], valid_groups="g0"))
    sides = {split: sorted({one.group or "" for one in series}) for split, series in splits.items()}
    assert sides == {"train": ["g1", "g2", "g4", "g6", "g7", "g8"], "valid": ["g0"], "test": ["g3", "g5"]}
    splits = find_series(path, options(test_groups=["g3"], shares=(0.5, 0.25, 0.25)))
    sizes = {split: len({one.group for one in series}) for split, series in splits.items()}
    assert sizes == {"train": 5, "valid": 3, "test": 1}  # 8 groups by 2 to 1
    splits = find_series(path, options(valid_groups=["g3"], shares=(0.5, 0.25, 0.25)))
    sizes = {split: len({one.group for one in series}) for split, series in splits.items()}
    assert sizes == {"train": 5, "valid": 1, "test": 3}


def test_files_say_the_split(tmp_path: Path) -> None:
    for split, num_series in (("TRAIN", 20), ("TEST", 7), ("other", 5)):
        save(tmp_path / "toy" / f"Toy_{split}.npz", num_series)
    (tmp_path / "toy" / "train.md").write_text("no series")
    splits = find_series(str(tmp_path / "toy"), options(shares=(0.6, 0.2, 0.2)))
    assert {split: len(series) for split, series in splits.items()} == {"train": 15, "valid": 5, "test": 7}
    test = read_series(tmp_path / "toy" / "Toy_TEST.npz", options())
    assert contents(splits["test"]) == contents(test)
    (tmp_path / "toy" / "Toy_TEST.npz").unlink()
    assert list(find_series(str(tmp_path / "toy"), options())) == ["train", "valid"]
    save(tmp_path / "toy" / "valid.npz", 4)
    splits = find_series(str(tmp_path / "toy"), options())
    assert {split: len(series) for split, series in splits.items()} == {"train": 20, "valid": 4}


def test_files_that_say_no_split_are_read_together(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        save(tmp_path / "toy" / name, 10)
    assert sum(map(len, find_series(str(tmp_path / "toy"), options()).values())) == 20


def test_a_folder_with_a_test_file_does_not_give_its_groups_away(tmp_path: Path) -> None:
    for split in ("train", "test"):
        save(tmp_path / "toy" / f"{split}.npz", 30, num_groups=5)
    with pytest.raises(DataError, match="toy: has files for the test split; leave out --test-groups"):
        find_series(str(tmp_path / "toy"), options(test_groups=["g1"]))
    splits = find_series(str(tmp_path / "toy"), options(valid_groups=["g1"]))
    assert {one.group for one in splits["valid"]} == {"g1"}
    assert {one.group for one in splits["train"]} == {"g0", "g2", "g3", "g4"}


# --- windows -----------------------------------------------------------------------------------------------------


def save_recordings(path: Path) -> Path:
    """Twelve recordings of 40 steps, half a, half b, by six people; and one of 9 steps, too short."""
    lengths = np.array([40] * 12 + [9])
    halves = [[i, first, first + 20] for i in range(12) for first in (0, 20)]
    np.savez(
        path,
        x=RNG.normal(size=(lengths.sum(), 3)),
        lengths=lengths,
        segments=np.array([*halves, [12, 0, 9]]),
        y=np.array([*("a", "b") * 12, "a"]),
        groups=np.arange(13) % 6,
    )
    return path


def test_windows_of_one_person_are_on_one_side(tmp_path: Path) -> None:
    notes = Notes()
    found = find_series(str(save_recordings(tmp_path / "r.npz")), options(window=10, overlap=5, test_groups=[4]), notes)
    sides = [{one.group for one in series} for series in found.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 6
    assert sides[2] == {"4"}
    assert [Counter(one.label for one in found[split]) for split in found] == [
        {"a": 24, "b": 24},
        {"a": 6, "b": 6},
        {"a": 6, "b": 6},
    ]
    assert {one.values.shape for series in found.values() for one in series} == {(10, 3)}
    assert notes.lines == [f"{tmp_path / 'r.npz'}: no segment of 10 steps of one label in 1 of 13 recordings"]


def test_windows_without_groups_stay_with_their_recording(tmp_path: Path) -> None:
    """Overlapping windows of one recording in training and test would make the test easy."""
    with np.load(save_recordings(tmp_path / "r.npz")) as arrays:
        np.savez(tmp_path / "r.npz", **{name: array for name, array in arrays.items() if name != "groups"})
    found = find_series(str(tmp_path / "r.npz"), options(window=10, overlap=8))
    sides = [{one.name.split(" steps ")[0] for one in series} for series in found.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 12


def test_no_window_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"r\.npz: no segment of 21 steps of one label; .*smaller window"):
        find_series(str(save_recordings(tmp_path / "r.npz")), options(window=21))
    with pytest.raises(DataError, match="Set window"):
        find_series(str(tmp_path / "r.npz"), options())


def test_labels_to_keep(tmp_path: Path) -> None:
    path = save(tmp_path / "toy.npz")
    splits = find_series(str(path), options(labels=["b"]))
    assert {one.label for series in splits.values() for one in series} == {"b"}
    assert [len(series) for series in splits.values()] == [12, 2, 1]  # shares of the 15 that are kept
    found = find_series(str(save_recordings(tmp_path / "r.npz")), options(window=5, labels="a"))
    assert {one.label for series in found.values() for one in series} == {"a"}


# --- one file ----------------------------------------------------------------------------------------------------


def test_channels_of_any_file_can_be_chosen(tmp_path: Path) -> None:
    path = save(tmp_path / "toy.npz", num_channels=3)
    (whole, *_), (some, *_) = read_series(path, options()), read_series(path, options(channels=["3", "1"]))
    assert np.array_equal(some.values, whole.values[:, [2, 0]])
    assert some.channels == ("3", "1")
    with pytest.raises(DataError, match="series 1: no channel '4'; it has 1, 2, 3"):
        read_series(path, options(channels=["1", "4"]))


def test_steps_with_missing_values_stop_or_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    x = np.arange(24.0).reshape(3, 4, 2)
    x[0, 2, 1], x[1, :, 0] = np.nan, np.inf
    np.savez(path, x=x, y=np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match=r"series 1: channel 2 has no finite value at step 3; .*--on-bad drop"):
        read_series(path, options())
    notes = Notes()
    first, last = read_series(path, options(on_bad="drop"), notes)
    assert first.values.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert (first.label, last.label, len(last.values)) == ("a", "c", 4)
    assert notes.lines == [f"{path}: left out 5 steps with a missing value"]
    np.savez(path, x=np.full((2, 3), np.nan), y=np.array([1, 2]))
    with pytest.raises(DataError, match="every step has a missing value"):
        read_series(path, options(on_bad="drop"))


def test_series_without_labels_for_a_prediction(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("series,x\n" + "".join(f"a,{n}\n" for n in range(7)))
    found = read_series(tmp_path / "new.csv", options(window=3, overlap=1, labels=["up"]), labelled=False)
    assert [one.values.ravel().tolist() for one in found] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert {one.label for one in found} == {None}
    for ahead in (None, 1):
        with pytest.raises(DataError, match=r"new\.csv: 7 steps, expected a window of 9; give more data"):
            read_series(tmp_path / "new.csv", options(window=9, ahead=ahead), labelled=False)


def test_a_table_whose_labels_change_is_cut(tmp_path: Path) -> None:
    rows = [f"{series},{ord(series) + n},{'up' if n < 4 else 'down'}\n" for n in range(8) for series in "abcd"]
    (tmp_path / "toy.csv").write_text("series,x,label\n" + "".join(rows))
    splits = find_series(str(tmp_path / "toy.csv"), options(window=4))
    assert [[one.label for one in series] for series in splits.values()] == [["up", "down"] * 2, *[["up", "down"]] * 2]
    with pytest.raises(DataError, match=r"line 18, series 'a': label 'down' comes after 'up'.*with --window N"):
        find_series(str(tmp_path / "toy.csv"), options())


# --- what cannot be used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"test_groups": ["g9"]}, "no group 'g9'; it has g0, g1, g2$"),
        (
            {"test_groups": ["g0", "g1"]},
            "expected 2 groups, or different series without a group, to split into train, valid; got 1",
        ),
        ({"labels": ["a", "c"]}, "no label 'c'; it has a, b"),
    ],
)
def test_groups_and_labels_that_are_not_there(tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=r"toy\.npz: " + message):
        find_series(str(save(tmp_path / "toy.npz", num_groups=3)), options(**given))


def test_groups_without_groups(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no group 'g1'; its series have no groups"):
        find_series(str(save(tmp_path / "toy.npz")), options(valid_groups=["g1"]))


def test_files_of_different_channels(tmp_path: Path) -> None:
    save(tmp_path / "toy" / "test.npz", num_channels=3)
    save(tmp_path / "toy" / "train.npz")
    with pytest.raises(
        DataError, match=r"test\.npz series 1: its channels are 1, 2, 3, those of .*train\.npz series 1"
    ):
        find_series(str(tmp_path / "toy"), options())


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(DataError, match=r"notes\.txt: not a file of series; expected one ending in \.ts, \.npz, \.csv"):
        find_series(str(tmp_path / "notes.txt"), options())
    with pytest.raises(DataError, match=r"no file of series in it; expected files ending in \.ts"):
        find_series(str(tmp_path), options())
    with pytest.raises(DataError, match="no such file, folder or data set"):
        find_series(str(tmp_path / "absent"), options())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"overlap": 3}, "window where there is an overlap"),
        ({"window": 4, "overlap": 4}, "an overlap smaller than window"),
        ({"shares": (0.5, 0.5, 0.5)}, "shares above 0 that add up to 1"),
        ({"shares": (1.0, 0.0, 0.0)}, "shares above 0 that add up to 1"),
        ({"test_groups": [1, 2], "valid_groups": ["2"]}, "2 is in both"),
        ({"window": 0}, "window: expected greater than or equal to 1"),
    ],
)
def test_impossible_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options(**values)


# --- data sets ---------------------------------------------------------------------------------------------------


def data_set(name: str) -> str:
    if find(name) is None:
        pytest.skip(f"no data set {name} in $RECURRA_DATA")
    return name


@pytest.mark.parametrize(
    ("name", "counts", "shape", "labels"),
    [
        ("BasicMotions", (36, 4, 40), (100, 6), {"Standing", "Running", "Walking", "Badminton"}),
        ("GunPoint", (44, 6, 150), (150, 1), {"1", "2"}),
        ("ItalyPowerDemand", (60, 7, 1029), (24, 1), {"1", "2"}),
    ],
)
def test_archives(name: str, counts: tuple[int, ...], shape: tuple[int, int], labels: set[str]) -> None:
    splits = find_series(data_set(f"ts_classification/{name}"), options())
    assert tuple(map(len, splits.values())) == counts
    assert {one.values.shape for series in splits.values() for one in series} == {shape}
    assert {one.label for series in splits.values() for one in series} == labels
    assert all(np.isfinite(one.values).all() for series in splits.values() for one in series)


def test_hapt_has_as_many_windows_as_its_authors_cut() -> None:
    """7,767 and 3,162 are the rows of the set's own features, one a window of 128 samples, half of them shared."""
    held_out = [2, 4, 9, 10, 12, 13, 18, 20, 24]
    given = options(window=128, overlap=64, test_groups=held_out, valid_groups=[1, 3])
    splits = find_series(data_set("hapt"), given)
    assert len(splits["train"]) + len(splits["valid"]) == 7767
    assert len(splits["test"]) == 3162
    assert {one.group for one in splits["test"]} == set(map(str, held_out))
    counts = Counter(one.label for one in splits["test"])
    assert [counts[label] for label in SIX] == [496, 471, 420, 508, 556, 545]
    laying = np.concatenate([one.values for one in splits["train"] if one.label == "LAYING"]).mean(axis=0)
    standing = np.concatenate([one.values for one in splits["train"] if one.label == "STANDING"]).mean(axis=0)
    assert standing[0] > 0.9  # gravity lies along x, in g
    assert abs(laying[0]) < 0.5


def test_what_comes_is_split_by_time(tmp_path: Path) -> None:
    """Each label lies in the part of its split, the window before it may reach back; none is in two splits."""
    rows = [f"{step},{step * 0.5},{'wet' if step % 3 else 'dry'}" for step in range(50)]
    path = tmp_path / "days.csv"
    path.write_text("\n".join(["day,level,label", *rows]) + "\n")
    options = SeriesOptions(time_column="day", window=4, overlap=3, ahead=2, shares=(0.6, 0.2, 0.2))
    found = find_series(str(path), options)
    steps = {split: [int(one.values[-1, 0] / 0.5) + 2 for one in part] for split, part in found.items()}
    assert steps == {"train": list(range(5, 30)), "valid": list(range(30, 40)), "test": list(range(40, 50))}
    for one in found["test"]:
        last = int(one.values[-1, 0] / 0.5)
        assert one.label == ("wet" if (last + 2) % 3 else "dry")
        assert one.before == ("wet" if last % 3 else "dry")
    (newest,) = [one for one in read_series(path, options, labelled=False) if one.values[-1, 0] == 24.5]
    assert (newest.label, newest.before) == (None, None)
    with pytest.raises(DataError, match="no window of 40 steps with a label 2 steps after it in train"):
        find_series(str(path), options.model_copy(update={"window": 40}))
