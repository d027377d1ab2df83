"""HULANet's four rows on RefShapes, and RMI and MAttNet on the same phrases, as in PhraseCut's table.

    python benchmarks/ablation_hulanet.py

trains six recipes once per seed, one after the other, each on one core, and writes `results.json`, `table.md` and
`ablation.png` into the output folder (`--output`, runs/ablation_hulanet). A finished run is not repeated, and one that
was killed resumes from its last complete checkpoint. `--seeds 0 1 2` are the seeds; further words override keys of all
recipes.
"""

from ablation import run

if __name__ == "__main__":
    run(
        __doc__,
        {
            "rmi_phrasecut_refshapes": "RMI",
            "mattnet_phrasecut_refshapes": "MAttNet",
            "hulanet_refshapes_category": "cat",
            "hulanet_refshapes_attribute": "cat+att",
            "hulanet_refshapes_relationship": "cat+rel",
            "hulanet_refshapes": "cat+att+rel",
        },
        {"mIoU": "mean IoU", "oIoU": "cumulative IoU", "Pr@0.5": "Pr@0.5", "Pr@0.7": "Pr@0.7", "Pr@0.9": "Pr@0.9"},
        "runs/ablation_hulanet",
    )
