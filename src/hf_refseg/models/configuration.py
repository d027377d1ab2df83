"""The base of our configurations."""

import difflib
from dataclasses import fields

from transformers import PreTrainedConfig

# Written into a config.json, or passed, by transformers itself without a field of that name.
KEYS_OF_TRANSFORMERS = {
    "model_type", "name_or_path", "torch_dtype", "num_labels", "output_attentions", "attn_implementation",
    "experts_implementation", "auto_map", "custom_pipelines", "quantization_config",
}  # fmt: skip


class RefSegConfig(PreTrainedConfig):
    """
    A configuration that refuses keys it has no field for; transformers would keep them as attributes that nobody reads.

    Raises:
        ValueError: an unknown key; names those that are alike.
    """

    def __post_init__(self, **kwargs):
        for key in kwargs:
            if key not in KEYS_OF_TRANSFORMERS and not key.startswith("_"):
                known = [field.name for field in fields(self) if field.name not in PreTrainedConfig.__annotations__]
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
                raise ValueError(f"{type(self).__name__} has no {key!r}; {hint}")
        super().__post_init__(**kwargs)
