"""
A model folder that works without this package, as `trust_remote_code=True` needs it.

Beside weights, processor, tokenizer and card lie the package's own files, flattened (`code.py`). With the package
imported its own classes are used, and no flag is asked for.
"""

import json
import shutil
from pathlib import Path

from ..checkpoints import resolve_checkpoint
from ..systems import find_system
from ..writing import new_folder, require_new
from .code import system_code

# What belongs to a model; what else lies in a folder of a training (optimizer, logs, checkpoints) stays there.
MODEL_FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "eval_results.json",
    "cost.json",
    "README.md",
    "*.png",
    "*.jpg",
    "*.webp",
)


def bundle(checkpoint: str | Path, output_dir: str | Path) -> Path:
    """
    Write a new folder that loads with and without this package.

    Args:
        checkpoint: the name of a checkpoint that ships with the package, a folder of any of its systems or of the
            detector, or a Hub id.
        output_dir: the new folder, which appears only once it is complete.

    Returns: `output_dir`.

    Raises:
        FileExistsError: `output_dir` exists.
        FileNotFoundError: there is no such checkpoint, or its folder lacks weights as safetensors or a processor.
        ValueError: the folder holds a model of another package.
    """
    output_dir = Path(output_dir)
    require_new(output_dir)
    source = find_folder(checkpoint)
    with new_folder(output_dir, "bundling") as folder:
        for pattern in MODEL_FILES:
            for path in sorted(source.glob(pattern)):
                shutil.copyfile(path, folder / path.name)
        add_code(folder)
    return output_dir


def find_folder(checkpoint: str | Path) -> Path:
    """The local folder of a shipped name, a folder or a Hub id; raises FileNotFoundError where there is none."""
    name = resolve_checkpoint(str(checkpoint))
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise FileNotFoundError(
            f"there is no checkpoint {name!r}: it is no folder, no Hub id (they read user/name), and does not ship"
        )
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=list(MODEL_FILES)))


def add_code(folder: Path) -> None:
    """
    Make a folder of model files work without the package: add the code, and the names of its classes.

    Raises:
        FileNotFoundError: a file is missing that no model works without.
        ValueError: it is no model of this package.
    """
    config = read_json(folder / "config.json")
    system = find_system(str(config.get("model_type")))
    if system.kind == "backbone":
        raise ValueError(f"{folder} holds a backbone, {system.model_type}, which is of use inside of a system only")
    if not any(folder.glob("model*.safetensors")):
        raise FileNotFoundError(
            f"{folder} has no model.safetensors; load the model and save it with save_pretrained, which writes one"
        )
    detector = config.get("detector_config")
    code = system_code(system, None if detector is None else find_system(str(detector.get("model_type"))))
    code.write(folder)
    if system.kind == "referring":
        shutil.copyfile(Path(__file__).with_name("endpoint_handler.py"), folder / "handler.py")
    names = {"auto_map": code.auto_map, "custom_pipelines": code.custom_pipelines}
    write_json(folder / "config.json", {**without_local_paths(config), **names})
    names = {"auto_map": code.auto_map}
    if system.kind == "detector":
        path = folder / "preprocessor_config.json"
        write_json(path, {**read_json(path), **names})
    else:
        path = folder / "processor_config.json"
        processor = read_json(path)
        write_json(path, {**processor, **names, "image_processor": {**processor["image_processor"], **names}})


def without_local_paths(config: dict) -> dict:
    """The configuration without the places on a disk that its parts were loaded from."""
    return {
        key: without_local_paths(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key != "_name_or_path"
    }


def read_json(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; save model and processor into one folder, by save_pretrained")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or cut off ({error}); get a complete copy") from error


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
