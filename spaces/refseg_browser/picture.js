// From a photo to the network's input, and from a small mask to the photo: the numbers of hf_refseg.processing
// (resizing.py, image_processing.py) and of hf_refseg.layers.image_geometry.

/** Rounds halves to the even neighbor, as Python does. */
function round(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 ? floor + 1 : floor;
}

/** For each of `to` samples of a line of `from`: the first sample that it reads, and the weights of those it reads. */
function weightsOf(from, to) {
  const scale = from / to, support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, index) => {
    const center = (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), from);
    const weights = new Float32Array(end - first);
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = Math.max(0, 1 - Math.abs((i + first - center + 0.5) / support));
      sum += weights[i];
    }
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** One channel of a photo (ImageData) at another size: bilinear with half-pixel centers, antialiased when it shrinks. */
function resize({ data, width, height }, channel, toWidth, toHeight) {
  const columns = new Uint8ClampedArray(toWidth * height), resized = new Uint8ClampedArray(toWidth * toHeight);
  weightsOf(width, toWidth).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 0, index = (y * width + first) * 4 + channel;
      for (let i = 0; i < weights.length; i++, index += 4) sum += weights[i] * data[index];
      columns[y * toWidth + x] = sum; // rounds, as after the second pass
    }
  });
  weightsOf(height, toHeight).forEach(({ first, weights }, y) => {
    for (let x = 0; x < toWidth; x++) {
      let sum = 0, index = first * toWidth + x;
      for (let i = 0; i < weights.length; i++, index += toWidth) sum += weights[i] * columns[index];
      resized[y * toWidth + x] = sum;
    }
  });
  return resized;
}

/**
 * A photo as the network's input: its long side as the processor says, at the top left, zeros up to sides that are
 * multiples of `multiple`. With the mask of the photo's own pixels, and by how much it was enlarged.
 */
export function toInput(photo, { size, image_mean: means, image_std: scales }, multiple) {
  const scale = size.longest_edge / Math.max(photo.width, photo.height);
  const [width, height] = [photo.width, photo.height].map((side) => Math.max(round(side * scale), 1));
  const [columns, rows] = [width, height].map((side) => Math.ceil(side / multiple) * multiple);
  const pixels = new Float32Array(3 * rows * columns), mask = new BigInt64Array(rows * columns);
  for (let y = 0; y < height; y++) mask.fill(1n, y * columns, y * columns + width);
  for (let channel = 0; channel < 3; channel++) {
    const small = resize(photo, channel, width, height);
    for (let y = 0; y < height; y++) {
      for (let x = 0, index = (channel * rows + y) * columns; x < width; x++, index++) {
        pixels[index] = (small[y * width + x] - means[channel]) / scales[channel];
      }
    }
  }
  return { pixels, mask, rows, columns, scale };
}

/** For each of `pixels` between which a mask of `cells` is stretched from `low` to `high`: two cells, and the share of
 * the second one; null beside the mask. */
function cellsAt(pixels, low, high, cells) {
  return Array.from({ length: pixels }, (_, index) => {
    const center = index + 0.5;
    if (center < low || center >= high) return null;
    const place = Math.min(Math.max(((center - low) / (high - low)) * cells - 0.5, 0), cells - 1), cell = Math.floor(place);
    return [cell, Math.min(cell + 1, cells - 1), place - cell];
  });
}

/** A mask of `side` x `side` probabilities, stretched over a box [x1, y1, x2, y2] of a picture: its probabilities. */
export function paste(small, side, [x1, y1, x2, y2], { width, height }) {
  const pasted = new Float32Array(width * height), columns = cellsAt(width, x1, x2, side);
  cellsAt(height, y1, y2, side).forEach((row, y) => {
    if (!row) return;
    const [upper, lower, down] = row;
    columns.forEach((column, x) => {
      if (!column) return;
      const [left, right, across] = column;
      const above = small[upper * side + left] * (1 - across) + small[upper * side + right] * across;
      const below = small[lower * side + left] * (1 - across) + small[lower * side + right] * across;
      pasted[y * width + x] = above * (1 - down) + below * down;
    });
  });
  return pasted;
}
