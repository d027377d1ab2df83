"""Models, processors and pipelines of checkpoints that are whole, or an error that says what is wrong with them."""

import json
import math
import os
import pickle
import zipfile
from pathlib import Path

from ..data.official_files import read_json
from ..lfs_pointers import pointer_hint
from ..pipelines import TASK
from ..systems import SYSTEMS
from . import DEFAULT_CHECKPOINT, checkpoint_names, resolve_checkpoint

# What `transformers.pipeline` passes on when it loads a processor, and when it loads a model.
HUB_OPTIONS = ("revision", "token", "trust_remote_code", "local_files_only")
MODEL_OPTIONS = ("config", "dtype", "torch_dtype", "device_map", *HUB_OPTIONS)

# A model may have more numbers than its file where some are made anew, such as buffers; not many times as many.
MOST_WANTED, SMALL, MOST_HEADER = 4, 1_000_000, 100_000_000


def load_model(name_or_path: str, **options):
    """The whole model of a shipped name, folder or Hub id. `options` go to `from_pretrained`.

    Raises ValueError where there is no such model, it reads no expressions (a detector), tensors are missing, unknown,
    of another shape or not finite, or the file of weights is damaged or a pickle of more than tensors, which nobody
    unpickles.
    """
    folder = find_checkpoint(name_or_path)
    from safetensors import SafetensorError

    from ..auto import AutoModelForReferringSegmentation
    from ..models.whole_checkpoint import check_finite_weights, check_report

    try:
        check_proportions(folder)
        # Mismatched sizes then stand in the report, as missing and unexpected tensors do.
        options = {"ignore_mismatched_sizes": True, **options, "output_loading_info": True}
        model, report = AutoModelForReferringSegmentation.from_pretrained(folder, **options)
    except SafetensorError as error:
        raise ValueError(f"the weights of {folder} are damaged or cut off ({error}); get a complete copy") from error
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"the weights of {folder} are a damaged pickle or one that holds more than tensors, which could run "
            "anything on this machine; get them as model.safetensors"
        ) from error
    except (OSError, ValueError, ImportError):
        raise
    except Exception as error:  # a config.json may say anything: what it breaks in transformers or torch is open
        raise ValueError(f"no model can be made of {folder}: {error}") from error
    if report["mismatched_keys"]:
        name, stored, wanted = sorted(report["mismatched_keys"])[0]
        raise ValueError(
            f"the weights of {folder} are not those of its config.json: {len(report['mismatched_keys'])} tensors of "
            f"another shape ({name} is {tuple(stored)}, expected {tuple(wanted)}); get the files that belong together"
        )
    check_report(report, folder)
    check_finite_weights(model, folder)
    return model


def check_proportions(folder: str) -> None:
    """
    Raises ValueError where the config.json of a local folder describes a far larger model than its weights fill, before
    any memory is taken for it.
    """
    place = Path(folder)
    files = sorted(place.glob("*.safetensors")) or sorted(place.glob("pytorch_model*.bin")) if place.is_dir() else []
    if not files:
        return
    import torch
    from transformers import AutoConfig

    from ..auto import AutoModelForReferringSegmentation

    stored = sum(count_stored(file) for file in files)
    with torch.device("meta"):
        model = AutoModelForReferringSegmentation.from_config(AutoConfig.from_pretrained(folder))
    wanted = sum(tensor.numel() for tensor in model.state_dict().values())
    if wanted > MOST_WANTED * (stored + SMALL):
        raise ValueError(
            f"the weights of {folder} are not those of its config.json, which describes a model of {wanted:,} numbers: "
            f"the files hold {stored:,}; get the files that belong together"
        )


def count_stored(file: Path) -> int:
    """
    How many numbers a file of weights can hold, by the header of a safetensors file, else by its size.

    Raises:
        ValueError: the header is damaged, or the file unpacks to more than it is.
    """
    if file.suffix != ".safetensors":
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError(f"{file} is compressed, which torch.save never does: it may unpack to anything")
        return file.stat().st_size
    with open(file, "rb") as stream:
        if hint := pointer_hint(stream.read(100)):
            raise ValueError(f"{file} holds no weights{hint}")
        stream.seek(0)
        length = int.from_bytes(stream.read(8), "little")
        if length > min(MOST_HEADER, file.stat().st_size):
            raise ValueError(
                f"{file} is damaged or cut off: its header would have {length:,} bytes; get a complete copy"
            )
        try:
            header = json.loads(stream.read(length))
            return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{file} is damaged or cut off ({error}); get a complete copy") from error


