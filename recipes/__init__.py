"""How shipped checkpoints were made, where that is more than a YAML file. Not part of the package."""
