"""The loop against a loop written out by hand, and against itself: killed, resumed, in two processes."""

import json
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from photo_folder import ref, write_folder
from transformers import AutoModel, AutoProcessor

from hf_refseg import cli, writing
from hf_refseg.data import HeldRows, RefShapes, decode_mask
from hf_refseg.evaluation import run as run_module
from hf_refseg.evaluation.results import read_eval_results, read_results
from hf_refseg.evaluation.run import run
from hf_refseg.metrics import RefSegMetric
from tests.evaluation.conftest import save_model

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def by_hand(model_folder, dataset, protocol, rows, threshold=0.5, first_only=False, refine=None):
    """Numbers of a loop over single sentences."""
    model, processor = AutoModel.from_pretrained(model_folder).eval(), AutoProcessor.from_pretrained(model_folder)
    metric = RefSegMetric(protocol)
    for row in (RefShapes("val", dataset)[index] for index in range(rows)):
        for sentence in row["sentences"][: 1 if first_only else None]:
            inputs = processor(images=row["image"], text=sentence["sent"])
            with torch.inference_mode():
                outputs = model(**inputs)
            (result,) = processor.post_process_referring_segmentation(
                outputs, target_sizes=inputs["original_sizes"], threshold=threshold, refine=refine, images=row["image"]
            )
            boxes = {"pred_boxes": [] if result["box"] is None else [result["box"]], "target_boxes": row["boxes"]}
            metric.add(result["mask"], decode_mask(row["mask"]), **boxes)
    return metric.compute()


def without_seconds(results):
    return {name: part for name, part in results.items() if name != "seconds"}


@pytest.mark.parametrize(
    ("dialect", "protocol", "options"),
    [
        ("refcoco", "hu2016", {}),
        ("refcoco", "cris", {"threshold": 0.35, "first_only": True}),
        ("grefcoco", "grefcoco", {}),
        ("phrasecut", "phrasecut", {}),
    ],
)
def test_numbers_are_those_of_a_loop_by_hand(evaluation, model_folder, dialect, protocol, options):
    results = run(evaluation(dataset=f"refshapes/{dialect}", protocol=protocol, limit=14))
    assert results["metrics"] == by_hand(model_folder, dialect, protocol, 14, **options)
    assert 0 < results["metrics"]["mIoU"] < 1 and results["counts"]["rows"] == 14
    assert results["metrics"].get("num_no_target", 0) == results["counts"]["no_target"]


def test_masks_are_refined_before_they_are_counted(evaluation, model_folder):
    results = run(evaluation(refine="dense_crf"))
    assert results["metrics"] == by_hand(model_folder, "refcoco", "hu2016", 7, refine="dense_crf")
    assert results["metrics"]["oIoU"] != by_hand(model_folder, "refcoco", "hu2016", 7)["oIoU"]


def test_results_say_how_they_were_counted(evaluation, tmp_path):
    results = run(evaluation(protocol="lavt"))
    folder = tmp_path / "results"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("_evaluation.lock", "contact_sheet.png", "eval_results.json"),
        *("predictions-00000.jsonl", "results.json", "settings.json"),
    ]
    read = read_results(folder)
    assert read == json.loads(json.dumps(results)) and read == read_results(folder / "results.json")
    assert read["protocol"]["size"] == [480, 480] and read["metrics"]["protocol"] == "lavt"
    assert read["versions"]["torch"] == torch.__version__.split("+")[0] and read["seconds"] > 0
    assert read["counts"]["expressions"] == len(read["samples"]) == read["metrics"]["num"]
    numbers = read_eval_results(folder)
    assert numbers["metrics"] == {name: value for name, value in read["metrics"].items() if isinstance(value, float)}
    assert (numbers["dataset"], numbers["split"], numbers["protocol"]) == ("refshapes", "val", "lavt")
    assert numbers["counts"] == read["counts"]
    assert read["counts"]["intersection"] / read["counts"]["union"] == read["metrics"]["oIoU"]


def test_killed_and_resumed_equals_uninterrupted(evaluation, model_folder, tmp_path):
    killed, whole = evaluation(output=tmp_path / "killed", limit=80), evaluation(output=tmp_path / "whole", limit=80)
    command = [sys.executable, "-m", "hf_refseg.cli", "evaluate", "--model", model_folder, "--dataset", "refshapes"]
    command += ["--split", "val", "--protocol", "hu2016", "--limit", "80", "--batch-size", "3"]
    process = subprocess.Popen([*command, "--output", str(killed.output)], env=ONE_THREAD, stderr=subprocess.DEVNULL)
    log = killed.output / "predictions-00000.jsonl"
    while process.poll() is None and (not log.is_file() or log.read_bytes().count(b"\n") < 3):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = log.read_bytes().count(b"\n")
    assert 3 <= done < 27 and not (killed.output / "results.json").exists()

    resumed, expected = run(killed), run(whole)
    assert without_seconds(resumed) == without_seconds(expected)
    assert (killed.output / "contact_sheet.png").read_bytes() == (whole.output / "contact_sheet.png").read_bytes()
    assert log.read_bytes().count(b"\n") == 27  # nothing was done twice


