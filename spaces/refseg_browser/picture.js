// From a photo to the network's input and back: the numbers of hf_refseg.processing (placement.py, resizing.py).

/** Rounds halves to the even neighbor, as Python does. */
function round(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 ? floor + 1 : floor;
}

/** Where a photo lies in a canvas that it is scaled to fit into, in the middle. */
export function placeInMiddle(width, height, canvas) {
  const scale = Math.min(canvas.height / height, canvas.width / width);
  const inner = { width: Math.max(round(width * scale), 1), height: Math.max(round(height * scale), 1) };
  return { ...inner, left: (canvas.width - inner.width) >> 1, top: (canvas.height - inner.height) >> 1 };
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

/**
 * Bilinear with half-pixel centers, antialiased when it shrinks.
 *
 * @param {ArrayLike<number>} values rows of `width` pixels of `step` numbers, of which one, at `offset`, is read
 * @param {typeof Array} kind of the result; Uint8ClampedArray rounds, also between the two passes
 */
export function resize(values, width, height, toWidth, toHeight, kind, step = 1, offset = 0) {
  const columns = new kind(toWidth * height), resized = new kind(toWidth * toHeight);
  weightsOf(width, toWidth).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 0, index = (y * width + first) * step + offset;
      for (let i = 0; i < weights.length; i++, index += step) sum += weights[i] * values[index];
      columns[y * toWidth + x] = sum;
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

/** The pixels of a photo (ImageData) as the network's input (3, H, W): black around, then mean and std. */
export function toInput(photo, settings) {
  const { width, height } = settings.size, place = placeInMiddle(photo.width, photo.height, settings.size);
  const input = new Float32Array(3 * width * height);
  for (let channel = 0; channel < 3; channel++) {
    const mean = settings.image_mean[channel], std = settings.image_std[channel];
    const plane = input.subarray(channel * width * height, (channel + 1) * width * height).fill(-mean / std);
    const small = resize(photo.data, photo.width, photo.height, place.width, place.height, Uint8ClampedArray, 4, channel);
    for (let y = 0; y < place.height; y++) {
      for (let x = 0; x < place.width; x++) {
        plane[(y + place.top) * width + x + place.left] = (small[y * place.width + x] - mean) / std;
      }
    }
  }
  return input;
}

/** Logits (H, W) of the network's input as probabilities of the photo, at any size of its aspect. */
export function toPhoto(logits, canvas, photo, size) {
  const place = placeInMiddle(photo.width, photo.height, canvas), inner = new Float32Array(place.width * place.height);
  for (let y = 0; y < place.height; y++) {
    for (let x = 0; x < place.width; x++) {
      inner[y * place.width + x] = 1 / (1 + Math.exp(-logits[(y + place.top) * canvas.width + x + place.left]));
    }
  }
  return resize(inner, place.width, place.height, size.width, size.height, Float32Array);
}
