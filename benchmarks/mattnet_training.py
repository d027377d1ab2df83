"""
What a step of MAttNet's training costs when its detector looks at the images, and when it has looked before:
`python benchmarks/mattnet_training.py`. The recipe is mattnet_refshapes; a step makes its batch, too.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from report import argument_parser, publish
from timing import contender, take_turns

from hf_refseg.training.run import prepare

IMAGES = 120
COLUMNS = {
    "name": ("", ""),
    "min_ms": ("min ms", ".0f"),
    "median_ms": ("median ms", ".0f"),
    "cpu_ms": ("CPU ms", ".0f"),
    "images_per_cpu_second": ("images per CPU second", ".0f"),
    "kb_per_image": ("KB per image on disk", ".0f"),
}


def make_step(folder: Path, regions_file: Path | None) -> tuple[Callable[[], None], int]:
    """A step of the training, and how many images it has."""
    settings = {"output_dir": folder / "run", "train_samples": IMAGES, "eval_samples": 1, "use_cpu": True}
    if regions_file is not None:
        settings["regions_file"] = regions_file
    run = prepare("mattnet_refshapes", [word for name, value in settings.items() for word in (f"--{name}", str(value))])
    model, items, size = run.task.model.train(), run.task.train_rows, run.args.per_device_train_batch_size
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    starts = itertools.cycle(range(0, len(items), size))

    def step() -> None:
        start = next(starts)
        batch = run.task.collator([items[number] for number in range(start, start + size)])
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

    return step, size


def main() -> None:
    options = argument_parser(__doc__, repeats=10).parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "regions.safetensors"
        steps = {
            "the detector looks at every step": make_step(Path(folder), None),
            "it has looked before": make_step(Path(folder), file),
        }
        kilobytes = {"it has looked before": file.stat().st_size / 1024 / IMAGES}
        timings = take_turns({name: contender(step) for name, (step, _) in steps.items()}, options.repeats)
    rows = [{"name": name, **timing.milliseconds()} for name, timing in timings.items()]
    for row in rows:
        row["images_per_cpu_second"] = steps[row["name"]][1] / row["cpu_ms"] * 1e3
        row["kb_per_image"] = kilobytes.get(row["name"])
    publish(options, rows, COLUMNS)


if __name__ == "__main__":
    main()
