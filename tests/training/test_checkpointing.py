import pytest

from hf_refseg.training.checkpointing import (
    MANIFEST,
    last_complete_checkpoint,
    missing_files,
    remove_manifest,
    write_manifest,
)


def checkpoint(root, step, complete=True):
    folder = root / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "trainer_state.json").write_text("{}")
    if complete:
        write_manifest(folder)
    return folder


def test_the_last_complete_checkpoint_is_the_one_of_the_highest_step(tmp_path):
    assert last_complete_checkpoint(tmp_path) is None
    assert last_complete_checkpoint(tmp_path / "absent") is None
    for step in (5, 20, 100):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")


def test_half_written_cut_short_and_unmarked_folders_are_not_checkpoints(tmp_path):
    checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, complete=False)
    (checkpoint(tmp_path, 30) / "model.safetensors").write_bytes(b"wei")
    (checkpoint(tmp_path, 40) / "trainer_state.json").unlink()
    remove_manifest(checkpoint(tmp_path, 50))
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert missing_files(tmp_path / "checkpoint-20") == [MANIFEST]
    assert missing_files(tmp_path / "checkpoint-30") == ["model.safetensors"]
    assert missing_files(tmp_path / "checkpoint-40") == ["trainer_state.json"]


def test_a_manifest_cut_off_while_it_was_written_does_not_spoil_the_next_one(tmp_path):
    folder = checkpoint(tmp_path, 10, complete=False)
    (folder / f"{MANIFEST}.partial").write_text('{"model.saf')
    assert missing_files(folder) == [MANIFEST]
    write_manifest(folder)
    assert missing_files(folder) == []


@pytest.mark.parametrize("content", ["", "\0\0\0", "[1, 2]", '{"model.safetensors": null}'])
def test_what_a_power_cut_leaves_of_a_manifest_is_passed_over(tmp_path, content):
    checkpoint(tmp_path, 10)
    (checkpoint(tmp_path, 20) / MANIFEST).write_text(content)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
