"""The eight coordinates of Hu et al. 2016 (Sec. 3.1) that every later system of this family took over."""

import torch

NUM_COORDINATES = 8


def spatial_coordinates(
    height: int, width: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """
    Coordinates of each cell of a grid: [xmin, ymin, xmax, ymax, xcenter, ycenter, 1/width, 1/height].

    The first six run from -1 to 1 over the image. Returns (8, height, width).
    """
    # In half precision, columns beyond 256 could not be counted; so `dtype` is only that of the result.
    x = torch.arange(width + 1, device=device, dtype=torch.float32) * (2 / width) - 1
    y = torch.arange(height + 1, device=device, dtype=torch.float32) * (2 / height) - 1
    xmin, xmax = x[None, :-1].expand(height, width), x[None, 1:].expand(height, width)
    ymin, ymax = y[:-1, None].expand(height, width), y[1:, None].expand(height, width)
    cell = torch.ones(height, width, device=device)
    coordinates = [xmin, ymin, xmax, ymax, (xmin + xmax) / 2, (ymin + ymax) / 2, cell / width, cell / height]
    return torch.stack(coordinates).to(dtype)  # 8 x (height, width) -> (8, height, width)


def box_coordinates(boxes: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """
    The same eight numbers for boxes, as Hu's region classifier computes them.

    Args:
        boxes: (R, 4) xyxy in pixels, x2 and y2 outside the box.
        sizes: (R, 2) (height, width) of the image of each box.

    Returns:
        (R, 8) [xmin, ymin, xmax, ymax, xcenter, ycenter, width, height], as the paper's code has it: xmax and ymax are
        those of the last pixel inside the box; width and height are differences of coordinates that run from -1 to 1,
        so twice the scale of the 1/width of the grid.
    """
    scale = sizes.flip(-1).repeat(1, 2).to(boxes)  # (R, 2) height, width -> (R, 4) width, height, width, height
    corners = (boxes - boxes.new_tensor([0, 0, 1, 1])) * 2 / scale - 1
    low, high = corners[:, :2], corners[:, 2:]
    return torch.cat([corners, (low + high) / 2, high - low], dim=1)  # (R, 4) + (R, 2) + (R, 2) -> (R, 8)
