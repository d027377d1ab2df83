"""From what a visitor gives to masks: checked, segmented, and with what is worth saying about it."""

import difflib
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate.utils import send_to_device
from choices import Choice
from PIL import Image

from hf_refseg.data.schema import encode_mask
from hf_refseg.processing.images import load_image
from hf_refseg.processing.tokenization import split_words

MOST_EXPRESSIONS, MOST_CHARACTERS = 8, 200
LONGEST_SIDE = 2000  # larger photos are made as small: no system looks at more, and masks are drawn in no time
MOST_PIXELS = 50_000_000

try:
    from spaces import GPU  # Hugging Face's ZeroGPU: another process with a GPU, for as long as a call takes
except ImportError:

    def GPU(function):
        return function


@dataclass
class Finding:
    """
    What came of one expression.

    Args:
        expression: as it was typed, without blanks around it.
        mask: (H, W) bool at the photo's size; None where the system could read none of the words.
        score: the system's own, or the mean probability inside of the mask.
        box: xyxy in pixels of the photo; None for an empty mask.
        unknown: words that the system does not know, each with known words that are written alike.
        unread: words behind the last one that the system reads.
        notes: what else there is to say, such as what the system calls what it found.
        words: those that the explanation is about.
        row: which row of the explanation is its; None without a mask.
    """

    expression: str
    mask: np.ndarray | None = None
    score: float | None = None
    box: list[float] | None = None
    unknown: dict[str, list[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    row: int | None = None


@dataclass
class Answer:
    """
    What came of one photo.

    Args:
        photo: as the system saw it, at most `LONGEST_SIDE` on a side.
        choice: the system that answered.
        findings: one per expression.
        explanation: of the system's own kind; None where it keeps none.
        seconds: it took, once the system was loaded.
    """

    photo: Image.Image
    choice: Choice
    findings: list[Finding]
    explanation: object
    seconds: float


def read_photo(source) -> Image.Image:
    """
    Anything that `load_image` reads, small enough for this page.

    Raises:
        ValueError: it is no picture, or one that unpacks to more than 50 megapixels.
    """
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS
    try:
        photo = load_image(source, "the photo")
    finally:
        Image.MAX_IMAGE_PIXELS = before
    photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return photo


def split_expressions(text: str | None) -> list[str]:
    """
    One expression per line, each once.

    Raises:
        ValueError: there is none, there are too many, or one is too long.
    """
    lines = [" ".join(line.split()) for line in (text or "").splitlines()]
    expressions = list(dict.fromkeys(line for line in lines if line))
    if not expressions:
        raise ValueError('Type what to find, such as "the cat on the left". Several things: one per line.')
    if len(expressions) > MOST_EXPRESSIONS:
        raise ValueError(f"These are {len(expressions)} expressions. Ask for {MOST_EXPRESSIONS} at most at a time.")
    longest = max(map(len, expressions))
    if longest > MOST_CHARACTERS:
        raise ValueError(
            f"An expression has {longest:,} characters. Say it in {MOST_CHARACTERS} at most: 10 to 20 words are read."
        )
    return expressions


@GPU
def segment(
    choice: Choice, photo: Image.Image, expressions: list[str], threshold: float = 0.5, sharpen: bool = False
) -> Answer:
    """The answer of `segment_on`, on the GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return segment_on(device, choice, photo, expressions, threshold, sharpen)


@torch.inference_mode()
def segment_on(
    device: str,
    choice: Choice,
    photo: Image.Image,
    expressions: list[str],
    threshold: float = 0.5,
    sharpen: bool = False,
) -> Answer:
    """
    Args:
        device: where the system computes, "cpu" or "cuda".
        choice: the system.
        photo: of `read_photo`.
        expressions: of `split_expressions`.
        threshold: the probability above which a pixel belongs to the mask.
        sharpen: fit the masks to the colors of the photo with a dense CRF.
    """
    processor, model = choice.load(device)
    start = time.perf_counter()
    findings = [read_expression(expression, processor) for expression in expressions]
    readable = [finding for finding in findings if finding.words]
    explanation = None
    if readable:
        inputs = processor(photo, [finding.expression for finding in readable]).to(model.device)
        outputs = model(**inputs, output_attentions=True)
        results = processor.post_process_referring_segmentation(
            outputs,
            target_sizes=inputs["original_sizes"],
            threshold=threshold,
            refine="dense_crf" if sharpen else None,
            images=photo,
        )
        explanation = send_to_device(outputs.explanation, "cpu")  # ZeroGPU sends the answer to another process
        structures = inputs.get("phrase_structure") or [None] * len(readable)
        for row, (finding, result, structure) in enumerate(zip(readable, results, structures, strict=True)):
            finding.mask, finding.score, finding.box = result["mask"].cpu().numpy(), result["score"], result["box"]
            finding.row = row
            if structure is not None:
                finding.notes.append(say_structure(structure))
        if choice.system.has("captioning"):
            add_captions(choice, processor, model, photo, readable)
    return Answer(photo, choice, findings, explanation, time.perf_counter() - start)


def read_expression(expression: str, processor) -> Finding:
    """What the system reads of an expression; without words where it cannot answer it."""
    finding = Finding(expression)
    vocabulary = [word for word in processor.tokenizer.get_vocab() if word.isalpha()]
    for word in processor.unknown_words(expression):
        finding.unknown[word] = difflib.get_close_matches(word, vocabulary, n=2, cutoff=0.75)
    try:
        ids = processor(text=expression)["input_ids"][0]
    except ValueError:  # no word, or none that is known
        return finding
    finding.unread = processor.unread_words(expression)
    finding.words = split_words(processor.tokenizer, expression)[: len(ids)]
    return finding


def say_structure(structure: dict) -> str:
    """HULANet's reading of a phrase, as a sentence."""
    parts = [f"a {structure['name']}" if structure["name"] else "anything"]
    if structure["attributes"]:
        parts.append(f"that is {' and '.join(structure['attributes'])}")
    relations = [f"{one['predicate']} {one['object']}" for one in structure["relation_descriptions"]]
    return " ".join(["Understood:", *parts, *relations])


def add_captions(choice: Choice, processor, model, photo: Image.Image, findings: list[Finding]) -> None:
    """What the system's captioner calls each thing that was found."""
    found = [finding for finding in findings if finding.box]
    if not found:
        return
    caption_regions = choice.system.module("captioning").caption_regions
    for finding, said in zip(
        found, caption_regions(model, processor, photo, [finding.box for finding in found]), strict=True
    ):
        finding.notes.append(f"Its captioner calls it: {said['caption']}")


def as_coco(answer: Answer) -> dict:
    """The answer in COCO's format of annotations: one category per expression, masks as run lengths."""
    photo = answer.photo
    annotations = []
    for number, finding in enumerate(answer.findings, 1):
        if finding.mask is None or not finding.mask.any():
            continue
        rows, columns = finding.mask.any(1).nonzero()[0], finding.mask.any(0).nonzero()[0]
        corner, size = (columns[0], rows[0]), (columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": number,
                "segmentation": encode_mask(finding.mask),
                "bbox": [int(side) for side in (*corner, *size)],
                "area": int(finding.mask.sum()),
                "iscrowd": 0,
                "score": round(float(finding.score), 4),
            }
        )
    return {
        "info": {"description": f"Masks of {answer.choice.name}", "url": ""},
        "images": [{"id": 1, "width": photo.width, "height": photo.height, "file_name": "photo"}],
        "categories": [{"id": number, "name": one.expression} for number, one in enumerate(answer.findings, 1)],
        "annotations": annotations,
    }
