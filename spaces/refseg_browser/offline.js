// After the first visit everything is kept in the browser, so that the page works without a network.

const VERSION = "refseg-2";
const FILES = [
  "./", "index.html", "style.css", "app.js", "worker.js", "picture.js", "tokenizer.js", "sample.jpg",
  "model/image.onnx", "model/expression.onnx", "model/tokenizer.json", "model/tokenizer_config.json",
  "model/processor_config.json", "model/graphs.json", "vendor/onnxruntime-web/ort.wasm.min.mjs",
  "vendor/onnxruntime-web/ort-wasm-simd-threaded.mjs", "vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = async () => (await caches.keys()).filter((name) => name !== VERSION);
  event.waitUntil(old().then((names) => Promise.all(names.map((name) => caches.delete(name)))).then(() => self.clients.claim()));
});

// The network first, so that a new version is seen at once; what is kept where there is none.
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
});
