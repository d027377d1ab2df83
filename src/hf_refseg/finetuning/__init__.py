"""Fine-tuning on a few photos of one's own: `hf-refseg finetune`."""
