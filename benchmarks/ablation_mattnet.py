"""MAttNet's modules one after the other on RefShapes, as in the paper's ablation: same detector, data and steps.

    python benchmarks/ablation_mattnet.py --max_steps 500 --eval_steps 500 --save_steps 500

trains the four recipes `mattnet_refshapes*` once per seed, one after the other, each on two cores, and
writes `results.json`, `table.md` and `ablation.png` into the output folder (`--output`, runs/ablation_mattnet). A
finished run is not repeated, and one that was killed resumes from its last complete checkpoint. `--seeds 0 1 2` are the
seeds; further words override keys of all recipes.
"""

from ablation import run

if __name__ == "__main__":
    run(
        __doc__,
        {
            "mattnet_refshapes_subject": "subject",
            "mattnet_refshapes_location": "+ location",
            "mattnet_refshapes_relationship": "+ relationship",
            "mattnet_refshapes": "+ attributes",
        },
        {"region_acc": "accuracy (objects)", "box_acc": "accuracy (detections)", "oIoU": "oIoU", "mIoU": "mIoU"},
        "runs/ablation_mattnet",
        threads=2,
    )
