"""Photos with something new in them: toy robots, drawn with light and shadow, on photos that somebody else took."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COLORS = {"red": (205, 45, 40), "blue": (45, 85, 200), "yellow": (230, 195, 45)}
SIZE = (320, 240)  # width, height
SCALE = 3  # drawn larger, then made smaller: smooth edges


@dataclass(frozen=True)
class RobotPhoto:
    """A picture, and for each robot in it a mask (H, W) bool and its sentences."""

    picture: Image.Image
    robots: list[tuple[np.ndarray, list[str]]]


def write_masks(folder: Path, photos: Sequence[RobotPhoto]) -> Path:
    """A folder of photos, masks and text files."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number, photo in enumerate(photos):
        photo.picture.save(folder / "images" / f"{number:03}.jpg", quality=95)
        for place, (mask, sentences) in enumerate(photo.robots, 1):
            Image.fromarray(mask).save(folder / "masks" / f"{number:03}_{place}.png")
            (folder / "masks" / f"{number:03}_{place}.txt").write_text("\n".join(sentences))
    return folder


def robot_photos(backgrounds: Sequence[Path], count: int, seed: int) -> list[RobotPhoto]:
    """Photos with robots, each on another background."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(backgrounds))[:count]
    return [robot_photo(Image.open(backgrounds[number]), rng) for number in chosen]


def robot_photo(background: Image.Image, rng: np.random.Generator) -> RobotPhoto:
    """One robot, or two of different colors, somewhere on a random part of a photo."""
    width, height = SIZE
    side = min(background.width * height // width, background.height)
    crop_height = int(side * rng.uniform(0.6, 1))
    crop_width = crop_height * width // height
    left, top = (
        int(rng.integers(limit + 1)) for limit in (background.width - crop_width, background.height - crop_height)
    )
    picture = background.convert("RGB").resize(SIZE, box=(left, top, left + crop_width, top + crop_height))
    count = int(rng.integers(1, 3))
    colors = rng.permutation(list(COLORS))[:count]
    drawn = []
    for place, color in enumerate(colors):
        robot = draw_robot(COLORS[color], int(rng.integers(70, 150)), rng)
        room = width // count
        x = place * room + int(rng.integers(max(room - robot.width, 1)))
        y = int(rng.integers(max(height - robot.height, 1)))
        layer = Image.new("L", SIZE)
        layer.paste(robot.getchannel("A"), (x, y))
        picture.paste(robot.convert("RGB"), (x, y), robot.getchannel("A"))
        drawn.append((np.asarray(layer) > 127, color))
    noise = rng.normal(0, 4, (height, width, 3))
    picture = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
    robots = []
    for place, (mask, color) in enumerate(drawn):
        sentences = [f"the {color} robot"]
        sentences.append("the robot" if count == 1 else f"the robot on the {('left', 'right')[place]}")
        robots.append((mask, sentences))
    return RobotPhoto(picture, robots)


def draw_robot(color: tuple[int, int, int], height: int, rng: np.random.Generator) -> Image.Image:
    """A toy robot of about this height in pixels, RGBA, turned a little and lit from the left."""
    unit = height * SCALE / 100
    canvas = Image.new("RGBA", (int(80 * unit), int(100 * unit)))
    draw = ImageDraw.Draw(canvas)
    dark, light = tuple(int(0.55 * part) for part in color), tuple(int(part + 0.4 * (255 - part)) for part in color)

    def box(x0, y0, x1, y1, fill, radius=4):
        draw.rounded_rectangle([x0 * unit, y0 * unit, x1 * unit, y1 * unit], radius * unit, fill=fill)

    draw.line([40 * unit, 2 * unit, 40 * unit, 12 * unit], fill=(90, 90, 95), width=int(2 * unit))
    draw.ellipse([37 * unit, 0, 43 * unit, 6 * unit], fill=(240, 240, 240))
    box(25, 10, 55, 34, color)
    for x in (31, 43):
        draw.ellipse([x * unit, 17 * unit, (x + 7) * unit, 24 * unit], fill=(250, 250, 230))
        draw.ellipse([(x + 2) * unit, 19 * unit, (x + 5) * unit, 22 * unit], fill=(20, 20, 20))
    box(32, 27, 48, 30, (60, 60, 65), 1)
    box(37, 33, 43, 40, (120, 120, 125), 1)
    box(20, 38, 60, 74, color)
    box(28, 46, 52, 60, light)
    for x in (30, 38, 46):
        draw.ellipse([x * unit, 63 * unit, (x + 5) * unit, 68 * unit], fill=(60, 60, 65))
    lift = int(rng.integers(0, 14))
    box(8, 40 - lift, 18, 68 - lift, dark)
    box(62, 40, 72, 68, dark)
    for x in (24, 44):
        box(x, 74, x + 12, 96, dark)
    # Light from the left.
    shade = np.linspace(1.15, 0.75, canvas.width)[None, :, None]
    pixels = np.asarray(canvas).astype(float)
    pixels[..., :3] = np.clip(pixels[..., :3] * shade, 0, 255)
    turned = Image.fromarray(pixels.astype(np.uint8), "RGBA").rotate(
        float(rng.uniform(-15, 15)), Image.Resampling.BICUBIC
    )
    turned = turned.filter(ImageFilter.GaussianBlur(SCALE * 0.3))
    return turned.resize((turned.width // SCALE, turned.height // SCALE), Image.Resampling.BOX)