def test_a_finished_evaluation_is_not_run_again(evaluation, monkeypatch):
    first = run(evaluation())
    monkeypatch.setattr(run_module, "_segmenter", lambda *arguments: lambda batch: pytest.fail("ran again"))
    assert run(evaluation()) == first


def test_two_processes_give_the_same_to_the_last_bit(evaluation, model_folder, tmp_path):
    command = [sys.executable, "-m", "hf_refseg.cli", "evaluate", "--model", model_folder, "--dataset", "refshapes"]
    command += ["--split", "val", "--protocol", "hu2016", "--limit", "7", "--batch-size", "3"]
    command += ["--output", str(tmp_path / "two")]
    with socket.socket() as free:  # what a launcher would choose and tell its processes
        free.bind(("127.0.0.1", 0))
        world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    processes = []
    for rank in ("0", "1"):
        environment = {**ONE_THREAD, **world, "RANK": rank, "LOCAL_RANK": rank}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    told = [[line for line in output.splitlines() if not line.startswith("[Gloo]")] for output in outputs]
    assert "protocol hu2016: 7 rows" in "\n".join(told[0]) and told[1] == []
    lines = [len((tmp_path / "two" / f"predictions-0000{n}.jsonl").read_text().splitlines()) for n in (0, 1)]
    assert lines == [2, 1]
    alone = json.loads(json.dumps(run(evaluation())))
    assert without_seconds(read_results(tmp_path / "two")) == without_seconds(alone)


def test_another_run_in_the_folder_is_refused(evaluation):
    run(evaluation())
    with pytest.raises(ValueError, match="another protocol .protocol: 'hu2016' there, 'lavt' now"):
        run(evaluation(protocol="lavt"))
    with pytest.raises(ValueError, match="another num_rows"):
        run(evaluation(limit=6))


def test_retrained_weights_do_not_continue_an_old_run(evaluation, tmp_path):
    save_model(tmp_path / "model", seed=1)
    run(evaluation(model=str(tmp_path / "model")))
    save_model(tmp_path / "model", seed=2)
    with pytest.raises(ValueError, match="another weights_sha256"):
        run(evaluation(model=str(tmp_path / "model")))


def test_subsets_of_phrasecut(evaluation, tmp_path):
    counts = tmp_path / "name_att_rel_count.json"
    counts.write_text(json.dumps({"cat": [["circle", 9], ["square", 8]], "att": [["red", 5]], "rel": []}))
    options = {"dataset": "refshapes/phrasecut", "protocol": "phrasecut", "limit": 12}
    results = run(evaluation(**options, phrasecut_counts=str(counts)))
    subsets = results["metrics"]["subsets"]
    assert subsets["all"] == {key: results["metrics"][key] for key in subsets["all"]}
    assert subsets["t_obj"]["num"] + subsets.get("t_stuff", {"num": 0})["num"] == results["metrics"]["num"]
    assert subsets["d_notcocotv"]["num"] == results["metrics"]["num"]


def test_samples_without_target_are_told(evaluation, caplog):
    with caplog.at_level(logging.WARNING):
        results = run(evaluation(dataset="refshapes/grefcoco", limit=14))
    assert results["counts"]["no_target"] > 0
    assert "expressions have no target, and protocol hu2016 has no rule for them" in caplog.text


