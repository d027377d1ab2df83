"""One picture of a finished training: loss, learning rate and overall IoU over the steps."""

from collections.abc import Sequence
from pathlib import Path


def plot_training_curve(log_history: Sequence[dict], path: str | Path) -> Path:
    """Draw `trainer.state.log_history` into a picture file and return its path.

    The learning rate has the axis of the loss panel's right side; evaluations are the dots of the lower panel, which is
    left out where nothing was evaluated.

    Raises:
        ValueError: if no training loss was logged.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    training = [entry for entry in log_history if "loss" in entry]
    evaluations = [entry for entry in log_history if "eval_oIoU" in entry]
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
        axes[1].plot(steps, [entry["eval_oIoU"] for entry in evaluations], "o-", color="tab:green", label="overall IoU")
        axes[1].plot(steps, [entry["eval_mIoU"] for entry in evaluations], "o-", color="tab:olive", label="mean IoU")
        axes[1].set_ylim(0, 1)
        axes[1].set_ylabel(f"validation ({evaluations[-1].get('eval_protocol', '')})")
        axes[1].legend(loc="lower right")
    axes[-1].set_xlabel("step")
    figure.savefig(path, dpi=120)
    return Path(path)
