"""Models of checkpoints that are whole, or an error that says what is wrong with them."""

import pickle
from pathlib import Path

from . import checkpoint_names, resolve_checkpoint


def load_model(name_or_path: str, **options):
    """The whole model of a shipped name, folder or Hub id; transformers itself makes up what a checkpoint lacks, with
    a warning. `options` go to `from_pretrained`.

    Raises ValueError where there is no such model, tensors are missing, unknown or of another shape, or the file of
    weights is damaged or a pickle of more than tensors, which nobody unpickles.
    """
    folder = resolve_checkpoint(name_or_path)
    if not Path(folder).is_dir() and "/" not in folder:
        raise ValueError(
            f"there is no model {name_or_path!r}: it is no folder, no Hub id (they read user/name), and not one of the "
            f"checkpoints that ship ({', '.join(checkpoint_names()) or 'none'})"
        )
    from safetensors import SafetensorError

    from ..auto import AutoModelForReferringSegmentation

    try:
        # Mismatched sizes then stand in the report, as missing and unexpected tensors do.
        options = {"output_loading_info": True, "ignore_mismatched_sizes": True, **options}
        model, report = AutoModelForReferringSegmentation.from_pretrained(folder, **options)
    except SafetensorError as error:
        raise ValueError(f"the weights of {folder} are damaged or cut off ({error}); get a complete copy") from error
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"the weights of {folder} are a damaged pickle or one that holds more than tensors, which could run "
            "anything on this machine; get them as model.safetensors"
        ) from error
    if report["mismatched_keys"]:
        name, stored, wanted = sorted(report["mismatched_keys"])[0]
        raise ValueError(
            f"the weights of {folder} are not those of its config.json: {len(report['mismatched_keys'])} tensors of "
            f"another shape ({name} is {tuple(stored)}, expected {tuple(wanted)}); get the files that belong together"
        )
    for kind in ("missing", "unexpected"):
        names = sorted(report[f"{kind}_keys"])
        if names:
            raise ValueError(
                f"the weights of {folder} are not those of its config.json: {len(names)} {kind} tensors "
                f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}); get the files that belong together"
            )
    return model