def test_dtype_and_interpolation_reach_the_model(evaluation, tmp_path):
    clean = run(evaluation(limit=3))
    paper = run(evaluation(limit=3, interpolation="paper", output=tmp_path / "paper"))
    half = run(evaluation(limit=3, dtype="bfloat16", output=tmp_path / "half"))
    assert paper["counts"]["union"] > clean["counts"]["union"]  # every touched pixel counts
    assert half["metrics"]["oIoU"] == pytest.approx(clean["metrics"]["oIoU"], abs=0.1)
    assert half["samples"] != clean["samples"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"protocol": "coco"}, "unknown metric protocol 'coco'"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
        ({"limit": 0}, "limit is 0"),
        ({"model": "no-such"}, "there is no model 'no-such'"),
        ({"refine": "magic"}, "unknown refine 'magic'"),
        ({"interpolation": "magic"}, "unknown interpolation 'magic'"),
        ({"dataset": "nowhere"}, "'nowhere' is neither a folder nor one of"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(evaluation, tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        run(evaluation(**fields))
    assert not (tmp_path / "results").exists()


def test_an_output_that_is_a_file_is_told_before_anything_is_read(evaluation, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotADirectoryError, match=r"notes.txt can't be a folder: .*notes.txt is a file; name another"):
        run(evaluation(output=tmp_path / "notes.txt"))


def test_the_command_of_an_evaluation_makes_its_numbers_again(evaluation, tmp_path):
    first = evaluation(dataset="refshapes/grefcoco", protocol="grefcoco", batch_size=1, output=tmp_path / "first")
    run(first)
    words = shlex.split(read_eval_results(tmp_path / "first")["command"])
    assert words[:2] == ["hf-refseg", "evaluate"] and "--batch-size" not in words
    assert cli.main([*words[1:], "--output", str(tmp_path / "again")]) == 0
    assert read_eval_results(tmp_path / "again") == read_eval_results(tmp_path / "first")


def test_a_named_data_set_is_found_under_root(evaluation, built):
    fields = {"dataset": "refcoco_unc", "split": "testA", "root": str(built["refcoco"].parent), "limit": 2}
    assert run(evaluation(**fields))["counts"]["rows"] == 2


def test_rows_that_cannot_be_evaluated_are_named(evaluation, monkeypatch):
    rows = [RefShapes("val")[index] for index in range(2)]
    monkeypatch.setattr(run_module, "load", lambda *arguments, **options: HeldRows(rows))
    good = dict(rows[1])
    rows[1] = {**good, "sentences": [{"sent_id": 5, "sent": "красный круг", "tokens": ["красный", "круг"]}]}
    assert run(evaluation(batch_size=1))["counts"]["rows"] == 2  # words no vocabulary has are words all the same
    shutil.rmtree(evaluation().output)
    rows[1] = {**good, "sentences": [{"sent_id": 5, "sent": "  ", "tokens": []}]}
    with pytest.raises(ValueError, match="can't evaluate refshapes/refcoco val ref_id=1: .* has no words"):
        run(evaluation(batch_size=1))
    rows[1] = {**good, "mask": {**good["mask"], "counts": good["mask"]["counts"][:-1]}}
    with pytest.raises(ValueError, match="can't evaluate refshapes/refcoco val ref_id=1: .*damaged or cut off"):
        run(evaluation(batch_size=1))
    rows[1] = {**good, "mask": {"size": [64, 64], "counts": "PP4"}}
    with pytest.raises(ValueError, match=r"can't evaluate refshapes/refcoco val ref_id=1: .*\[64, 64\]"):
        run(evaluation(batch_size=1))
    rows[1] = {**good, "sentences": []}
    with pytest.raises(ValueError, match="ref_id=1: .*has no sentences"):
        run(evaluation(batch_size=1))


def test_what_was_left_out_or_not_read_is_in_the_results(evaluation, tmp_path, caplog):
    long = ref(1, "val")
    long["sentences"][0]["sent"] = " ".join(["red circle"] * 11)
    folder = write_folder(tmp_path, "mine", [1, 2], [long, ref(2, "val")])
    (folder / "images" / "2.png").write_bytes(b"no picture")
    fields = {"dataset": str(folder), "limit": None, "skip_unreadable": True}
    results = run(evaluation(**fields))
    assert results["notes"] == {"rows whose picture or mask cannot be read, left out": 1}
    assert results["counts"]["rows"] == results["counts"]["cut_off"] == 1
    assert "1 of 1 expressions are longer than the model reads: their last words were left out; --max" in caplog.text
    assert read_results(tmp_path / "results")["skip_unreadable"]
    assert "--skip-unreadable" in shlex.split(read_eval_results(tmp_path / "results")["command"])
    whole = run(evaluation(**fields, max_length=22, output=tmp_path / "whole"))
    assert whole["counts"]["cut_off"] == 0 and whole["max_length"] == 22
    assert shlex.split(read_eval_results(tmp_path / "whole")["command"])[-2:] == ["--max-length", "22"]


def test_two_evaluations_do_not_share_a_folder(evaluation, monkeypatch):
    first = evaluation()
    results = run(first)
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    with writing.claimed_folder(first.output, "evaluation", "--output"):
        with pytest.raises(FileExistsError, match="another evaluation writes into .* choose another --output, or wait"):
            run(first)
    assert run(first)["samples"] == results["samples"]


def test_a_longer_length_reads_the_last_words(evaluation, tmp_path):
    long = ref(1, "val")
    long["sentences"][0]["sent"] = f"{'the ' * 20}red circle"
    folder = write_folder(tmp_path, "mine", [1], [long])
    masks = []
    for place, max_length in enumerate((None, 20, 22)):
        fields = {"dataset": str(folder), "limit": None, "max_length": max_length, "output": tmp_path / str(place)}
        masks.append(run(evaluation(**fields))["samples"])
    assert masks[0] == masks[1] != masks[2]
    with pytest.raises(ValueError, match="max_length is 0; it must be 1 or more"):
        run(evaluation(**{**fields, "max_length": 0}))
