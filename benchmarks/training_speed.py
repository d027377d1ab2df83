"""
What a step of the recipes for drawn shapes costs, with making its batch: `python benchmarks/training_speed.py`.

RMI is tiny_refshapes after its first stage. MAttNet's detector looks at the images at every step, or has looked before.
"""

import itertools
import tempfile
from pathlib import Path

import torch
from report import argument_parser, publish
from timing import contender, take_turns

from hf_refseg.training.parameter_scopes import freeze_parameters
from hf_refseg.training.run import prepare

IMAGES = 120
COLUMNS = {
    "name": ("", ""),
    "min_ms": ("min ms", ".0f"),
    "median_ms": ("median ms", ".0f"),
    "cpu_ms": ("CPU ms", ".0f"),
    "batch_ms": ("of which the batch", ".0f"),
    "samples_per_cpu_second": ("samples per CPU second", ".0f"),
    "kb_per_image": ("KB per image on disk", ".0f"),
}


class Step:
    """
    A step of a recipe's training.

    Args:
        folder: for what the training writes.
        recipe: its name.
        settings: what is changed of it.
    """

    def __init__(self, folder: Path, recipe: str, **settings):
        settings |= {"output_dir": folder / "run", "train_samples": IMAGES, "eval_samples": 1, "use_cpu": True}
        run = prepare(recipe, [word for name, value in settings.items() for word in (f"--{name}", str(value))])
        if run.args.freeze is not None:
            freeze_parameters(run.task.model, run.recipe.keys.parameter_scopes, run.args.freeze)
        self.task, self.channels_last = run.task, run.args.channels_last
        self.size = run.args.per_device_train_batch_size
        self.model = run.task.model.train()
        self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], fused=True)
        self.starts = itertools.cycle(range(0, IMAGES - self.size + 1, self.size))

    def batch(self) -> dict:
        start = next(self.starts)
        return self.task.collator([self.task.train_rows[number] for number in range(start, start + self.size)])

    def __call__(self) -> None:
        batch = self.batch()
        if self.channels_last:
            batch["pixel_values"] = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad()
        self.model(**batch).loss.backward()
        self.optimizer.step()


def main() -> None:
    options = argument_parser(__doc__, repeats=10).parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "regions.safetensors"
        steps = {
            "RMI": Step(folder, "tiny_refshapes"),
            "MAttNet": Step(folder, "mattnet_refshapes"),
            "MAttNet, the detector has looked before": Step(folder, "mattnet_refshapes", regions_file=file),
        }
        kilobytes = {"MAttNet, the detector has looked before": file.stat().st_size / 1024 / IMAGES}
        contenders = {(name, "step"): contender(step) for name, step in steps.items()}
        contenders |= {(name, "batch"): contender(step.batch) for name, step in steps.items()}
        timings = take_turns(contenders, options.repeats)
    rows = []
    for name, step in steps.items():
        row = {"name": name, **timings[name, "step"].milliseconds()}
        row["batch_ms"] = timings[name, "batch"].milliseconds()["cpu_ms"]
        row["samples_per_cpu_second"] = step.size / row["cpu_ms"] * 1e3
        row["kb_per_image"] = kilobytes.get(name)
        rows.append(row)
    publish(options, rows, COLUMNS)


if __name__ == "__main__":
    main()
