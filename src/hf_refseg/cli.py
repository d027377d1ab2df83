"""The command line: `hf-refseg segment`, `caption`, `demo`, `train`, `finetune`, `evaluate`, `compare`, `convert`,
`checkpoints`, `bundle`, `publish`, `export`.

Heavy imports wait until they are needed.
"""

import argparse
import contextlib
import importlib.util
import inspect
import json
import os
import sys
import textwrap
from pathlib import Path

from . import __version__
from .checkpoints import DEFAULT_CHECKPOINT, checkpoint_names, checkpoint_path
from .evaluation import commands as evaluation
from .finetuning import commands as finetuning
from .hub import commands as hub
from .onnx_graphs import commands as onnx_graphs
from .systems import SYSTEMS, find_system
from .training import commands as training
from .writing import require_place, write_whole

CONVERTER_OPTIONS = ("vocabulary", "detector", "infos", "network")  # what a converter may need beside the checkpoint
DEMO_PHOTO, DEMO_EXPRESSIONS = "chelsea.png", ["the cat"]
# Words that mean nothing by themselves: as whole expressions they tell of quotes that were forgotten.
CONNECTING_WORDS = frozenset("the a an of in on at with to and by from under over behind next".split())
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # that overlays are written as
ENDED_BY_READER = 141  # 128 + SIGPIPE
READABLE_SUFFIXES = (*PICTURE_SUFFIXES, ".avif", ".bmp", ".gif", ".jp2", ".ppm", ".pgm", ".tif", ".tiff")


