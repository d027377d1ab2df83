"""Fine-tuning on a few photos of one's own: `hf-refseg finetune`."""

DEFAULT_BASE = "refseg-photos-rmi"
DEFAULT_VECTORS = "glove-20k"  # the table that ships
