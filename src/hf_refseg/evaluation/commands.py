"""`hf-refseg evaluate` and `hf-refseg compare`. Heavy imports happen only when a command runs."""

import argparse
import logging
from pathlib import Path

DTYPES = ("float32", "bfloat16", "float16")


def add_commands(commands) -> None:
    """Adds the two commands to the subparsers of the command line."""
    evaluate = commands.add_parser(
        "evaluate",
        help="run a model over a data set and count under a named protocol",
        description="Runs a model over a data set. Writes results.json, eval_results.json (the numbers alone), a "
        "contact sheet of the best, median and worst cases, and every predicted mask. Call it again to resume a run "
        "that was killed. In several processes: accelerate launch (GPUs) or torchrun --nproc-per-node 2 (CPU) -m "
        "hf_refseg.cli evaluate ...",
    )
    evaluate.add_argument("--model", required=True, help="shipped name, folder or Hub id")
    evaluate.add_argument(
        "--dataset",
        required=True,
        help="a name such as refcoco_unc, a folder (a built data set, official files, or rows saved by datasets), or "
        "refshapes[/DIALECT]",
    )
    evaluate.add_argument(
        "--root", metavar="DIR", help="where named data sets are (default: HF_REFSEG_DATA, or ./data)"
    )
    evaluate.add_argument("--split", required=True, help="val, testA ...")
    evaluate.add_argument(
        "--protocol", required=True, help="how to count: hu2016, mattnet, phrasecut, lavt, cris or grefcoco"
    )
    evaluate.add_argument("--output", type=Path, metavar="DIR", help="default: results/MODEL_DATASET_SPLIT_PROTOCOL")
    evaluate.add_argument("--images", metavar="DIR", help="the pictures, if the data set's folder has none")
    evaluate.add_argument("--partition", help="unc, google, umd or berkeley, if a folder has several")
    evaluate.add_argument("--batch-size", type=int, default=1, help="rows (photos) per forward pass (%(default)s)")
    evaluate.add_argument("--dtype", choices=DTYPES, default="float32", help="of the weights (%(default)s)")
    evaluate.add_argument("--refine", metavar="NAME", help="sharpen the masks: dense_crf")
    evaluate.add_argument(
        "--interpolation",
        choices=("clean", "paper"),
        default="clean",
        help="how masks come back to the photo's size (%(default)s; paper: as the originals do, masks grow)",
    )
    evaluate.add_argument(
        "--phrasecut-counts", metavar="FILE", help="PhraseCut's name_att_rel_count.json: report its 43 subsets too"
    )
    evaluate.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    evaluate.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="read all pictures first, and leave out the rows that cannot be read; results.json counts them",
    )
    evaluate.add_argument(
        "--resize-pictures", action="store_true", help="resize pictures that have another size than annotated"
    )
    evaluate.add_argument(
        "--max-length", type=int, metavar="N", help="read up to N words of an expression (default: as in training)"
    )
    evaluate.add_argument("--num-workers", type=int, default=0, help="processes that read photos (%(default)s)")
    evaluate.set_defaults(run=run_evaluate)

    compare = commands.add_parser(
        "compare",
        help="the difference of two results, with its interval",
        description="Second minus first, with a paired bootstrap interval over images. Both must come from the same "
        "data and protocol.",
    )
    compare.add_argument("first", metavar="RESULTS", help="results.json, or the folder that holds it")
    compare.add_argument("second", metavar="RESULTS")
    compare.add_argument("--resamples", type=int, default=10_000, help="bootstrap draws (%(default)s)")
    compare.add_argument("--confidence", type=float, default=0.95, help="of the interval (%(default)s)")
    compare.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    compare.set_defaults(run=run_compare)


def run_evaluate(options: argparse.Namespace) -> None:
    from .results import RESULTS_FILE, table
    from .run import Evaluation, run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fields = {name: setting for name, setting in vars(options).items() if name != "run"}
    fields["output"] = options.output or default_output(options)
    results = run(Evaluation(**fields))
    if results is None:  # not the main process
        return
    counts = results["counts"]
    print(
        f"{options.model} on {options.dataset} {options.split}, protocol {options.protocol}: {counts['rows']} rows, "
        f"{counts['expressions']} expressions ({counts['no_target']} without target), {results['seconds']:.1f} s"
    )
    print(table(results["metrics"]))
    print(f"wrote {fields['output'] / RESULTS_FILE}")


def default_output(options: argparse.Namespace) -> Path:
    parts = [Path(options.model).name, options.dataset.strip("/").replace("/", "-"), options.split, options.protocol]
    if options.refine:
        parts.append(options.refine)
    return Path("results", "_".join(part.lstrip(".-") for part in parts))


def run_compare(options: argparse.Namespace) -> None:
    from .comparison import compare, table
    from .results import read_results

    results = [read_results(path) for path in (options.first, options.second)]
    report = compare(*results, options.resamples, options.confidence, options.seed)
    about, images = results[0], len({sample[2] for sample in results[0]["samples"]})
    print(f"{about['dataset']} {about['split']}, protocol {about['protocol']['name']}, in percent, second minus first")
    names = [one["model"] for one in results]
    print(table(report, tuple(names) if names[0] != names[1] else (options.first, options.second)))
    print(f"{options.confidence:.0%} paired bootstrap, {options.resamples} draws of {images} images; * leaves out 0")
