"""The image encoder of the captioner: convolutions, position embeddings, and layers over rows."""

from typing import Any

import pytest
import torch

from recurra.errors import UsageError
from recurra.models.captioner import Captioner, CaptionerOptions, CaptionerShape
from recurra.nn.layers import LAYERS

SHAPE = CaptionerShape((8, 20, 3), 9, 5)


def captioner(**options: Any) -> Captioner:
    torch.manual_seed(4)
    silent = {"dropout": 0.0, "embedding_dropout": 0.0, "memory_dropout": 0.0, "output_dropout": 0.0}
    sizes = {"channels": [4, 6], "embedding_size": 7, "hidden_size": [5]}
    return Captioner(SHAPE, CaptionerOptions.parse({**silent, **sizes, **options}, "test"))


@pytest.mark.parametrize("cell", LAYERS)
def test_each_row_of_regions_is_encoded_by_itself_in_both_directions(cell: str) -> None:
    encoder, images = captioner(cell=cell, row_hidden_size=3).encoder, torch.randint(256, (2, 8, 20, 3))
    assert encoder.grid == (2, 5)
    assert encoder.convolutions is not None
    assert encoder.recurrent is not None
    maps = (encoder.convolutions(images) + encoder.position_embedding).view(2, 5, 2, 6)  # rows, columns, images, maps
    rows = [encoder.recurrent(row)[0] for row in maps]  # each (columns, images, both directions)
    torch.testing.assert_close(encoder(images), torch.cat(rows))
    assert rows[0].shape == (5, 2, 6)


def test_the_last_region_of_a_row_depends_on_its_row_only() -> None:
    encoder, images = captioner(row_hidden_size=3).encoder, torch.randint(256, (1, 8, 20, 3))
    assert encoder.convolutions is not None
    maps = torch.randn(10, 1, 6, requires_grad=True)
    encoder.convolutions.forward = lambda _: maps
    encoder(images)[4].sum().backward()  # the end of the first row
    assert maps.grad is not None
    seen = maps.grad.abs().amax((1, 2))
    assert (seen[:5] > 0).all()
    assert (seen[5:] == 0).all()


@pytest.mark.parametrize("options", [{"row_hidden_size": 3}, {"warp": 1.0}])
def test_given_features_have_no_rows_and_no_pixels(options: dict[str, Any]) -> None:
    with pytest.raises(
        UsageError, match="row_hidden_size, warp: given features have neither rows nor pixels; leave both out"
    ):
        Captioner(CaptionerShape((4, 6), 9, 5), CaptionerOptions.parse(options, "test"))


def test_chrono_initialization_of_a_row_of_one_region() -> None:
    options = CaptionerOptions.parse({"channels": [4, 4], "row_hidden_size": 3, "initialization": "chrono"}, "test")
    encoder = Captioner(CaptionerShape((8, 4, 1), 9, 5), options).encoder
    assert encoder(torch.randint(256, (2, 8, 4, 1))).shape == (2, 2, 6)
