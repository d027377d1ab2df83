"""What an evaluation has done so far, on disk, so that a killed one goes on where it was.

    DIR/settings.json               what is evaluated; a run with other settings is refused
    DIR/predictions-00000.jsonl     one line per finished batch of process 0: its samples, with their masks

A line is written at once and counts from its line break on, so a kill at any moment loses the batches in work and
nothing else. Batches hold the same rows however often a run was resumed and over however many processes: with as many
threads in each process as before, the numbers come out the same to the last bit.
"""

import json
import os
from pathlib import Path

SETTINGS_FILE, PREDICTIONS = "settings.json", "predictions-*.jsonl"


def open_run(folder: Path, settings: dict) -> None:
    """Makes the folder of a new run, or checks that the run in it is this one.

    Raises ValueError where the folder holds another run, or files of something else.
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
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, file)


def read_batches(folder: Path) -> dict[int, dict]:
    """Every finished batch by its number, of all processes of all runs.

    Raises ValueError for a file that something else has changed, naming the line.
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
        self.file.truncate(whole)  # or the next line would continue one that was cut off

    def append(self, batch: dict) -> None:
        self.file.write(json.dumps(batch, separators=(",", ":")).encode() + b"\n")
        self.file.flush()

    def __enter__(self) -> "BatchLog":
        return self

    def __exit__(self, *exception) -> None:
        self.file.close()
