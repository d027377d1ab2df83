"""`hf-refseg export`. Heavy imports happen only when it runs."""

import argparse
from pathlib import Path


def add_commands(commands) -> None:
    """Adds the command to the subparsers of the command line."""
    export = commands.add_parser("export", help="write a model in another format")
    formats = export.add_subparsers(title="formats", required=True)
    onnx = formats.add_parser("onnx", help="two ONNX graphs: of the photo, and of expressions about it")
    onnx.add_argument("checkpoint", help="shipped name, folder or Hub id")
    onnx.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new folder")
    onnx.add_argument(
        "--weights",
        default="float32",
        choices=("float32", "float16", "int8"),
        help="how weights are stored; what is computed stays float32 (%(default)s)",
    )
    onnx.set_defaults(run=run_export_onnx)


def run_export_onnx(options: argparse.Namespace) -> None:
    from .exporting import export_onnx

    folder = export_onnx(options.checkpoint, options.output, options.weights)
    for path in sorted(folder.glob("*.onnx")):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
