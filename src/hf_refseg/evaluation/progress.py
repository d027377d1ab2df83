"""What an evaluation has done so far, on disk, so that a killed run can be resumed.

    DIR/settings.json               the settings; a run with other settings is refused
    DIR/predictions-00000.jsonl     one line per finished batch of process 0: its samples, with their masks

A line counts only with its line break, so a kill at any moment loses only the unfinished batches. A batch holds the
same rows however often a run is resumed and however many processes it has. With the same number of threads per process,
the numbers are the same to the last bit.
"""

import json
from pathlib import Path

from ..writing import naming_the_disk, write_text

SETTINGS_FILE, PREDICTIONS = "settings.json", "predictions-*.jsonl"


def open_run(folder: Path, settings: dict) -> None:
    """Creates the folder of a new run, or checks that the folder holds this run.

    Raises ValueError if the folder holds another run, or other files.
    """
    file = folder / SETTINGS_FILE
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        other = sorted(name for name in found.keys() | settings.keys() if found.get(name) != settings.get(name))
        if other:
            name = other[0]
            raise ValueError(
                f"{folder} holds an evaluation with another {', '.join(other)} ({name}: {found.get(name)!r} there, "
                f"{settings.get(name)!r} now); give another --output, or remove the folder"
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and holds no evaluation; give another --output")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(settings, indent=2) + "\n")


def read_batches(folder: Path) -> dict[int, dict]:
    """Every finished batch by its number, from all processes of all runs.

    Raises ValueError for a damaged file; the message names the line.
    """
    batches = {}
    for file in sorted(folder.glob(PREDICTIONS)):
        for number, line in enumerate(file.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):  # the last line of a killed process may be cut off
                continue
            try:
                batch = json.loads(line)
                batches[batch["batch"]] = batch
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}, line {number} is damaged ({error!r}); delete it to do it again") from error
    return batches


class BatchLog:
    """Appends finished batches to the file of one process."""

    def __init__(self, folder: Path, process: int):
        self.file = open(folder / PREDICTIONS.replace("*", f"{process:05d}"), "ab")  # noqa: SIM115
        whole = Path(self.file.name).read_bytes().rfind(b"\n") + 1
        self.file.truncate(whole)  # otherwise the next line would continue one that was cut off

    def append(self, batch: dict) -> None:
        with naming_the_disk(self.file.name):
            self.file.write(json.dumps(batch, separators=(",", ":")).encode() + b"\n")
            self.file.flush()

    def __enter__(self) -> "BatchLog":
        return self

    def __exit__(self, *exception) -> None:
        self.file.close()
