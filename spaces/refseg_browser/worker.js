// The model, beside the page so that it stays responsive: a photo is encoded once, then expressions are asked about it.

import * as ort from "./vendor/onnxruntime-web/ort.wasm.min.mjs";
import { paste, toInput } from "./picture.js";
import { Tokenizer } from "./tokenizer.js";

const RUNTIME = new URL("./vendor/onnxruntime-web/", import.meta.url).href;
const THRESHOLD = 0.5;
let graphs, tokenizer, settings, multiple, features, photo, imageRuns = 0;

const json = async (name) => (await fetch(`model/${name}`)).json();

/** The runtime is stored compressed: 3.4 MB instead of 13.5. */
async function unpacked(url) {
  const packed = await fetch(url);
  return new Response(packed.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function load() {
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmBinary = await unpacked(`${RUNTIME}ort-wasm-simd-threaded.wasm.gz`);
  const [vocabulary, words, processor, description] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "processor_config.json", "graphs.json"].map(json),
  );
  tokenizer = new Tokenizer(vocabulary, words);
  settings = processor.image_processor;
  multiple = description.side_multiple;
  const [image, expression] = await Promise.all(
    ["image", "expression"].map(async (name) => {
      const graph = await (await fetch(`model/${name}.onnx`)).arrayBuffer();
      return ort.InferenceSession.create(graph, { executionProviders: ["wasm"], logSeverityLevel: 3 });
    }),
  );
  graphs = { image, expression };
  return { threads: ort.env.wasm.numThreads };
}

async function encode({ pixels }) {
  const { width, height } = pixels, input = toInput(pixels, settings, multiple), { rows, columns } = input;
  features = await graphs.image.run({
    pixel_values: new ort.Tensor("float32", input.pixels, [1, 3, rows, columns]),
    pixel_mask: new ort.Tensor("int64", input.mask, [1, rows, columns]),
    original_sizes: new ort.Tensor("int64", BigInt64Array.of(BigInt(height), BigInt(width)), [1, 2]),
    image_scales: new ort.Tensor("float32", Float32Array.of(input.scale), [1]),
  });
  photo = { width, height };
  imageRuns += 1;
  return {};
}

/** Answers about the photo, their masks at `size`; an expression without any known word has no mask. */
async function ask({ expressions, size }) {
  const told = expressions.map((text) => ({ text, unknown: tokenizer.unknownWords(text) }));
  const readable = told.filter(({ text }) => tokenizer.encode(text).some((id) => id !== tokenizer.unknown));
  if (readable.length) {
    const { ids, mask, shape } = tokenizer.batch(readable.map(({ text }) => text));
    const words = { input_ids: new ort.Tensor("int64", ids, shape), attention_mask: new ort.Tensor("int64", mask, shape) };
    const outputs = await graphs.expression.run({ ...features, ...words });
    const [, side] = outputs.region_masks.dims, scale = [size.width / photo.width, size.height / photo.height];
    readable.forEach((one, number) => {
      const small = outputs.region_masks.data.subarray(number * side * side, (number + 1) * side * side);
      const box = outputs.pred_boxes.data.slice(4 * number, 4 * number + 4).map((edge, index) => edge * scale[index % 2]);
      one.mask = Uint8Array.from(paste(small, side, box, size), (value) => value > THRESHOLD);
      one.share = one.mask.reduce((sum, inside) => sum + inside, 0) / one.mask.length;
      one.score = outputs.scores.data[number];
    });
  }
  return { answers: told, size, imageRuns };
}

const tokens = ({ texts }) => ({ ids: texts.map((text) => tokenizer.encode(text)) });
const JOBS = { load, encode, ask, tokens };
let last = Promise.resolve(); // one job after the other

self.onmessage = ({ data }) => {
  last = last.then(async () => {
    const start = performance.now();
    try {
      const result = await JOBS[data.job](data);
      self.postMessage({ id: data.id, result: { ...result, ms: performance.now() - start } });
    } catch (error) {
      self.postMessage({ id: data.id, error: error.message ?? String(error) });
    }
  });
};
