"""Settings every test relies on; the environment is set before anything of Hugging Face is imported."""

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # `pytest -n auto`: the cores are shared
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // workers))

import pytest  # noqa: E402

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of goldens and photos beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: this test needs the project's shared goldens and photos")
    return SHARED


@pytest.fixture(scope="session")
def train():
    """Trains by a command line, the recipe first: returns what was measured, raises what `hf-refseg train` prints."""
    from hf_refseg.training.commands import split_overrides
    from hf_refseg.training.run import prepare

    def run(words: list[str]) -> dict:
        (_, recipe, *flags), overrides = split_overrides(["train", *words])
        return prepare(recipe, overrides, "--resume" in flags).start()

    return run


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Data sets built once from small official copies, for every test that reads built ones.

    {"raw": root of the copies, "pictures": their folder, "refcoco": built with pictures, "phrasecut": without}
    """
    from official_copies import write_phrasecut, write_refer

    from hf_refseg.data.builders import BuildOptions, build
    from hf_refseg.data.catalogue import find_dataset

    root = tmp_path_factory.mktemp("built")
    raw = root / "raw"
    for partition in ("unc", "google"):
        write_refer(raw, "refcoco", partition)
    write_phrasecut(raw)
    pictures = raw / "images" / "mscoco" / "images" / "train2014"
    options = {"raw": raw, "allow_other_counts": True, "rows_per_shard": 2}
    unc, google = find_dataset("refcoco_unc"), find_dataset("refcoco_google")
    build([unc, google], BuildOptions(out=root / "refcoco", images=pictures, pictures_per_shard=3, **options))
    build([find_dataset("phrasecut")], BuildOptions(out=root / "phrasecut", **options))
    return {"raw": raw, "refcoco": root / "refcoco", "phrasecut": root / "phrasecut", "pictures": pictures}