def main(arguments: list[str] | None = None) -> int:
    """
    Runs one command.

    Returns the exit status: 0; 1 where some of several photos could not be read; 2 after an error of the user, told in
    one line on stderr; 141, as other programs, where nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a notebook's streams take every character
            stream.reconfigure(errors="replace")  # a console that lacks a character must not lose the answer
    words, overrides = training.split_overrides(sys.argv[1:] if arguments is None else list(arguments))
    options = build_parser().parse_args(words)
    try:
        status = options.run(options, *([overrides] if words[:1] == ["train"] else [])) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read the answers, such as `head`, has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python itself would still write
        return ENDED_BY_READER
    except (ValueError, TypeError, OSError, ImportError) as error:
        print("error:", textwrap.shorten(str(error), 500), file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-refseg", description="Segments what an expression means in a photo.")
    parser.add_argument("--version", action="version", version=f"hf-refseg {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)

    segment = commands.add_parser("segment", help="segment what one or more expressions mean in a photo")
    segment.add_argument("photo", help="path of a picture, or of a folder of pictures")
    segment.add_argument("expressions", nargs="+", metavar="EXPRESSION", help='such as "the dog on the left"')
    segment.add_argument("--model", default=DEFAULT_CHECKPOINT, help="shipped name, folder or Hub id (%(default)s)")
    segment.add_argument("--threshold", type=float, default=0.5, help="probability of the foreground (%(default)s)")
    segment.add_argument("--max-length", type=int, metavar="N", help="read up to N words (default: as in training)")
    segment.add_argument(
        "--allow-unknown",
        action="store_true",
        help="answer an expression of which no word is known by the photo alone (default: refuse it)",
    )
    segment.add_argument("--refine", choices=["dense_crf"], help="sharpen the edges by the colors of the photo")
    segment.add_argument(
        "--output",
        type=Path,
        metavar="PICTURE",
        help="write the photo with the masks over it; of a folder: a new folder",
    )
    segment.add_argument(
        "--json",
        action="store_true",
        help="print the results as JSON, masks as COCO run lengths; of a folder: one line of JSON per photo",
    )
    segment.add_argument(
        "--word-maps",
        type=Path,
        metavar="PICTURE",
        help="draw what the words did: RMI's map after each, what MAttNet's modules looked at, or CAC's filters found",
    )
    segment.add_argument("--explain", action="store_true", help="print what HULANet understands of each expression")
    segment.set_defaults(run=run_segment)

    caption = commands.add_parser("caption", help="say in words what lies in boxes of a photo (cac)")
    caption.add_argument("photo", help="path of a picture")
    caption.add_argument(
        "--box", dest="boxes", nargs=4, type=float, action="append", required=True, metavar=("X1", "Y1", "X2", "Y2"),
        help="corners in pixels, X2 and Y2 outside the box; may be given several times",
    )  # fmt: skip
    caption.add_argument("--model", required=True, help="shipped name, folder or Hub id")
    caption.add_argument(
        "--beams", type=int, default=3, metavar="N", help="captions kept while one is made (%(default)s)"
    )
    caption.set_defaults(run=run_caption)

    demo = commands.add_parser("demo", help="segment a sample photo, offline, with the checkpoint that ships")
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("overlay.png"),
        metavar="PICTURE",
        help="where to write the overlay (%(default)s)",
    )
    demo.set_defaults(run=run_demo)

    training.add_commands(commands)
    finetuning.add_commands(commands)
    evaluation.add_commands(commands)
    hub.add_commands(commands)
    onnx_graphs.add_commands(commands)

    convert = commands.add_parser("convert", help="convert an original checkpoint")
    convert.add_argument("system", choices=convertible(), help="which model the checkpoint is of")
    convert.add_argument("checkpoint", metavar="CKPT", help="TensorFlow or PyTorch checkpoint, or .npz")
    convert.add_argument(
        "--vocabulary",
        metavar="FILE",
        help="the words the model was trained with: one per line (rmi, lstm-cnn), or data.json (cac)",
    )
    convert.add_argument(
        "--detector", metavar="CKPT", help="mattnet: checkpoint of its detector, or a folder that was converted"
    )
    convert.add_argument(
        "--infos", metavar="FILE", help="mattnet: the JSON of its words; default: the one beside the checkpoint"
    )
    convert.add_argument("--network", help="cac: which of the original's networks it is, where its weights don't tell")
    convert.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new folder for the model")
    convert.set_defaults(run=run_convert)

    checkpoints = commands.add_parser("checkpoints", help="list the checkpoints that ship with the package")
    checkpoints.set_defaults(run=run_checkpoints)
    return parser


def run_segment(options: argparse.Namespace) -> int:
    if not 0 < options.threshold < 1:
        raise ValueError(f"--threshold is {options.threshold}; it is a probability between 0 and 1")
    check_expressions(options.expressions)
    if not options.photo:
        raise ValueError("the path of the photo is empty; give that of a picture, or of a folder of pictures")
    if Path(options.photo).is_dir():
        return segment_folder(options)
    if options.word_maps and len(options.expressions) > 1:
        raise ValueError(f"--word-maps draws one expression, not {len(options.expressions)}")
    if options.output and options.output == options.word_maps:
        raise ValueError(f"--output and --word-maps both name {options.output}; give each a file of its own")
    for path in (options.output, options.word_maps):
        check_picture_path(path)
        if path and path.exists() and path.samefile(options.photo):
            raise ValueError(f"{path} is the photo itself, which would be lost; write to another file")
    from .processing.images import load_image

    image, pipe = load_image(options.photo), load_pipeline(options.model)
    answers = pipe(image, options.expressions, **pipeline_options(options))
    explained = [explain(expression, pipe) for expression in options.expressions] if options.explain else []
    if options.json:
        print(json.dumps([as_json(answer) for answer in answers], indent=2))
    else:
        for answer in answers:
            print(describe(answer))
    for line in explained:
        print(line, file=sys.stderr if options.json else sys.stdout)
    if options.output:
        write_overlay(image, answers, options.output)
    if options.word_maps:
        write_explanation(image, answers[0], pipe, options)
    for path in (options.output, options.word_maps):
        if path:
            print(f"wrote {path}", file=sys.stderr)
    return 0


def segment_folder(options: argparse.Namespace) -> int:
    """Every picture of a folder, one by one; those that cannot be read are told on stderr and left out."""
    photos = pictures_in(Path(options.photo))
    if options.word_maps:
        raise ValueError("--word-maps draws one photo; give the path of one instead of a folder")
    if options.output and options.output.exists() and (not options.output.is_dir() or any(options.output.iterdir())):
        raise ValueError(f"{options.output} exists, and what is in it could be lost; name a new folder")
    if options.output:
        require_place(options.output)
    from .processing.images import load_image

    pipe, failed, names = load_pipeline(options.model), 0, overlay_names(photos)
    for line in [explain(expression, pipe) for expression in options.expressions] if options.explain else []:
        print(line, file=sys.stderr)
    for photo in photos:
        try:
            image = load_image(photo)
        except (ValueError, OSError) as error:
            failed += 1
            print(f"left out: {textwrap.shorten(str(error), 300)}", file=sys.stderr)
            continue
        answers = pipe(image, options.expressions, **pipeline_options(options))
        if options.json:
            print(json.dumps({"photo": str(photo), "results": [as_json(answer) for answer in answers]}))
        else:
            for answer in answers:
                print(f"{photo}: {describe(answer)}")
        if options.output:
            options.output.mkdir(parents=True, exist_ok=True)
            write_overlay(image, answers, options.output / names[photo])
    if options.output:
        print(f"wrote {len(photos) - failed} pictures into {options.output}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(photos)} pictures could not be read", file=sys.stderr)
    return 1 if failed else 0


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder by name, without hidden ones and folders in it; raises ValueError for none."""
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))  # a Mac's ._photo.jpg is no picture
    photos = sorted(path for path in paths if path.suffix.lower() in READABLE_SUFFIXES and path.is_file())
    if not photos:
        raise ValueError(f"the folder {folder} has no pictures, files that end in {', '.join(READABLE_SUFFIXES)}")
    return photos


