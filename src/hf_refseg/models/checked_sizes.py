"""What no model can be made of is refused when its configuration is made, not as an error deep inside of torch."""

from dataclasses import fields

from transformers import PreTrainedConfig

LARGEST, MOST_LAYERS = 10_000_000, 1_000
NOT_A_SIZE = {"pad_token_id", *(field.name for field in fields(PreTrainedConfig))}


class CheckedSizes:
    """Comes before `PreTrainedConfig` among the bases of a configuration, whose whole numbers all count something."""

    def validate_sizes(self):
        """Raises ValueError for a whole number below 0 or beyond every network, naming its field."""
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, (list, tuple)) else [value]
            if field.name in NOT_A_SIZE or not numbers or not all(type(number) is int for number in numbers):
                continue
            if min(numbers) < 0 or max(numbers) > LARGEST:
                raise ValueError(f"{field.name} is {value}; give 0 to {LARGEST:,}")
            if field.name == "depths" and sum(numbers) > MOST_LAYERS:
                raise ValueError(f"depths are {value}; give {MOST_LAYERS:,} blocks at most in all")


def require_detector(config: PreTrainedConfig, *model_types: str) -> None:
    """Raises ValueError for the configuration of a detector that is of none of these types."""
    if config.model_type not in model_types:
        raise ValueError(
            f"detector_config is of {config.model_type!r}, but a {' or '.join(model_types)} is needed; what other "
            "detectors find can be given as region_boxes and region_masks"
        )
