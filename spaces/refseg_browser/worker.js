// The model, beside the page so that it stays responsive: a photo is encoded once, then expressions are asked about it.

import * as ort from "./vendor/onnxruntime-web/ort.wasm.min.mjs";
import { toInput, toPhoto } from "./picture.js";
import { Tokenizer } from "./tokenizer.js";

const RUNTIME = new URL("./vendor/onnxruntime-web/", import.meta.url).href;
const THRESHOLD = 0.5;
let graphs, tokenizer, settings, features, photo, imageRuns = 0;

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
  const [description, words, processor] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "processor_config.json"].map(json),
  );
  tokenizer = new Tokenizer(description, words);
  settings = processor.image_processor;
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
  const { width, height } = settings.size;
  const input = new ort.Tensor("float32", toInput(pixels, settings), [1, 3, height, width]);
  features = await graphs.image.run({ pixel_values: input });
  photo = { width: pixels.width, height: pixels.height };
  imageRuns += 1;
  return {};
}

async function ask({ expressions, size }) {
  const told = expressions.map((text) => ({ text, unknown: tokenizer.unknownWords(text) }));
  const readable = told.filter(({ text }) => tokenizer.encode(text).some((id) => id !== tokenizer.unknown));
  if (readable.length) {
    const { ids, mask, shape } = tokenizer.batch(readable.map(({ text }) => text));
    const words = { input_ids: new ort.Tensor("int64", ids, shape), attention_mask: new ort.Tensor("int64", mask, shape) };
    const { logits } = await graphs.expression.run({ ...features, ...words });
    const area = settings.size.width * settings.size.height;
    readable.forEach((one, number) => {
      const mine = logits.data.subarray(number * area, (number + 1) * area);
      const probabilities = toPhoto(mine, settings.size, photo, size);
      one.mask = Uint8Array.from(probabilities, (value) => value > THRESHOLD);
      let sum = 0, inside = 0;
      probabilities.forEach((value, index) => one.mask[index] && ((sum += value), (inside += 1)));
      Object.assign(one, { score: inside ? sum / inside : 0, share: inside / probabilities.length });
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