def overlay_names(photos: list[Path]) -> dict[Path, str]:
    """A name for the overlay of each photo: its own where it can be written, else with .png; no two of them alike."""
    names = {photo: photo.name for photo in photos if photo.suffix.lower() in PICTURE_SUFFIXES}
    for photo in photos:
        if photo not in names:
            name = f"{photo.name}.png"
            while name in names.values():
                name += ".png"
            names[photo] = name
    return names


def run_caption(options: argparse.Namespace) -> None:
    from .checkpoints.loading import load_model, load_processor
    from .processing.images import load_image

    image, model = load_image(options.photo), load_model(options.model)
    system = find_system(model.config.model_type)
    if not system.has("captioning"):
        raise ValueError(
            f"{options.model} is a {system.model_type}, which has no captioner; models of refseg_cac have one"
        )
    caption_regions = system.module("captioning").caption_regions
    processor = load_processor(options.model)
    for answer in caption_regions(model, processor, image, options.boxes, num_beams=options.beams):
        corners = ", ".join(f"{side:.0f}" for side in answer["box"])
        print(f"[{corners}]: {answer['caption']} ({answer['probability']:.1%})")


def run_demo(options: argparse.Namespace) -> None:
    check_picture_path(options.output)
    spec = importlib.util.find_spec("skimage")
    photo = Path(spec.origin).parent / "data" / DEMO_PHOTO if spec else None
    if photo is None or not photo.is_file():
        raise FileNotFoundError(f"the demo's photo {DEMO_PHOTO} comes with scikit-image: pip install scikit-image")
    from .processing.images import load_image

    image = load_image(photo)
    answers = load_pipeline(DEFAULT_CHECKPOINT)(image, DEMO_EXPRESSIONS)
    for answer in answers:
        print(describe(answer))
    write_overlay(image, answers, options.output)
    print(f"wrote {options.output}")


def convertible() -> list[str]:
    """The systems whose original checkpoints can be converted, as the command line calls them."""
    return sorted(
        system.family.replace("_", "-") for system in SYSTEMS if system.kind != "backbone" and system.has("convert")
    )


def run_convert(options: argparse.Namespace) -> None:
    convert = find_system(options.system).module("convert").convert
    parameters = inspect.signature(convert).parameters
    given = {name: getattr(options, name) for name in CONVERTER_OPTIONS if getattr(options, name) is not None}
    for name in CONVERTER_OPTIONS:
        if name in parameters and parameters[name].default is inspect.Parameter.empty and name not in given:
            raise ValueError(f"a checkpoint of {options.system} needs --{name} too")
        if name in given and name not in parameters:
            raise ValueError(f"a checkpoint of {options.system} has no use for --{name}")
    print(f"wrote {convert(options.checkpoint, output=options.output, **given)}")


