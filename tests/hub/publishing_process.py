"""
Publishes to the stub Hub, and loads what came back, in a process of its own. Run by test_publishing.py.

    python publishing_process.py FAKEHUB.py ROOT commands|everything

`everything` also loads what it published, in a further process too. A stub Hub needs its address in the environment
before anything of Hugging Face is imported.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

FAKEHUB, ROOT, WHAT = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
spec = importlib.util.spec_from_file_location("fakehub", FAKEHUB)
fakehub = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fakehub)
server = fakehub.serve()
os.environ |= {
    "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
    "HF_HOME": str(ROOT / "cache"),
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_OFFLINE": "0",
}

from pyarrow import Table, parquet  # noqa: E402

from hf_refseg.cli import main  # noqa: E402
from hf_refseg.data.builders.building import STATE_FILE  # noqa: E402
from hf_refseg.hub import publishing  # noqa: E402

SPACES = Path(__file__).resolve().parents[2] / "spaces"
REPO, KEY = "me/refseg-tiny", ("model", "me/refseg-tiny")
WITHOUT_PACKAGE = """
import builtins, sys
sys.modules["hf_refseg"] = None  # importing it fails
def no_prompt(question=""): raise AssertionError(question)
builtins.input = no_prompt
from transformers import pipeline
pipe = pipeline("image-segmentation", model="me/refseg-tiny", trust_remote_code=True)
import numpy as np
np.save(sys.argv[2], np.stack([np.asarray(one["mask"]) for one in pipe(sys.argv[1], ["the red dog", "a cat"])]))
"""
report = {}
breaking = []
handle = fakehub.H.handle_any


def break_commits(handler):
    """Answers what the path of a request begins with, where `breaking` says so, by an error of the server."""
    if breaking and "/commit/" in handler.path:
        breaking.append(handler.path)
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        return handler.out({"error": "out of order"}, 500)
    return handle(handler)


for method in ("GET", "POST", "HEAD", "PUT", "DELETE"):
    setattr(fakehub.H, f"do_{method}", break_commits)
publishing.SECONDS_BETWEEN_TRIES = (0, 0)

folder = ROOT / "rmi"
words = ["publish", "model", str(folder), REPO]
del os.environ["HF_TOKEN"]
report["without_token"] = main(words)
report["dry_run"] = main([*words, "--dry-run"])
report["repos_after_dry_run"] = [list(key) for key in fakehub.REPOS]
os.environ["HF_TOKEN"] = "hf_secret"
report["published"] = main(words)
commits = fakehub.REPOS[KEY].commits
report["commits"] = len(commits)
report["files"] = sorted(commits[-1][1])
report["card"] = commits[-1][1]["README.md"].decode()
report["again"] = main(words)
report["commits_after_again"] = len(commits)

changed = ["publish", "model", str(ROOT / "changed"), REPO]
breaking.append("now")
report["broken"] = main(changed)
report["tries"] = len(breaking) - 1
report["commits_after_broken"] = len(commits)
if WHAT == "everything":
    import numpy as np
    from transformers import AutoModel, pipeline

    def masks_of(pipe) -> np.ndarray:
        return np.stack([np.asarray(one["mask"]) for one in pipe(str(ROOT / "photo.png"), ["the red dog", "a cat"])])

    pipe = pipeline("referring-image-segmentation", model=REPO, device="cpu")
    masks = [masks_of(pipe)]
    report["with_package"] = type(pipe).__module__
breaking.clear()
report["changed"] = main(changed)
report["files_after_change"] = sorted(commits[-1][1])
if WHAT == "everything":
    script = [sys.executable, "-c", WITHOUT_PACKAGE, str(ROOT / "photo.png"), str(ROOT / "masks.npy")]
    subprocess.run(script, check=True, env={**os.environ, "PYTHONPATH": "", "HF_HOME": str(ROOT / "other-cache")})
    masks.append(np.load(ROOT / "masks.npy"))
    local = masks_of(pipeline("referring-image-segmentation", model=str(folder), device="cpu"))
    report["same_masks"] = [bool(np.array_equal(one, local)) for one in masks]
    AutoModel.from_pretrained(folder).push_to_hub("me/pushed")
    pipe.processor.push_to_hub("me/pushed")
    report["pushed"] = sorted(fakehub.REPOS[("model", "me/pushed")].commits[-1][1])

build = ROOT / "built"
(build / "tiny").mkdir(parents=True)
parquet.write_table(Table.from_pydict({"ref_id": [1, 2, 3]}), build / "tiny" / "train-00000.parquet")
identity = {"family": "refcoco", "with_images": False, "names": ["tiny"]}
(build / STATE_FILE).write_text(json.dumps({"complete": True, "identity": identity}))
(build / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Tiny\n")
(build / "tiny" / "train.lock").write_text("left by the build")
report["dataset"] = main(["publish", "dataset", str(build), "me/tiny"])
report["dataset_files"] = sorted(fakehub.REPOS[("dataset", "me/tiny")].commits[-1][1])
if WHAT == "everything":
    from datasets import load_dataset

    report["dataset_rows"] = len(load_dataset("me/tiny", split="train"))
space = SPACES / "refseg_metric"
report["space"] = main(["publish", "space", str(space), "me/metric"])
files = fakehub.REPOS[("space", "me/metric")].commits[-1][1]
report["space_files"], report["space_requirements"] = sorted(files), files["requirements.txt"].decode()
(ROOT / "report.json").write_text(json.dumps(report))
