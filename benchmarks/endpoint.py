"""
What the handler of an endpoint costs: the size of its repository, and time and memory of a request.

    python benchmarks/endpoint.py --model refseg-photos --threads 1

Each process loads a bundle as Inference Endpoints do, and is asked about the same photo again and again. Every request
brings its photo, so that a second expression is cheap only in the same request.
"""

import base64
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from report import argument_parser, publish
from timing import TimedProcess, take_turns

EXPRESSIONS = [
    f"the {animal} on the {side}" for animal in ("cat", "dog", "bird", "horse", "cow") for side in ("left", "right")
]
COLUMNS = {
    "expressions": ("expressions", ""),
    "start_cpu_s": ("start, CPU s", ".1f"),
    "median_ms": ("median ms", ".0f"),
    "cpu_ms": ("CPU ms", ".0f"),
    "peak_mb": ("peak MB", ".0f"),
}


def prepare(row: dict):
    """One request, answered."""
    import skimage

    sys.path.insert(0, row["bundle"])
    from handler import EndpointHandler

    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    handler = EndpointHandler(row["bundle"])
    inputs = {"image": base64.b64encode(photo.read_bytes()).decode(), "text": EXPRESSIONS[: row["expressions"]]}
    return lambda: handler({"inputs": inputs})


def main() -> None:
    from space import cpu_seconds, megabytes_of

    from hf_refseg.hub.bundle import bundle

    parser = argument_parser(__doc__, repeats=10)
    parser.add_argument("--model", default="refseg-photos", help="a checkpoint (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as started:
        folder = bundle(options.model, Path(temporary) / "bundle")
        processes, starts = {}, {}
        for number in (1, 10):
            row = {"bundle": str(folder), "expressions": number, "threads": options.threads}
            processes[number] = started.enter_context(TimedProcess(__file__, row))
            processes[number].ask("peak")  # it answers as soon as the model is loaded
            starts[number] = cpu_seconds(processes[number].process)
        timings = take_turns(processes, options.repeats)
        rows = [
            {
                "expressions": number,
                "start_cpu_s": starts[number],
                **timings[number].milliseconds(),
                "peak_mb": process.ask("peak"),
            }
            for number, process in processes.items()
        ]
        publish(options, rows, COLUMNS, model=options.model, bundle_mb=round(megabytes_of(folder), 1))


if __name__ == "__main__":
    main()
