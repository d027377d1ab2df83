"""Fine-tuning on a few photos of one's own: `hf-refseg finetune`."""

DEFAULT_BASE = "refseg-photos-rmi"
