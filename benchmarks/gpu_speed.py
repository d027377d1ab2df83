"""
Speed of every system on a GPU: `python benchmarks/gpu_speed.py`.

The models have the published sizes and random weights, except for the shipped checkpoint for photos. Each is timed
from inputs in the GPU's memory to its output there, between events of the GPU, in float32 (without TF32) and bfloat16,
for one photo with one expression, one with ten, and a batch of photos with an expression each; systems named after
`--compile` also compiled by torch.compile, in bfloat16, for the batch. "Share" compares the floating point operations
of a forward, counted by torch, with the rate that the GPU reaches in the same precision by a matrix product of side
8192. "Waits" counts how often one forward makes the CPU wait for the GPU, as torch's own check of synchronizations
reports them: systems that choose among regions must know how many there are.
"""

import json
import statistics
import warnings
from collections.abc import Callable, Iterator

import torch
from report import argument_parser, publish
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

COLUMNS = {
    "system": ("system", ""),
    "photos": ("photos", ""),
    "expressions": ("expressions", ""),
    "precision": ("precision", ""),
    "median_ms": ("median ms", ".2f"),
    "photos_per_second": ("photos/s", ".0f"),
    "expressions_per_second": ("expressions/s", ".0f"),
    "gflop": ("GFLOP", ".0f"),
    "share": ("share of the GPU's rate", ".1%"),
    "waits": ("waits", ""),
    "peak_mb": ("peak MB", ".0f"),
}
BATCH, WARM_UP = 16, 3


def dense_inputs(size: int, words: int) -> Callable[[int, int], dict]:
    """Inputs of RMI and LSTM-CNN: photos and expressions, the same number of these for each photo."""

    def inputs(photos: int, expressions: int) -> dict:
        return {
            "pixel_values": torch.randn(photos, 3, size, size) * 60,
            "input_ids": torch.randint(4, 300, (expressions, words)),
            "image_index": torch.arange(photos).repeat_interleave(expressions // photos),
        }

    return inputs


def region_inputs(photos: int, expressions: int) -> dict:
    """Photos of 600 x 800 pixels whose detections a system has to find by itself."""
    return {
        "pixel_values": torch.randn(photos, 3, 600, 800) * 60,
        "input_ids": torch.randint(1, 1000, (expressions, 5)),
        "image_index": torch.arange(photos).repeat_interleave(expressions // photos),
    }


def rmi():
    import speed

    return speed.build("rmi"), dense_inputs(320, 4)


def liu_lstm():
    import speed

    return speed.build("liu"), dense_inputs(320, 20)


def hu_lstm_cnn():
    import speed

    return speed.build("hu"), dense_inputs(512, 20)


def photo_rmi():
    from transformers import AutoModel

    import hf_refseg

    model = AutoModel.from_pretrained(hf_refseg.checkpoint_path("refseg-photos-rmi"), dtype=torch.float32)
    return model, dense_inputs(320, 4)


def mattnet():
    import mattnet_speed

    return mattnet_speed.build()[0], region_inputs


def cac():
    import cac_speed

    return cac_speed.build()[0], region_inputs


def hulanet():
    import hulanet_speed

    model, _ = hulanet_speed.build()
    channels = model.config.region_size

    def inputs(photos: int, expressions: int) -> dict:
        given = [hulanet_speed.detections(channels) for _ in range(photos)]
        return {
            "pixel_values": torch.zeros(photos, 3, *hulanet_speed.SIZE),
            **{name: [one[name][0] for one in given] for name in given[0]},
            **hulanet_speed.phrases(expressions),
            "image_index": torch.arange(photos).repeat_interleave(expressions // photos),
        }

    return model, inputs


SYSTEMS = {
    "R+RMI, 320x320": rmi,
    "R+LSTM, 320x320, 20 words": liu_lstm,
    "LSTM-CNN (Hu), 512x512, 20 words": hu_lstm_cnn,
    "refseg-photos-rmi, 320x320": photo_rmi,
    "MAttNet, 600x800": mattnet,
    "CAC, 600x800": cac,
    "HULANet, 600x800, 100 given detections": hulanet,
}


def to_gpu(inputs: dict) -> dict:
    return torch.utils._pytree.tree_map_only(torch.Tensor, torch.Tensor.cuda, inputs)


def milliseconds(work: Callable, repeats: int) -> float:
    """Median time of one call, between events of the GPU, while nothing else waits for it."""
    for _ in range(WARM_UP):
        work()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def count_waits(work: Callable) -> tuple[int, list[str]]:
    """How often a call waits for the GPU, and the lines of code that do."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in caught if "synchronizing CUDA operation" in str(one.message)]
    return len(waits), sorted({f"{one.filename}:{one.lineno}" for one in waits})


def best_rate(dtype: torch.dtype, repeats: int) -> float:
    """GFLOP/s of a matrix product that fills the GPU."""
    side = 8192
    one, other = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * side**3 / milliseconds(lambda: one @ other, repeats) / 1e6


def count_gflop(work: Callable) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def measure(model, inputs: dict, situation: dict, rates: dict, repeats: int) -> dict:
    torch.cuda.reset_peak_memory_stats()

    def work():
        return model(**inputs)

    figures = {**situation, "gflop": situation["gflop"] or count_gflop(work), "median_ms": milliseconds(work, repeats)}
    seconds = figures["median_ms"] / 1e3
    figures["waits"], figures["waiting_lines"] = count_waits(work)
    figures["photos_per_second"] = figures["photos"] / seconds
    figures["expressions_per_second"] = figures["expressions"] / seconds
    figures["share"] = (
        figures["gflop"] / seconds / rates["float32" if figures["precision"] == "float32" else "bfloat16"]
    )
    figures["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return figures


def measure_system(name: str, rates: dict, compiled: bool, repeats: int) -> Iterator[dict]:
    """One row per situation and precision, as soon as it is measured."""
    torch.manual_seed(0)
    model, make_inputs = SYSTEMS[name]()
    model = model.cuda().eval()
    situations = [(1, 1), (1, 10), (BATCH, BATCH)]
    inputs = {situation: to_gpu(make_inputs(*situation)) for situation in situations}
    gflop = {}
    for precision in ("float32", "bfloat16", *(["bfloat16, compiled"] if compiled else [])):
        if precision == "bfloat16":
            model = model.bfloat16()
        if precision.endswith("compiled"):
            model, situations = torch.compile(model), [(BATCH, BATCH)]
        for photos, expressions in situations:
            situation = {"system": name, "photos": photos, "expressions": expressions, "precision": precision}
            with torch.inference_mode():
                figures = measure(
                    model,
                    inputs[photos, expressions],
                    {**situation, "gflop": gflop.get((photos, expressions))},
                    rates,
                    repeats,
                )
            gflop[photos, expressions] = figures["gflop"]
            yield figures


def main() -> None:
    parser = argument_parser(__doc__, repeats=20)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--compile", nargs="+", choices=SYSTEMS, default=[], help="systems to compile: minutes more")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU here; benchmarks/speed.py and its neighbors measure on the CPU")
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    rates = {str(dtype).removeprefix("torch."): best_rate(dtype, 10) for dtype in (torch.float32, torch.bfloat16)}
    rows = []
    for name in tqdm(options.systems, "systems"):
        for row in measure_system(name, rates, name in options.compile, options.repeats):
            rows.append(row)
            tqdm.write(json.dumps(row))
    publish(
        options,
        rows,
        COLUMNS,
        device=torch.cuda.get_device_name(),
        torch=torch.__version__,
        gflop_per_second={name: round(rate) for name, rate in rates.items()},
    )


if __name__ == "__main__":
    main()
