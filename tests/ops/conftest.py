"""What the tests of the operators share."""

from collections.abc import Iterator

import pytest

from recurra import ops


@pytest.fixture(params=["composed", "free"])
def each_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once on the composed path; once on whatever path a call takes by itself, the fused one where it can."""
    if request.param == "free":
        yield
        return
    with ops.use_path("composed"):
        yield
