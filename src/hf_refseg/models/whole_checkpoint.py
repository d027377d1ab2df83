"""Models load only checkpoints that are whole: with weights made up, or not finite, answers would look like answers."""

import torch

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class WholeCheckpoint:
    """Comes before `PreTrainedModel` among the bases of a model, whose `from_pretrained` would only log what lacks."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *model_args, output_loading_info: bool = False, **kwargs):
        """
        As that of `PreTrainedModel`, for whole checkpoints.

        Args:
            output_loading_info: return (model, report) and check nothing: the caller reads in the report's
                `missing_keys` what is new in the model, as for training a part of it anew.

        Raises:
            ValueError: tensors are missing or unknown, or hold nan or inf.
        """
        model, report = super().from_pretrained(
            pretrained_model_name_or_path, *model_args, output_loading_info=True, **kwargs
        )
        if output_loading_info:
            return model, report
        if pretrained_model_name_or_path is not None:  # else the caller gives the tensors themselves
            check_report(report, pretrained_model_name_or_path)
            check_finite_weights(model, pretrained_model_name_or_path)
        return model


def check_report(report: dict, name: str) -> None:
    """Raises ValueError for tensors that a checkpoint lacks, and for those that the model does not know."""
    for kind in ("missing", "unexpected"):
        names = sorted(report[f"{kind}_keys"])
        if names:
            raise ValueError(
                f"the weights of {name} are not those of its config.json: {len(names)} {kind} tensors "
                f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}); get the files that belong together, or "
                "load with output_loading_info=True to take the model as it is"
            )


def check_finite_weights(model: torch.nn.Module, name: str) -> None:
    """Raises ValueError where a parameter or buffer of a loaded model holds nan or inf, or where all of them are 0."""
    tensors = {key: value for key, value in model.state_dict().items() if value.dtype in FLOATING and not value.is_meta}
    broken = [key for key, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(
            f"the weights of {name} hold nan or inf in {len(broken)} of {len(tensors)} tensors ({broken[0]}, ...): the "
            "training that wrote them has diverged; get another checkpoint, or load with output_loading_info=True to "
            "look at this one"
        )
    if tensors and not any(value.any() for value in tensors.values()):
        raise ValueError(
            f"the weights of {name} are 0 everywhere, as in a file that was never written whole; get another"
        )
