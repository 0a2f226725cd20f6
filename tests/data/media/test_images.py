"""Image files: of every kind the pixels that people see, in the size asked for, or an error that names the file."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.media.images import ImageOptions, read_image
from recurra.errors import DataError, UsageError

OPTIONS = ImageOptions((5, 7), True)
GREY = OPTIONS._replace(color=False)
PIXELS = np.random.default_rng(4).integers(0, 256, (4, 5, 7, 3), np.uint8)


@pytest.fixture
def pil() -> Any:
    return pytest.importorskip("PIL.Image", reason="images need Pillow: pip install 'recurra[images]'")


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_grey_is_the_luma_of_colors(pil: Any, tmp_path: Path) -> None:  # noqa: ARG001
    found = read_image(save(tmp_path / "one.png", PIXELS[0]), GREY)
    assert found.shape == (5, 7, 1)
    np.testing.assert_allclose(found[..., 0], PIXELS[0] @ [0.299, 0.587, 0.114], atol=1)  # rounded


@pytest.mark.parametrize(
    ("size", "box"), [((8, 8), (2, 6, 0, 8)), ((4, 13), (0, 4, 2, 10)), ((12, 24), (0, 12, 0, 24))]
)
@pytest.mark.parametrize("color", [True, False])
def test_proportions_are_kept_in_the_color_of_the_corner(
    pil: Any,  # noqa: ARG001
    tmp_path: Path,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    color: bool,
) -> None:
    """An image half of one color, half of another, twice as wide as it is high, in the middle of a rectangle."""
    halves = np.array([[200, 10, 90], [30, 250, 170]], np.uint8)
    path = save(tmp_path / "halves.png", np.broadcast_to(halves.repeat(30, 0), (30, 60, 3)).copy())
    found = read_image(path, ImageOptions(size, color)).astype(int)
    expected = halves.astype(float) if color else halves @ np.array([[0.299], [0.587], [0.114]])
    assert found.shape == (*size, 3 if color else 1)
    top, bottom, left, right = box
    middle = (left + right) // 2
    sharp = np.abs(np.arange(size[1]) - middle + 0.5) > 3  # between the halves colors mix
    wanted = np.broadcast_to(expected[0], found.shape).copy()
    wanted[top:bottom, middle:right] = expected[1]
    np.testing.assert_allclose(found[:, sharp], wanted[:, sharp], atol=3)  # the curve of the resampling


def test_details_too_small_are_averaged(pil: Any, tmp_path: Path) -> None:  # noqa: ARG001
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = read_image(save(tmp_path / "board.png", board), GREY._replace(size=(8, 8)))
    np.testing.assert_allclose(found, 127.5, atol=6)  # at the borders half a square is cut


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_that_were_held_otherwise(pil: Any, tmp_path: Path, orientation: int) -> None:
    """As the Exif standard says what each row and column is."""
    upright = PIXELS[0]
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = pil.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.png", np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(read_image(path, OPTIONS), upright)


def over_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return 255 + (color.astype(float) - 255) * (alpha[..., None] / 255)


def test_what_is_transparent_is_white(pil: Any, tmp_path: Path) -> None:
    color, alpha = PIXELS[1], PIXELS[2, :, :, 0]
    path = save(tmp_path / "a.png", np.dstack([color, alpha]))
    np.testing.assert_allclose(read_image(path, OPTIONS), over_white(color, alpha), atol=1)  # rounded
    grey_path = save(tmp_path / "b.png", np.dstack([color[..., 0], alpha]))
    expected = over_white(color[..., :1], alpha)
    np.testing.assert_allclose(read_image(grey_path, OPTIONS), expected.repeat(3, 2), atol=1)
    np.testing.assert_allclose(read_image(grey_path, GREY), expected, atol=1)
    keyed = save(tmp_path / "c.png", color, transparency=tuple(color[3, 4].tolist()))
    wanted = color.copy()
    wanted[3, 4] = 255
    np.testing.assert_array_equal(read_image(keyed, OPTIONS), wanted)
    palette = pil.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7), "L").convert("P")
    palette.putpalette(color.reshape(-1).tolist())
    palette.save(tmp_path / "d.png", transparency=bytes(alpha.reshape(-1).tolist()))
    np.testing.assert_allclose(read_image(tmp_path / "d.png", OPTIONS), over_white(color, alpha), atol=1)


def test_pixels_of_other_kinds(pil: Any, tmp_path: Path) -> None:
    bits = PIXELS[0, :, :, 0] > 127
    pil.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.png", GREY)[..., 0], bits * 255)
    palette = pil.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7), "L").convert("P")
    palette.putpalette(PIXELS[3].reshape(-1).tolist())
    palette.save(tmp_path / "palette.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.gif", OPTIONS), PIXELS[3])
    pil.fromarray(np.dstack([255 - PIXELS[0], np.zeros((5, 7), np.uint8)]), "CMYK").save(tmp_path / "inks.tiff")
    np.testing.assert_array_equal(read_image(tmp_path / "inks.tiff", OPTIONS), PIXELS[0])
    fine = np.random.default_rng(1).integers(0, 65536, (5, 7), np.uint16)
    save(tmp_path / "fine.png", fine)
    save(tmp_path / "fine.tiff", fine)
    (tmp_path / "fine.pgm").write_bytes(b"P5 7 5 65535\n" + fine.astype(">u2").tobytes())
    for kind in ("png", "tiff", "pgm"):
        np.testing.assert_allclose(
            read_image(tmp_path / f"fine.{kind}", GREY)[..., 0], fine / 257, atol=1, err_msg=kind
        )
    save(tmp_path / "real.tiff", fine.astype(np.float32))
    with pytest.raises(DataError, match=r"real\.tiff: cannot be read as an image \(fractions of unknown range"):
        read_image(tmp_path / "real.tiff", GREY)


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_the_first_frame_counts(pil: Any, tmp_path: Path, kind: str) -> None:
    frames = [pil.fromarray(np.full((5, 7), 80 * (number + 1), np.uint8)) for number in range(3)]
    frames[0].save(tmp_path / f"film.{kind}", save_all=True, append_images=frames[1:], **{"lossless": True})
    np.testing.assert_array_equal(read_image(tmp_path / f"film.{kind}", GREY), np.full((5, 7, 1), 80))


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp"])
def test_a_file_cut_anywhere_is_whole_or_refused(pil: Any, tmp_path: Path, kind: str) -> None:  # noqa: ARG001
    whole = save(tmp_path / f"whole.{kind}", PIXELS[0]).read_bytes()
    path = tmp_path / f"cut.{kind}"
    expected, refused = read_image(tmp_path / f"whole.{kind}", OPTIONS), 0
    for stop in [*range(0, len(whole), 5), *range(len(whole) - 20, len(whole))]:
        path.write_bytes(whole[:stop])
        try:
            found = read_image(path, OPTIONS)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert refused > len(whole) / 5 - 5  # what a file ends with need not be an image's


def test_an_image_that_is_opened_already_stays_open(pil: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "one.png", PIXELS[1])
    with pil.open(path) as image:
        for options in (OPTIONS, GREY):
            np.testing.assert_array_equal(read_image(image, options), read_image(path, options))
    path.write_bytes(path.read_bytes()[:60])
    for given, name in ((pil.open(path), path), (pil.open(io.BytesIO(path.read_bytes())), "an opened image")):
        with given, pytest.raises(DataError, match=f"^{name}: cannot be read as an image"):
            read_image(given, OPTIONS)


def test_an_image_alone(pil: Any, tmp_path: Path) -> None:  # noqa: ARG001
    with pytest.raises(DataError, match=rf"^{tmp_path}/no\.png: no such file$"):
        read_image(tmp_path / "no.png", OPTIONS)
    with pytest.raises(UsageError, match=r"size: expected a height and a width of at least 1 pixel, got \(5, 0\)"):
        read_image(tmp_path / "no.png", OPTIONS._replace(size=(5, 0)))
