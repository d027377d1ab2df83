"""Gaussian filtering of scattered points over the permutohedral lattice (Adams, Baek and Davis, Eurographics 2010).

A point in d dimensions lies in a simplex of d + 1 lattice vertices. Filtering is three linear steps: every point is
splat onto its vertices with its barycentric weights, the vertices are blurred along the d + 1 lattice directions, and
every point is sliced back out of its vertices. The cost is linear in the number of points, whatever the width.

Letters of this file: P points with values, G without, d dimensions, V vertices that some point touches, C values per
point.
"""

import math

import torch
import torch.nn.functional as F


class PermutohedralLattice:
    """The lattice of one set of points: built once, then filters any number of values, always in the same order.

    Args:
        features: (d, P + G) float32; the positions divided by the standard deviation of the Gaussian in each dimension.
        group: (P + G,) int64 from 0, which set each point belongs to: sets do not see each other. None: there is one.
        num_ghosts: G, how many points at the end have no value. Nothing is splat from them or sliced for them, but
            their vertices are there, and the blur passes through vertices only.

    Raises ValueError where the points spread over more lattice cells than 64 bits can number.
    """

    def __init__(self, features: torch.Tensor, group: torch.Tensor | None = None, num_ghosts: int = 0):
        weights, keys, radix, strides = _enclosing_simplices(features, group)  # (d + 1, P + G) both
        num_corners, num_points = keys.shape
        num_valued = num_points - num_ghosts  # P
        # a stable sort, so that every vertex adds its points in one order, that of the points
        sorted_keys, order = keys.view(-1).sort(stable=True)  # (d + 1, P + G) -> ((d + 1) * (P + G),)
        # the remainder is a key's first digit, so the rows were sorted one after the other
        points = order.view_as(keys) - num_points * torch.arange(num_corners, device=keys.device)[:, None]
        keys, vertex, counts = sorted_keys.unique_consecutive(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).int()  # (V,)
        self.splat_points = points.view(-1).int()
        self.splat_weights = weights.gather(1, points).view(-1)
        if num_ghosts:  # they have no row among the values: they point at row 0, with a weight of 0
            ghosts = self.splat_points >= num_valued
            self.splat_points.masked_fill_(ghosts, 0)
            self.splat_weights.masked_fill_(ghosts, 0)
        self.splat_starts = torch.cat([ends.new_zeros(1), ends, ends[-1:]])  # (V + 2,): one more vertex, without points
        vertices = torch.empty_like(points, dtype=torch.int32).scatter_(1, points, vertex.view_as(points).int())
        self.slice_vertices = vertices[:, :num_valued].T.contiguous()  # (d + 1, P + G) -> (P, d + 1)
        # steps along all directions lead back, so the blur leaves a vertex 1 + 2^-d of itself: divided by, as usual
        self.slice_weights = weights[:, :num_valued].T / (1 + 2.0 ** (1 - num_corners))  # (d + 1, P + G) -> (P, d + 1)
        self.slice_weights = self.slice_weights.contiguous()
        self.neighbors = _blur_neighbors(keys, radix, strides)

    def filter(self, values: torch.Tensor) -> torch.Tensor:
        """The Gaussian-weighted sums, not normalized: values (P, C) float32 -> (P, C).

        On a GPU nothing here waits for the device.
        """
        vertices = F.embedding_bag(  # (P, C) -> (V + 1, C)
            self.splat_points, values, self.splat_starts, per_sample_weights=self.splat_weights, mode="sum",
            include_last_offset=True,
        )  # fmt: skip
        for pairs in self.neighbors:  # along every direction with the weights 1/2, 1, 1/2
            if values.shape[1] == 1:  # twice as fast as a bag
                both = vertices.view(-1).index_select(0, pairs.view(-1))  # (V + 1, 1) -> (2 * (V + 1),)
                both = both[0::2, None] + both[1::2, None]  # -> (V + 1, 1)
            else:
                both = F.embedding_bag(pairs, vertices, mode="sum")  # (V + 1, C)
            vertices = torch.add(vertices, both, alpha=0.5, out=both)
        return F.embedding_bag(self.slice_vertices, vertices, per_sample_weights=self.slice_weights, mode="sum")


