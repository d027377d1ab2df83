// The page: a photo, expressions typed live, masks on a canvas. Nothing leaves this device.

const COLORS = [[0, 150, 255], [255, 96, 0], [0, 200, 130], [255, 90, 200], [255, 220, 0], [130, 90, 255], [0, 220, 230]];
const LONGEST_SHOWN = 1200, MOST_PIXELS = 16_000_000, MOST_EXPRESSIONS = 6, MOST_CHARACTERS = 200, PAUSE = 150; // ms
const $ = (id) => document.getElementById(id);
const canvas = $("canvas"), draw = canvas.getContext("2d");
const state = { photo: null, answers: [], focus: null, asked: 0 };

// ---- The worker, as functions that answer later ----

const worker = new Worker("worker.js", { type: "module" }), waiting = new Map();
worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.get(data.id);
  waiting.delete(data.id);
  data.error ? reject(new Error(data.error)) : resolve(data.result);
};
worker.onerror = (event) => tell(`This browser could not start the model: ${event.message}`, true);

function call(job, values = {}) {
  return new Promise((resolve, reject) => {
    const id = crypto.randomUUID?.() ?? String(Math.random());
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, job, ...values });
  });
}

function tell(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

// ---- Photos ----

/** The pixels of a picture, the right way up, what is transparent on white. */
async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(1, Math.round(bitmap.width * scale));
  sheet.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = sheet.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "white";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.drawImage(bitmap, 0, 0, sheet.width, sheet.height);
  return { sheet, pixels: pen.getImageData(0, 0, sheet.width, sheet.height) };
}

async function show(blob) {
  let photo;
  try {
    photo = await pixelsOf(blob);
  } catch {
    return tell("This file is not a picture that the browser can read. Try a JPEG or PNG.", true);
  }
  const { sheet, pixels } = photo, scale = Math.min(1, LONGEST_SHOWN / Math.max(sheet.width, sheet.height));
  canvas.width = Math.max(1, Math.round(sheet.width * scale));
  canvas.height = Math.max(1, Math.round(sheet.height * scale));
  Object.assign(state, { photo: sheet, answers: [] });
  $("stage").classList.add("filled");
  paint();
  tell("Looking at the photo ...");
  try {
    const { ms } = await call("encode", { pixels });
    $("cpu").textContent = `This photo took ${(ms / 1000).toFixed(1)} s, on this device.`;
    await ask();
  } catch (error) {
    tell(`That did not work: ${error.message}`, true);
  }
}

// ---- Expressions ----

function expressions() {
  const lines = $("expressions").value.split("\n").map((line) => line.trim().slice(0, MOST_CHARACTERS));
  return [...new Set(lines.filter(Boolean))].slice(0, MOST_EXPRESSIONS);
}

async function ask() {
  const wanted = expressions(), number = ++state.asked;
  if (!state.photo || !wanted.length) {
    state.answers = [];
    if (state.photo) tell("Now type what to find.");
    return paint();
  }
  const { answers, ms, imageRuns } = await call("ask", {
    expressions: wanted, size: { width: canvas.width, height: canvas.height },
  });
  if (number !== state.asked) return; // something else was typed meanwhile
  Object.assign(state, { answers, imageRuns, focus: null });
  tell(`${Math.round(ms)} ms for ${wanted.length === 1 ? "one expression" : `${wanted.length} expressions`}.`);
  paint();
}

let timer;
$("expressions").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => ask().catch((error) => tell(error.message, true)), PAUSE);
});

// ---- Drawing ----

/** A mask as a transparent picture: a tint, and an outline. */
function layer(mask, [red, green, blue]) {
  const { width, height } = canvas, picture = new ImageData(width, height), wide = Math.max(1, Math.round(width / 300));
  const outside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && !mask[y * width + x];
  for (let y = 0, index = 0; y < height; y++) {
    for (let x = 0; x < width; x++, index++) {
      if (!mask[index]) continue;
      const edge = outside(x - wide, y) || outside(x + wide, y) || outside(x, y - wide) || outside(x, y + wide);
      picture.data.set([red, green, blue, edge ? 255 : 110], 4 * index);
    }
  }
  return createImageBitmap(picture);
}

async function paint() {
  if (!state.photo) return;
  const { answers, focus } = state;
  const layers = await Promise.all(answers.map(({ mask }, number) => mask && layer(mask, COLORS[number % COLORS.length])));
  if (answers !== state.answers) return;
  draw.drawImage(state.photo, 0, 0, canvas.width, canvas.height);
  layers.forEach((one, number) => one && (focus === null || focus === number) && draw.drawImage(one, 0, 0));
  canvas.setAttribute("aria-label", answers.length ? `The photo with masks of: ${answers.map((one) => one.text).join(", ")}` : "The photo");
  if (focus === null) $("labels").replaceChildren(...answers.map(label));
}

function label(answer, number) {
  const item = document.createElement("li"), button = document.createElement("button");
  const found = answer.share > 0, [swatch, name, said] = ["i", "strong", "span"].map((tag) => document.createElement(tag));
  swatch.style.background = `rgb(${COLORS[number % COLORS.length]})`;
  name.textContent = answer.text;
  said.textContent = !answer.mask ? "none of its words is known" : found ? `${Math.round(100 * answer.share)}% of the photo, score ${answer.score.toFixed(2)}` : "not in this photo";
  button.type = "button";
  button.append(swatch, name, said);
  for (const [event, focus] of [["pointerenter", number], ["focus", number], ["pointerleave", null], ["blur", null]]) {
    button.addEventListener(event, () => { state.focus = focus; paint(); });
  }
  item.append(button);
  if (answer.unknown.length) {
    const note = document.createElement("small");
    note.textContent = `not known: ${answer.unknown.join(", ")}`;
    item.append(note);
  }
  return item;
}

// ---- Ways to give a photo ----

$("file").addEventListener("change", ({ target }) => target.files[0] && show(target.files[0]));
$("sample").addEventListener("click", async () => show(await (await fetch("sample.jpg")).blob()));
document.addEventListener("paste", ({ clipboardData }) => clipboardData.files[0] && show(clipboardData.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
});
$("camera").addEventListener("click", async () => {
  const video = $("video");
  if (video.srcObject) {
    const frame = document.createElement("canvas");
    [frame.width, frame.height] = [video.videoWidth, video.videoHeight];
    frame.getContext("2d").drawImage(video, 0, 0);
    stopCamera();
    return frame.toBlob(show);
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.hidden = false;
    await video.play();
    $("camera").textContent = "Take the photo";
  } catch {
    tell("The camera is not available here. Choose a file instead.", true);
  }
});

function stopCamera() {
  $("video").srcObject.getTracks().forEach((track) => track.stop());
  $("video").srcObject = null;
  $("video").hidden = true;
  $("camera").textContent = "Camera";
}

// ---- Start ----

window.refseg = { state, call, show }; // for tests and for the curious
navigator.serviceWorker?.register("offline.js").catch(() => {}); // without it the page works, but not offline
const started = performance.now();
call("load").then(
  ({ threads }) => {
    document.body.dataset.ready = "true";
    tell(`Ready in ${((performance.now() - started) / 1000).toFixed(1)} s, on ${threads === 1 ? "one core" : `${threads} cores`}. Give a photo.`);
  },
  (error) => tell(`The model could not be loaded: ${error.message}`, true),
);
