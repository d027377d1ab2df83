"""The rows of CAC's table on RefShapes: same detector, data and steps.

    python benchmarks/ablation_cac.py

trains the five recipes `cac_refshapes*` once per seed, one after the other, each on one core, and writes
`results.json`, `table.md` and `ablation.png` into the output folder (`--output`, runs/ablation_cac). A finished run is
not repeated, and one that was killed resumes from its last complete checkpoint. `--seeds 0 1 2` are the seeds; further
words override keys of all recipes, for instance `--max_steps 1000 --eval_steps 1000 --save_steps 1000`.
"""

from ablation import run

if __name__ == "__main__":
    run(
        __doc__,
        {
            "cac_refshapes_baseline": "baseline",
            "cac_refshapes_coordinates": "+ spatial coordinates",
            "cac_refshapes_spatial": "+ spatial-aware filters",
            "cac_refshapes_consistency": "+ caption-aware consistency",
            "cac_refshapes": "full model",
        },
        {"box_acc": "accuracy", "region_acc": "accuracy (objects)", "oIoU": "oIoU", "mIoU": "mIoU"},
        "runs/ablation_cac",
    )
