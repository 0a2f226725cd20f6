"""Lengths of sequences."""

from recurra.lengths import common_length


def test_sequences_have_a_common_length_only_if_all_agree() -> None:
    assert common_length([4, 4, 4]) == 4
    assert common_length([4, 5, 4]) is None
