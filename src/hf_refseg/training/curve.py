"""One picture of a finished training: loss, learning rate and what was evaluated over the steps."""

from collections.abc import Sequence
from pathlib import Path

# What an evaluation may report, in [0, 1], with name and color.
CURVES = {
    "eval_oIoU": ("overall IoU", "tab:green"),
    "eval_mIoU": ("mean IoU", "tab:olive"),
    "eval_region_acc": ("accuracy among regions", "tab:purple"),
    "eval_mask_AP": ("mask AP", "tab:green"),
    "eval_mask_AP50": ("mask AP50", "tab:olive"),
}


def plot_training_curve(log_history: Sequence[dict], path: str | Path) -> Path:
    """Draw `trainer.state.log_history` into a picture file and return its path.

    The learning rate has the axis of the loss panel's right side; evaluations are the dots of the lower panel, which is
    left out where nothing was evaluated.

    Raises:
        ValueError: if no training loss was logged.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    training = [entry for entry in log_history if "loss" in entry]
    evaluations = [entry for entry in log_history if CURVES.keys() & entry.keys()]
    if not training:
        raise ValueError("no training loss was logged: set logging_steps below the number of training steps")
    panels = 2 if evaluations else 1
    figure = Figure(figsize=(7, 2.8 * panels), layout="constrained")
    axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]

    steps = [entry["step"] for entry in training]
    axes[0].plot(steps, [entry["loss"] for entry in training], color="tab:blue")
    axes[0].set_ylabel("training loss", color="tab:blue")
    rate = axes[0].twinx()
    rate.plot(steps, [entry["learning_rate"] for entry in training], color="tab:gray", linewidth=1)
    rate.set_ylabel("learning rate", color="tab:gray")
    if evaluations:
        steps = [entry["step"] for entry in evaluations]
        for name, (label, color) in CURVES.items():
            if name in evaluations[-1]:
                axes[1].plot(steps, [entry[name] for entry in evaluations], "o-", color=color, label=label)
        axes[1].set_ylim(0, 1.03)
        axes[1].set_ylabel(f"validation ({evaluations[-1].get('eval_protocol', 'COCOeval')})")
        axes[1].legend(loc="lower right")
    axes[-1].set_xlabel("step")
    figure.savefig(path, dpi=120)
    return Path(path)
