"""RMI against LSTM-CNN on relational expressions of RefShapes: same backbone, same data, same number of steps.

    python benchmarks/ablation_refshapes.py [--output runs/ablation_refshapes] [--seeds 0 1 2] [--key value ...]

trains both recipes (`ablation_refshapes_{rmi,lstm_cnn}`) once per seed, one after the other, each on one
core, and writes `results.json`, `table.md` and `ablation.png` into the output folder. A finished run is not repeated,
and one that was killed resumes from its last complete checkpoint. Further words override keys of both recipes.
"""

from ablation import run

if __name__ == "__main__":
    run(
        __doc__,
        {"ablation_refshapes_rmi": "RMI", "ablation_refshapes_lstm_cnn": "LSTM-CNN"},
        {"oIoU": "oIoU", "mIoU": "mIoU", "Pr@0.5": "Pr@0.5"},
        "runs/ablation_refshapes",
    )
