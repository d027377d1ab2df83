"""What the dense CRF does to masks: regions and outlines, on photos and on RefShapes, and a picture.

    python benchmarks/dense_crf_quality.py --photos refseg-photos-rmi --data ../shared/data/coco_cc_expressions \\
        --shapes runs/tiny_refshapes --write

measures both checkpoints (shipped names, folders or Hub ids; `python train.py` makes the second, an RMI) through
their processors, with and without `refine="dense_crf"`; `--write` puts table and picture into docs/dense_crf.md and
docs/dense_crf.png, and needs both. Without `--data` the photos are left out, without `--shapes` RefShapes is.

    python benchmarks/dense_crf_quality.py --photos refseg-photos --data ../shared/data/coco_cc_expressions

measures a model of any system, such as the default one.

Boundary IoU: Cheng et al., CVPR 2021: the IoU of those parts of both masks that lie within a band along their outlines.
Boundary accuracy: Krähenbühl and Koltun, NIPS 2011: the share of right pixels in such a band along the true outline,
on both sides of it. The band is 2 % of the picture's diagonal wide.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from report import markdown_table
from scipy.ndimage import binary_erosion
from tqdm import tqdm

from hf_refseg.checkpoints import resolve_checkpoint
from hf_refseg.data import RefShapes, load_refer_folder
from hf_refseg.data.schema import decode_mask
from hf_refseg.metrics import RefSegMetric, mask_counts
from hf_refseg.plotting import overlay

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARKS = "<!-- table of benchmarks/dense_crf_quality.py -->", "<!-- end of the table -->"
COLUMNS = {
    "name": ("checkpoint, data", ""),
    "sentences": ("sentences", ""),
    "refine": ("refine", ""),
    "oIoU": ("oIoU", ".3f"),
    "mIoU": ("mIoU", ".3f"),
    "Pr@0.5": ("Pr@0.5", ".3f"),
    "Pr@0.9": ("Pr@0.9", ".3f"),
    "boundary_iou": ("boundary IoU", ".3f"),
    "boundary_accuracy": ("boundary accuracy", ".3f"),
    "up_down": ("IoU up / down", ""),
}
BAND = 0.02  # of the diagonal
FOUND = 0.5  # IoU of the network's own mask from which on the right thing was found
CHANGE = 0.01  # of the IoU, that is worth counting
SAMPLE_PHOTOS = {"chelsea": "the cat", "coffee": "the cup"}  # of scikit-image, for the picture


def load(name: str):
    from transformers import AutoModel, AutoProcessor

    import hf_refseg  # noqa: F401  (registers the models)

    folder = resolve_checkpoint(name)
    return AutoModel.from_pretrained(folder, dtype=torch.float32).eval(), AutoProcessor.from_pretrained(folder)


@torch.inference_mode()
def masks_of(model, processor, image, texts: list[str]) -> dict[str | None, list[np.ndarray]]:
    """Masks (H, W) bool of each text, without and with refinement."""
    inputs = processor(images=image, text=texts)
    outputs = model(**inputs)
    return {
        refine: [
            result["mask"].numpy()
            for result in processor.post_process_referring_segmentation(
                outputs, inputs["original_sizes"], refine=refine, images=image
            )
        ]
        for refine in (None, "dense_crf")
    }


def inner_band(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask within the band along its outline; the picture's border belongs to the outline."""
    width = max(1, round(BAND * np.hypot(*mask.shape)))
    padded = np.pad(mask, 1)
    return (padded & ~binary_erosion(padded, np.ones((3, 3)), iterations=width))[1:-1, 1:-1]


