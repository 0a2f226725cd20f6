"""Files that commands are given: what was read before one that cannot be read is not lost."""

from collections.abc import Iterator

import pytest

from recurra.cli.files import groups_until_failure
from recurra.errors import DataError


@pytest.mark.parametrize("number", range(6))
def test_what_comes_before_a_failure_is_given_before_it(number: int) -> None:
    def read() -> Iterator[int]:
        yield from range(number)
        raise DataError("the next one")

    found: list[list[int]] = []
    with pytest.raises(DataError, match="the next one"):
        found.extend(groups_until_failure(read(), 2))  # which keeps what it has
    assert found == list(groups_until_failure(range(number), 2))
    assert found == [list(range(first, min(first + 2, number))) for first in range(0, number, 2)]
