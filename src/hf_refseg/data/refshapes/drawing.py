"""Pictures of RefShapes scenes: one function per outline, rasterized in a window around the shape."""

import math
from functools import partial

import numpy as np

from .scene import REACH, Shape

RGB = {
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (240, 212, 40),
    "green": (44, 158, 75),
    "blue": (40, 95, 215),
    "purple": (128, 55, 168),
    "pink": (244, 130, 180),
    "black": (40, 40, 44),
}


def _triangle(u, v):
    return (v <= 0.8) & (v + 1 >= np.abs(u) * (1.8 / 0.98))


def _star(u, v):
    # Fold the plane into a tenth of the star: a sector between one tip (radius 1) and one notch (radius 0.45).
    fifth = 2 * math.pi / 5
    angle = np.abs((np.arctan2(u, -v) + fifth / 2) % fifth - fifth / 2)
    radius = np.hypot(u, v)
    notch_x, notch_y = 0.45 * math.cos(fifth / 2), 0.45 * math.sin(fifth / 2)
    return (1 - radius * np.cos(angle)) * notch_y >= radius * np.sin(angle) * (1 - notch_x)


def _heart(u, v):
    x, y = 1.15 * u, -1.1 * v + 0.1
    return (x**2 + y**2 - 1) ** 3 <= x**2 * y**3


def _cross(u, v):
    return (np.minimum(np.abs(u), np.abs(v)) <= 0.3) & (np.maximum(np.abs(u), np.abs(v)) <= 0.95)


def _polygon(u, v, corners):
    # Fold the plane into a sector around the middle of a side.
    sector = 2 * math.pi / corners
    angle = np.arctan2(u, -v) % sector - sector / 2
    return np.hypot(u, v) * np.cos(angle) <= math.cos(sector / 2)


# (h, w) coordinates in radii, y down, to (h, w) bool.
OUTLINES = {
    "circle": lambda u, v: u**2 + v**2 <= 1,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) <= 0.86,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "diamond": lambda u, v: np.abs(u) / 0.72 + np.abs(v) <= 1,
    "heart": _heart,
    "oval": lambda u, v: u**2 + (v / 0.62) ** 2 <= 1,
    "rectangle": lambda u, v: (np.abs(u) <= 0.95) & (np.abs(v) <= 0.55),
    "pentagon": partial(_polygon, corners=5),
    "hexagon": partial(_polygon, corners=6),
    "moon": lambda u, v: (u**2 + v**2 <= 1) & ((u - 0.55) ** 2 + v**2 >= 0.64),
}


def draw(shapes: list[Shape], size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image (size, size, 3) uint8 and instance masks (size, size, N) uint8, in Fortran order (pycocotools wants it)."""
    image = _background(size, rng)
    masks = np.zeros((size, size, len(shapes)), dtype=np.uint8, order="F")
    for index, shape in enumerate(shapes):
        rows, columns, inside, light = _rasterize(shape, size)
        masks[rows, columns, index] = inside
        color = np.array(RGB[shape.color]) + (20 * shape.style - 10)
        paint = np.where(_framed(light, inside)[..., None], 0.35 * color + 0.65 * 250, color).clip(0, 255)
        image[rows, columns][inside] = paint[inside]
    # A little noise, the same in the three channels, so that flat areas are not exactly constant.
    image += rng.integers(-4, 5, size=(size, size, 1), dtype=np.int16)
    return image.clip(0, 255, out=image).astype(np.uint8), masks


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    """A pale gradient in a random direction: (size, size, 3) int16."""
    draws = rng.random(7)
    angle = 2 * math.pi * draws[6]
    axis = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = 0.5 + 0.7 * (math.cos(angle) * axis[None, :] + math.sin(angle) * axis[:, None])
    start, stop = (205 + 40 * draws[:6].astype(np.float32)).reshape(2, 3)
    return (start + ramp[..., None] * (stop - start)).astype(np.int16)


def _rasterize(shape: Shape, size: int) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """Window of the shape and, inside it, (h, w) bool of its pixels and of the light part of its pattern."""
    center_x, center_y, radius = shape.x * size, shape.y * size, shape.radius * size
    reach = REACH * radius + 1
    left, top = max(0, math.floor(center_x - reach)), max(0, math.floor(center_y - reach))
    right, bottom = min(size, math.ceil(center_x + reach)), min(size, math.ceil(center_y + reach))
    x = (np.arange(left, right) + 0.5 - center_x)[None, :] / radius
    y = (np.arange(top, bottom) + 0.5 - center_y)[:, None] / radius
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    u, v = cos * x + sin * y, cos * y - sin * x
    # Every second moon faces the other way, so that a mirrored picture is as likely as the picture.
    facing = -1 if shape.style < 0.5 else 1
    inside = OUTLINES[shape.category](facing * u, v)
    # A moon's center is empty, so its pattern starts in its thickest part.
    belly = -0.62 * facing * radius if shape.category == "moon" else 0
    return (
        slice(top, bottom),
        slice(left, right),
        inside,
        _light(shape, left - int(center_x + belly), top - int(center_y), inside.shape, size),
    )


def _framed(light: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The pattern without the outermost pixels of its shape: without a frame in its own color, a small patterned shape
    would be hard to see. A shape that is hardly more than its frame keeps the whole pattern."""
    core = np.zeros_like(inside)
    core[1:-1, 1:-1] = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    framed = light & inside & core
    return framed if 8 * np.count_nonzero(framed) >= np.count_nonzero(inside) else light


def _light(shape: Shape, left: int, top: int, window: tuple[int, int], size: int) -> np.ndarray:
    """Where the pattern is light; left and top of the window are given from the pattern's start, in pixels."""
    if shape.pattern == "plain":
        return np.zeros(window, dtype=bool)
    # Whole pixels, so that the pattern is visible in small pictures.
    period = max(4, round(0.047 * size))
    columns, rows = np.arange(window[1])[None, :] + left, np.arange(window[0])[:, None] + top
    if shape.pattern == "striped":
        direction = int(shape.style * 8) % 4  # along x, along y, and the two diagonals
        across = (columns, rows, columns + rows, columns - rows)[direction] + np.zeros(window, dtype=int)
        return across % period < period // 2
    # One dot is at the start, so that every shape shows at least one, however small or thin it is.
    x, y = ((axis + period // 2) % period - (period - 1) / 2 for axis in (columns, rows))
    return x**2 + y**2 <= (0.33 * period) ** 2
