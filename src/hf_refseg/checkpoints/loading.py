"""Models of checkpoints that are whole, or an error that says what is wrong with them."""

from pathlib import Path

from . import checkpoint_names, resolve_checkpoint


def load_model(name_or_path: str, **options):
    """The whole model of a shipped name, folder or Hub id; transformers itself makes up what a checkpoint lacks, with
    a warning. `options` go to `from_pretrained`.

    Raises ValueError where there is no such model, tensors are missing or unknown, or the file of weights is damaged.
    """
    folder = resolve_checkpoint(name_or_path)
    if not Path(folder).is_dir() and "/" not in folder:
        raise ValueError(
            f"there is no model {name_or_path!r}: it is no folder, no Hub id (they read user/name), and not one of the "
            f"checkpoints that ship ({', '.join(checkpoint_names()) or 'none'})"
        )
    from safetensors import SafetensorError
    from transformers.utils import logging

    from ..auto import AutoModelForReferringSegmentation

    logging.disable_progress_bar()
    try:
        model, report = AutoModelForReferringSegmentation.from_pretrained(folder, output_loading_info=True, **options)
    except SafetensorError as error:
        raise ValueError(f"the weights of {folder} are damaged or cut off ({error}); get a complete copy") from error
    for kind in ("missing", "unexpected"):
        names = sorted(report[f"{kind}_keys"])
        if names:
            raise ValueError(
                f"the weights of {folder} are not those of its config.json: {len(names)} {kind} tensors "
                f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}); get the files that belong together"
            )
    return model