def _enclosing_simplices(features: torch.Tensor, group: torch.Tensor | None):
    """Barycentric weights (d + 1, P) and vertex keys (d + 1, P) of every point's simplex, int32 or int64; row r holds
    the vertex of remainder r.

    A vertex of remainder r has d + 1 coordinates (d + 1) * q_i + r that sum to zero. Its key has the digits r, group,
    q_d, ..., q_1 (q_0 follows from the others): `radix` is the value of one r, `strides` (d + 1,) those of one q_i.
    """
    d, num_points = features.shape
    # The arithmetic is float32 in the order of the usual C++ program, so that points on the border of two simplices,
    # of which 8-bit pictures have many, fall to the same side.
    deviation = torch.tensor((d + 1) * math.sqrt(2 / 3)).item()
    scale = features.new_tensor([deviation / math.sqrt((i + 1) * (i + 2)) for i in range(d)])
    scaled = features * scale[:, None]
    elevated = features.new_empty(d + 1, num_points)
    total = torch.zeros_like(scaled[0])
    for i in range(d, 0, -1):
        elevated[i] = total - scaled[i - 1] * i
        total = total + scaled[i - 1]
    elevated[0] = total
    nearest = (elevated * (1 / (d + 1))).round_()  # the q_i of the nearest point of remainder 0, off the plane yet
    excess = nearest.sum(0).to(torch.int16)  # (d + 1, P) -> (P,)
    offset = elevated - nearest * (d + 1)
    rank = excess.repeat(d + 1, 1)  # (P,) -> (d + 1, P): 0 for the largest offset
    for i in range(d):
        for j in range(i + 1, d + 1):
            smaller = offset[i] < offset[j]
            rank[i] += smaller
            rank[j] += ~smaller
    wrap = (rank < 0).to(torch.int16) - (rank > d).to(torch.int16)  # steps back onto the plane
    nearest += wrap
    rank = (rank + wrap * (d + 1)).long()
    offset = (elevated - nearest * (d + 1)) * (1 / (d + 1))
    descending = torch.empty_like(offset).scatter_(0, rank, offset)
    weights = torch.empty_like(offset)
    weights[0] = descending[d] + (1 - descending[0])
    torch.sub(descending[:d].flip(0), descending[1:].flip(0), out=weights[1:])

    low, high = (limit.long().tolist() for limit in nearest[1:].aminmax(dim=1))  # (d + 1, P) -> d numbers
    strides, size = [0], 1
    for least, most in zip(low, high, strict=True):  # room for r > 0, which lowers q by one, and a neighbor each way
        strides.append(size)
        size *= most - least + 4
    radix = size * (1 if group is None else int(group.max()) + 1)
    if radix * (d + 1) >= 2**63:
        raise ValueError(
            f"{num_points} points spread over {radix * (d + 1):.1e} lattice cells, more than 64 bits can number; the "
            "standard deviations of the kernel are too small: give larger ones"
        )
    dtype = torch.int32 if radix * (d + 1) < 2**31 else torch.int64  # 32 bits are sorted in half the time
    keys = torch.empty(d + 1, num_points, dtype=dtype, device=features.device)
    keys[0] = -sum((least - 2) * stride for least, stride in zip(low, strides[1:], strict=True))
    if group is not None:
        keys[0].add_(group, alpha=size)
    for coordinate, stride in zip(nearest[1:].to(dtype), strides[1:], strict=True):
        keys[0].add_(coordinate, alpha=stride)
    # from one remainder to the next, the one coordinate goes down whose offset is the smallest left
    down = keys.new_tensor(strides)[:, None].expand(d + 1, num_points)
    down = torch.empty_like(keys).scatter_(0, rank, down)
    for r in range(d):
        torch.sub(keys[r], down[d - r], out=keys[r + 1]).add_(radix)
    return weights, keys, radix, strides


def _blur_neighbors(keys: torch.Tensor, radix: int, strides: list[int]) -> torch.Tensor:
    """Which vertices come after and before each one along every direction, by its row: (d + 1, V + 1, 2) int32.

    `keys` (V,) are sorted. Where there is none, the row is V, of a vertex that is always empty.
    """
    num_directions, num_vertices = len(strides), len(keys)
    rows = torch.arange(num_vertices, dtype=torch.int32, device=keys.device)
    find = _row_finder(keys, rows)
    neighbors = rows.new_empty(num_directions, num_vertices + 1, 2)
    last = radix * (num_directions - 1)
    # one step is +1 in every coordinate but one, -d in that one: r goes up, or from d to 0 while the q_i go up
    turned = keys + torch.where(keys < last, radix, sum(strides) - last)
    for direction, stride in enumerate(strides):
        after = find(turned - stride)
        before = rows.new_full((num_vertices + 1,), num_vertices).scatter_(0, after.long(), rows)
        before[num_vertices] = num_vertices
        torch.stack([F.pad(after, (0, 1), value=num_vertices), before], dim=1, out=neighbors[direction])
    return neighbors


def _row_finder(keys: torch.Tensor, rows: torch.Tensor):
    """A function from keys (N,) to their rows among the sorted `keys` (V,), or V for what is not there: (N,) int32.

    A hash table of eight slots per key answers; binary search alone, which here is for keys that share a slot, would
    take three times as long.
    """
    num_vertices = len(keys)
    num_bits = (8 * num_vertices).bit_length()
    mask = 2**num_bits - 1
    factor, shift = (0x61C88647, max(31 - num_bits, 0)) if keys.dtype == torch.int32 else (0x9E3779B97F4A7C1, 24)

    def slots_of(keys: torch.Tensor) -> torch.Tensor:
        return keys.mul(factor).bitwise_right_shift_(shift).bitwise_and_(mask)

    slots = slots_of(keys).long()
    table = rows.new_full((mask + 1,), num_vertices).scatter_(0, slots, rows)  # of those in one slot, any one
    shared = slots[table.index_select(0, slots) != rows]
    table[shared] = num_vertices + 1
    keys_or_none = torch.cat([keys, keys.new_full((2,), -1)])

    def find(wanted: torch.Tensor) -> torch.Tensor:
        row = table.index_select(0, slots_of(wanted))
        doubtful = (row > num_vertices).nonzero()[:, 0]
        row[doubtful] = torch.searchsorted(keys, wanted[doubtful], out_int32=True)
        return row.where(keys_or_none.index_select(0, row) == wanted, num_vertices)

    return find
