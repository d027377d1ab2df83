"""
What a checkpoint costs: parameters, bytes, floating point operations and time, for its card.

    python benchmarks/checkpoint_cost.py src/hf_refseg/checkpoints/refseg-photos-rmi --threads 1

Writes `cost.json` into the checkpoint's folder. What is timed is the model alone, on the sample picture of its card,
for one expression and for ten about the same picture, on the CPU, and on a GPU where there is one.
"""

from contextlib import ExitStack
from pathlib import Path

from report import argument_parser, publish
from timing import TimedProcess, take_turns

COLUMNS = {
    "expressions": ("expressions", ""),
    "device_name": ("device", ""),
    "gflop": ("GFLOP", ".2f"),
    "median_ms": ("median ms", ".1f"),
    "cpu_ms": ("CPU ms", ".1f"),
    "peak_mb": ("peak MB", ".0f"),
}


def prepare(row: dict):
    """One forward, from prepared inputs to an answer in the CPU's memory."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoProcessor

    import hf_refseg  # noqa: F401  (registers)
    from hf_refseg.hub.samples import sample

    model = AutoModel.from_pretrained(row["folder"], dtype=torch.float32).eval().to(row["device"])
    image, texts = sample(row["folder"])
    if row["expressions"]:
        processor = AutoProcessor.from_pretrained(row["folder"])
        inputs = processor(image, list(texts[: row["expressions"]]), return_tensors="pt")
    else:
        inputs = AutoImageProcessor.from_pretrained(row["folder"])(image, return_tensors="pt")
    inputs = inputs.to(row["device"])

    def work():
        for value in model(**inputs).values():
            if isinstance(value, torch.Tensor):
                value.cpu()  # a GPU has to be done by then

    return torch.inference_mode()(work)


def measure(folder: Path, expressions: int, device: str, threads: int, repeats: int) -> dict:
    """All figures of one situation."""
    import torch

    row = {"folder": str(folder), "expressions": expressions, "device": device}
    with ExitStack() as processes:
        process = processes.enter_context(TimedProcess(__file__, {**row, "threads": threads}))
        figures = take_turns({"": process}, repeats)[""].milliseconds()
        figures |= {"peak_mb": process.ask("peak"), "gflop": process.ask("gflop")}
    name = "CPU" if device == "cpu" else torch.cuda.get_device_name()
    return {"expressions": expressions, "device": device, "device_name": name, **figures}


def main() -> None:
    import torch
    from transformers import AutoModel

    from hf_refseg.hub.card import COST_FILE
    from hf_refseg.hub.samples import sample
    from hf_refseg.systems import find_system

    parser = argument_parser(__doc__, repeats=10)
    parser.add_argument("folder", type=Path, help="of a checkpoint that was evaluated")
    options = parser.parse_args()
    options.output = options.output or options.folder / COST_FILE
    model = AutoModel.from_pretrained(options.folder)
    detects = find_system(model.config.model_type).kind == "detector"
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    situations = [(number, device) for device in devices for number in ((0,) if detects else (1, 10))]
    rows = [measure(options.folder, *one, options.threads, options.repeats) for one in situations]
    publish(
        options,
        rows,
        COLUMNS,
        parameters=model.num_parameters(),
        bytes=sum(path.stat().st_size for path in options.folder.glob("*.safetensors")),
        picture=list(sample(options.folder)[0].size),
    )


if __name__ == "__main__":
    main()
