"""What the tests of the operators share."""

from collections.abc import Iterator

import pytest

from recurra.ops.backends import use_backend


@pytest.fixture(params=["steps", "free"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once step by step; once on whatever backend a call takes by itself, the kernels where they can."""
    if request.param == "free":
        yield
        return
    with use_backend("steps"):
        yield
