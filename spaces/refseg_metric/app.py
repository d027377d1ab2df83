"""Two masks in, what each protocol makes of them out; or a file of predictions in, one table out."""

import json

import gradio as gr
import numpy as np

from hf_refseg.metrics import PROTOCOLS, RefSegMetric

NUMBERS = ("oIoU", "mIoU", "Pr@0.5", "Pr@0.7", "Pr@0.9", "gIoU", "cIoU", "N-acc", "T-acc")
HEADERS = ["protocol", "samples", *NUMBERS]
EXAMPLE = """{"prediction": {"size": [4, 4], "counts": "04<"}, "target": {"size": [4, 4], "counts": "02>"}}
{"intersection": 30, "union": 40}"""


def score(samples: list[dict]) -> list[list]:
    """One row of percentages per protocol; a sample has two masks, or intersection and union."""
    table = []
    for protocol in PROTOCOLS:
        metric = RefSegMetric(protocol)
        for number, sample in enumerate(samples, 1):
            try:
                if "prediction" in sample:
                    metric.add(sample["prediction"], sample["target"])
                else:
                    metric.add_counts(**sample)
            except (ValueError, TypeError, KeyError) as error:
                raise gr.Error(f"sample {number}: {error}") from error
        numbers = metric.compute()
        shown = [f"{100 * numbers[name]:.2f}" if name in numbers else "" for name in NUMBERS]
        table.append([protocol, numbers["num"], *shown])
    return table


def score_masks(prediction: np.ndarray | None, target: np.ndarray | None) -> list[list]:
    """Of two gray pictures (H, W), of 0 and one other value each."""
    if prediction is None or target is None:
        raise gr.Error("give two masks: the prediction and the target")
    return score([{"prediction": prediction, "target": target}])


def score_lines(lines: str) -> list[list]:
    """Of JSON lines."""
    samples = []
    for number, line in enumerate(lines.splitlines(), 1):
        if line.strip():
            try:
                samples.append(json.loads(line))
            except ValueError as error:
                raise gr.Error(f"line {number} is no JSON: {error}") from error
    if not samples:
        raise gr.Error("give at least one line")
    return score(samples)


with gr.Blocks(title="Referring segmentation metrics") as demo:
    gr.Markdown(
        "# Referring segmentation metrics\nThe same masks under six protocols, in percent. A mask has two values: "
        "black, and one other, which is the foreground."
    )
    with gr.Tab("Two masks"):
        with gr.Row():
            masks = [
                gr.Image(label=label, image_mode="L", type="numpy", format="png") for label in ("Prediction", "Target")
            ]
        by_masks = gr.Button("Compare", variant="primary")
    with gr.Tab("Many samples"):
        text = gr.Textbox(
            EXAMPLE,
            lines=8,
            label="One JSON object per line: prediction and target as COCO run lengths, or intersection and union",
        )
        by_lines = gr.Button("Score", variant="primary")
    table = gr.Dataframe(headers=HEADERS, label="Numbers", interactive=False)
    by_masks.click(score_masks, masks, table, api_name="masks")
    by_lines.click(score_lines, text, table, api_name="lines")

if __name__ == "__main__":
    demo.launch()
