"""
Compare our model with what an original program computed: `python tests/parity/check.py CASE_DIR`.

Builds the original checkpoint from the case's manifest, runs the public converter and the model, prints one line per
compared array (name, largest absolute and relative error, tolerance, verdict), one per stored array that was left out,
and a count. Exit status 1 if any array failed or none was compared. A folder with text.json or resize.json is a case of
text and image preparation, one whose manifest has the kernels of a CRF one of the dense CRF, and one with weights and
golden.npz one of NanoDet.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from tests.parity import (  # noqa: E402
    cac_case,
    densecrf_case,
    evaltext_case,
    lstm_cnn_case,
    mattnet_case,
    nanodet_case,
    phrasecut_eval_case,
    rmi_case,
)
from tests.parity.golden_case import Comparison, GoldenCase  # noqa: E402

SYSTEMS = {
    "rmi": rmi_case.run,
    "lstmcnn": lstm_cnn_case.run,
    "mattnet": mattnet_case.run,
    "cac": cac_case.run,
    "phrasecut_eval": phrasecut_eval_case.run,
    "densecrf": densecrf_case.run,
}


def check(folder: Path) -> list[Comparison]:
    """All comparisons of one case folder."""
    if not (folder / "manifest.json").is_file():
        if results := nanodet_case.run(folder) if nanodet_case.is_case(folder) else evaltext_case.run(folder):
            return results
        raise FileNotFoundError(
            f"{folder} holds no manifest.json, text.json, resize.json or golden.npz: it is no golden case"
        )
    case = GoldenCase(folder)
    system = case.manifest.get("system", "densecrf" if densecrf_case.is_case(case.manifest) else None)
    if system not in SYSTEMS:
        raise ValueError(f"{folder} is a case of {system!r}; there are checks for {', '.join(SYSTEMS)}")
    return SYSTEMS[system](case)


def left_out(folder: Path, results: list[Comparison]) -> list[str]:
    """Names of the stored arrays that no comparison is about."""
    stored = {name for file in sorted(folder.glob("*outputs*.npz")) for name in np.load(file).files}
    # ids and shares of pixels are compared in place of what is stored, which the result says in brackets
    return sorted(stored - {result.name.partition(" (")[0] for result in results})


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    results = check(folder)
    for result in results:
        print(result)
    for name in left_out(folder, results):
        print(f"{name:<60} not compared")
    failed = sum(not result.passed for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return int(failed > 0 or not results)


if __name__ == "__main__":
    sys.exit(main())