def outline_scores(mask: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Boundary IoU and boundary accuracy."""
    ours, theirs = inner_band(mask), inner_band(target)
    union = (ours | theirs).sum()
    around = theirs | inner_band(~target)
    return float((ours & theirs).sum() / union) if union else 1.0, float((mask == target)[around].mean())


def measure(model, processor, rows, name: str) -> list[dict]:
    """One record per sentence: picture, text, target, and masks and scores without and with the CRF."""
    records = []
    for row in tqdm(rows, name, leave=False):
        texts = [sentence["sent"] for sentence in row["sentences"]]
        target = decode_mask(row["mask"]).astype(bool)
        found = masks_of(model, processor, row["image"], texts)
        for index, text in enumerate(texts):
            record = {"image": row["image"], "text": text, "target": target}
            for refine, masks in found.items():
                intersection, union = mask_counts(masks[index], target)[:2]
                iou = intersection / union if union else 0.0
                record[refine] = {"mask": masks[index], "iou": iou, "outline": outline_scores(masks[index], target)}
            records.append(record)
    return records


def table_rows(name: str, records: list[dict]) -> list[dict]:
    """Figures of all sentences and of those found, without and with the CRF."""
    found = [record for record in records if record[None]["iou"] >= FOUND]
    rows = []
    for subset, chosen in ((f"all {len(records)}", records), (f"the {len(found)} found", found)):
        for refine in (None, "dense_crf"):
            metric = RefSegMetric("hu2016")
            for record in chosen:
                metric.add(record[refine]["mask"], record["target"])
            outline = np.mean([record[refine]["outline"] for record in chosen], axis=0)
            change = np.array([record[refine]["iou"] - record[None]["iou"] for record in chosen])
            rows.append(
                {
                    **metric.compute(),
                    "name": name,
                    "sentences": subset,
                    "refine": "dense CRF" if refine else "none",
                    "boundary_iou": outline[0],
                    "boundary_accuracy": outline[1],
                    "up_down": f"{(change > CHANGE).sum()} / {(change < -CHANGE).sum()}" if refine else None,
                }
            )
    return rows


def picture(rows: list[tuple[str, object, np.ndarray, np.ndarray]], path: Path) -> None:
    """Each row: title, image, mask without and with the CRF."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.5 * len(rows)), layout="constrained")
    for axes, (title, image, *masks) in zip(figure.subplots(len(rows), 2, squeeze=False), rows, strict=True):
        for axis, mask, kind in zip(axes, masks, ("network", "dense CRF"), strict=True):
            axis.imshow(overlay(image, mask))
            axis.set_title(f"{kind}: {title}", fontsize=9)
            axis.axis("off")
    figure.savefig(path, dpi=72)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="refseg-photos-rmi", help="checkpoint for photos (%(default)s)")
    parser.add_argument("--data", help="RefCOCO-layout folder of photos: refs.json, instances.json, images/")
    parser.add_argument("--split", default="val")
    parser.add_argument("--shapes", help="checkpoint for RefShapes: an RMI model")
    parser.add_argument("--samples", type=int, default=200, help="scenes of RefShapes (%(default)s)")
    parser.add_argument("--write", action="store_true", help="put table and picture into docs/")
    options = parser.parse_args()
    if options.write and not (options.data and options.shapes):
        parser.error("--write puts photos and RefShapes into docs/dense_crf.md: give --data and --shapes")

    rows, drawn = [], []
    model, processor = load(options.photos)
    if options.data:
        photos = load_refer_folder(options.data, split=options.split)
        records = measure(model, processor, photos, "photos")
        rows += table_rows(f"{Path(options.photos).name}, photos", records)
    from skimage import data

    for name, text in SAMPLE_PHOTOS.items():
        image = getattr(data, name)()
        masks = masks_of(model, processor, image, [text])
        drawn.append((f'"{text}"', image, masks[None][0], masks["dense_crf"][0]))
    if options.shapes:
        model, processor = load(options.shapes)
        size = dict(processor.image_processor.size)["height"]
        records = measure(model, processor, RefShapes("val", "refcoco", size, options.samples), "RefShapes")
        rows += table_rows(f"{Path(options.shapes).name}, RefShapes", records)
        found = sorted(
            (record for record in records if record[None]["iou"] >= FOUND),
            key=lambda record: record["dense_crf"]["iou"] - record[None]["iou"],
        )
        for record in (found[-1], found[0]):
            before, after = record[None]["iou"], record["dense_crf"]["iou"]
            masks = record[None]["mask"], record["dense_crf"]["mask"]
            drawn.append((f'"{record["text"]}"\nIoU {before:.2f} to {after:.2f}', record["image"], *masks))

    table = markdown_table(rows, COLUMNS)
    print(table)
    if options.write:
        page = (DOCS / "dense_crf.md").read_text(encoding="utf-8")
        before, rest = page.split(MARKS[0])
        _, after = rest.split(MARKS[1])
        page = "\n".join([before + MARKS[0], table, MARKS[1] + after])
        (DOCS / "dense_crf.md").write_text(page, encoding="utf-8")
        picture(drawn, DOCS / "dense_crf.png")


if __name__ == "__main__":
    main()