def load_processor(name_or_path: str, **options):
    """The processor of a shipped name, folder or Hub id. `options` go to `from_pretrained`.

    Raises ValueError where there is none, for which `AutoProcessor` answers with a part of it, such as the tokenizer.
    """
    folder = find_checkpoint(name_or_path)
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder, **options)
    except Exception as error:  # its files may say anything, as config.json may
        raise ValueError(f"the processor of {folder} cannot be loaded: {type(error).__name__}: {error}") from error
    if not hasattr(processor, "post_process_referring_segmentation"):
        raise ValueError(
            f"{folder} has no processor of a referring segmentation model, only a {type(processor).__name__}: get its "
            "processor_config.json too"
        )
    return processor


def find_checkpoint(name_or_path: str) -> str:
    """
    The folder of a shipped name, and a folder or Hub id as it is.

    Raises:
        FileNotFoundError: a folder without config.json.
        ValueError: none of these, or a folder of a model that reads no expressions.
    """
    folder = resolve_checkpoint(name_or_path)
    if Path(folder).is_dir():
        check_kind(Path(folder))
    elif Path(folder).is_file():
        raise ValueError(
            f"{folder} is a file; a model is a folder, with config.json (hf-refseg convert makes one of an original "
            "checkpoint)"
        )
    elif folder.startswith(("/", ".", "~")) or folder.count("/") > 1:
        raise FileNotFoundError(
            f"there is no folder {folder}; give one that save_pretrained wrote, or a Hub id, user/name"
        )
    elif "/" not in folder:
        raise ValueError(
            f"there is no model {name_or_path!r}: it is no folder, no Hub id (they read user/name), and not one of the "
            f"checkpoints that ship ({', '.join(checkpoint_names()) or 'none'})"
        )
    return folder


def check_kind(folder: Path) -> None:
    """Raises FileNotFoundError or ValueError where `config.json` is missing or damaged, or is of another kind of model,
    of which transformers would only find that the processor lacks something."""
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder} has no config.json: it is no folder that save_pretrained wrote (hf-refseg convert makes one of "
            "an original checkpoint)"
        )
    kind = read_json(file, dict).get("model_type")
    readers = [system.model_type for system in SYSTEMS if system.kind == "referring"]
    if kind not in readers:
        raise ValueError(f"{folder} is a model of type {kind!r}, which reads no expressions; {', '.join(readers)} do")


def pipeline(task: str = TASK, model=None, **kwargs):
    """`transformers.pipeline` for this task, which also takes the bare name of a shipped checkpoint.

    Args:
        task: "referring-image-segmentation", the only one.
        model: the name of a checkpoint that ships with the package, a folder, a Hub id, or a model; None: the default
            checkpoint.
        kwargs: of `transformers.pipeline`.

    Returns: a [`ReferringSegmentationPipeline`].

    Raises ValueError for another task, and for a checkpoint that is not whole, see [`load_model`]; TypeError for what
    is no model and no name of one.
    """
    if task != TASK:
        raise ValueError(f"hf_refseg.pipeline is for {TASK!r}; for {task!r} use transformers.pipeline")
    if model is None or isinstance(model, (str, os.PathLike)):
        name = DEFAULT_CHECKPOINT if model is None else os.fspath(model)
        options = {option: kwargs.pop(option) for option in MODEL_OPTIONS if option in kwargs}
        if isinstance(options.get("config"), (str, os.PathLike)):
            from transformers import AutoConfig

            options["config"] = AutoConfig.from_pretrained(options["config"])
        model = load_model(name, **options, **kwargs.pop("model_kwargs", {}))
        if kwargs.get("processor") is None:
            shared = {option: options[option] for option in HUB_OPTIONS if option in options}
            kwargs["processor"] = load_processor(name, **shared)
    elif not hasattr(model, "forward"):
        raise TypeError(f"model is a {type(model).__name__}; give the name of a checkpoint, a folder, or a model")
    import transformers

    return transformers.pipeline(task, model, **kwargs)