def run_checkpoints(options: argparse.Namespace) -> None:
    for name in checkpoint_names():
        folder = Path(checkpoint_path(name))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{name}  {size / 1e6:.1f} MB  {folder}")


def load_pipeline(model: str):
    from .checkpoints.loading import pipeline

    return pipeline(model=model)


def pipeline_options(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in ("threshold", "refine", "max_length", "allow_unknown")}


def describe(answer: dict) -> str:
    area, box = mask_area(answer), answer["box"]
    if box is None:
        return f"{answer['label']}: nothing found"
    share = area / (answer["mask"].width * answer["mask"].height)
    corners = ", ".join(f"{side:.0f}" for side in box)
    return f"{answer['label']}: area {area} px ({share:.1%} of the photo), box [{corners}], score {answer['score']:.2f}"


def explain(expression: str, pipe) -> str:
    """What the processor reads in an expression, in one line."""
    structures = pipe.processor(text=expression).get("phrase_structure")
    if structures is None:
        model_type = pipe.model.config.model_type
        raise ValueError(f"--explain prints the parts of a phrase, and {model_type} reads a phrase as a whole")
    (structure,) = structures
    parts = [f"name {structure['name']!r}", *(f"attribute {text!r}" for text in structure["attributes"])]
    parts += [f"relation {one['predicate']!r} to {one['object']!r}" for one in structure["relation_descriptions"]]
    unread = [f"not read: {' '.join(structure['unread'])!r}"] if structure["unread"] else []
    return f"{expression}: {', '.join([*parts, *unread])}"


def as_json(answer: dict) -> dict:
    import numpy as np

    from .data.schema import encode_mask

    return {**answer, "area": mask_area(answer), "mask": encode_mask(np.asarray(answer["mask"]) > 0)}


def mask_area(answer: dict) -> int:
    return answer["mask"].histogram()[255]


def check_picture_path(path: Path | None) -> None:
    """Raises ValueError for a picture that could not be written, before any work is done."""
    if path is None:
        return
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(f"{path} does not end in one of {', '.join(PICTURE_SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"the folder of {path} does not exist; create {path.absolute().parent} first")


def check_expressions(expressions: list[str]) -> None:
    """Raises ValueError for what was not meant as an expression: another photo, or words without their quotes."""
    for expression in expressions:
        if Path(expression).suffix.lower() in PICTURE_SUFFIXES and Path(expression).is_file():
            raise ValueError(
                f"{expression} is a file, not an expression; segment one photo at a time, or give their folder"
            )
    if len(expressions) > 1 and not CONNECTING_WORDS.isdisjoint(expressions):
        raise ValueError(
            f"{expressions[0]!r}, {expressions[1]!r} ... are {len(expressions)} expressions: put quotes around an "
            f'expression, "{" ".join(expressions)}"'
        )


def write_overlay(image, answers: list[dict], path: Path) -> None:
    from .plotting import overlay

    picture = overlay(image, [answer["mask"] for answer in answers], [answer["label"] for answer in answers])
    write_whole(path, picture.save)


def write_explanation(image, answer: dict, pipe, options: argparse.Namespace) -> None:
    import torch

    from .processing.tokenization import split_words

    system = find_system(pipe.model.config.model_type)
    if not system.has("plotting"):
        raise ValueError(f"--word-maps draws what the words did, of which {system.model_type} keeps nothing")
    plotting = system.module("plotting")
    length = {} if options.max_length is None else {"max_length": options.max_length}
    inputs = pipe.processor(image, answer["label"], allow_unknown=options.allow_unknown, **length).to(pipe.device)
    with torch.no_grad():
        explanation = pipe.model(**inputs, output_attentions=True).explanation
    words = split_words(pipe.processor.tokenizer, answer["label"])[: inputs["input_ids"].shape[1]]
    figure = plotting.plot_explanation(image, words, explanation, mask=answer["mask"])
    write_whole(options.word_maps, lambda file: figure.savefig(file, dpi=120))


if __name__ == "__main__":
    sys.exit(main())
