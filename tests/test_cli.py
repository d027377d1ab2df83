"""The command line on a miniature model: what it prints and writes, and one line for every mistake."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from safetensors.torch import load_file, save_file

from hf_refseg import LstmCnnImageProcessor, LstmCnnProcessor, RmiImageProcessor, RmiProcessor, checkpoints, cli
from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.systems import SYSTEMS
from tests.tiny import tiny_hulanet, tiny_lstm_cnn, tiny_rmi


def save_tiny(folder, make_model, processor_class, image_processor_class):
    torch.manual_seed(0)
    tokenizer = tokenizer_from_sentences(["the cat", "the red dog on the left"])
    make_model(vocab_size=len(tokenizer)).save_pretrained(folder)
    processor_class(image_processor_class(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def rmi(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("rmi"), tiny_rmi, RmiProcessor, RmiImageProcessor)


@pytest.fixture(scope="module")
def lstm_cnn(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("lstm"), tiny_lstm_cnn, LstmCnnProcessor, LstmCnnImageProcessor)


@pytest.fixture
def photo(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_segment_prints_a_line_per_expression(rmi, photo, capsys):
    assert cli.main(["segment", photo, "the dog", "the cat", "--model", rmi, "--threshold", "0.01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["the dog", "the cat"]
    assert "area 3500 px (100.0% of the photo), box [0, 0, 70, 50], score 0." in lines[0]
    assert cli.main(["segment", photo, "the dog", "--model", rmi, "--threshold", "0.99"]) == 0
    assert capsys.readouterr().out == "the dog: nothing found\n"


def test_segment_answers_unknown_words_where_asked_to(rmi, photo, tmp_path, capsys):
    asked = ["segment", photo, "zorg blorp", "--model", rmi]
    assert cli.main(asked) == 2 and "no word of expression 0" in capsys.readouterr().err
    maps = tmp_path / "why.png"
    assert cli.main([*asked, "--allow-unknown", "--word-maps", str(maps)]) == 0
    assert "zorg blorp" in capsys.readouterr().out and maps.is_file()


def test_segment_json_holds_the_masks(rmi, photo, capsys):
    assert cli.main(["segment", photo, "the dog", "the cat", "--model", rmi, "--threshold", "0.4", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["label"] for result in results] == ["the dog", "the cat"]
    for result in results:
        mask = coco_mask.decode(result["mask"])
        assert mask.shape == (50, 70) and mask.sum() == result["area"] > 0
        assert len(result["box"]) == 4 and 0 <= result["score"] <= 1


def test_segment_writes_pictures(rmi, photo, tmp_path, capsys):
    overlay, maps = tmp_path / "overlay.png", tmp_path / "maps.jpg"
    arguments = ["segment", photo, "the red dog", "--model", rmi, "--output", str(overlay), "--word-maps", str(maps)]
    assert cli.main(arguments) == 0
    assert Image.open(overlay).width == 70 and Image.open(maps).width > 300
    assert f"wrote {overlay}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.jpg", "overlay.png", "photo.png"]


def test_half_precision_checkpoints_run(photo, tmp_path):
    torch.manual_seed(0)
    save_tiny(tmp_path / "half", lambda **sizes: tiny_rmi(**sizes).half(), RmiProcessor, RmiImageProcessor)
    arguments = ["segment", photo, "the dog", "--model", str(tmp_path / "half"), "--word-maps", str(tmp_path / "w.png")]
    assert cli.main(arguments) == 0
    assert (tmp_path / "w.png").is_file()


def test_demo_runs_on_a_photo_of_an_installed_package(rmi, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "DEFAULT_CHECKPOINT", rmi)
    assert cli.main(["demo", "--output", str(tmp_path / "demo.png")]) == 0
    output = capsys.readouterr().out
    assert output.startswith("the cat: ") and f"wrote {tmp_path / 'demo.png'}" in output
    assert Image.open(tmp_path / "demo.png").size[0] == 451


def test_checkpoints_lists_what_ships(rmi, monkeypatch, capsys, tmp_path):
    (tmp_path / "some-model").mkdir()
    (tmp_path / "some-model" / "config.json").write_text("{}")
    (tmp_path / "no-model").mkdir()
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    assert cli.main(["checkpoints"]) == 0
    assert capsys.readouterr().out == f"some-model  0.0 MB  {tmp_path / 'some-model'}\n"


def test_convert_calls_the_system_s_converter(monkeypatch, capsys, tmp_path):
    from hf_refseg.models.lstm_cnn import convert_lstm_cnn

    calls = []

    def convert(checkpoint, vocabulary, output):
        calls.append((checkpoint, vocabulary, output))
        return "DIR"

    monkeypatch.setattr(convert_lstm_cnn, "convert", convert)
    arguments = ["convert", "lstm-cnn", "a.npz", "--vocabulary", "words.txt", "--output", str(tmp_path / "new")]
    assert cli.main(arguments) == 0
    assert calls == [("a.npz", "words.txt", tmp_path / "new")]
    assert capsys.readouterr().out == "wrote DIR\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "gone.jpg", "the dog"], "there is no image file gone.jpg"),
        (["segment", "PHOTO", ""], "expression 0 has no words: ''"),
        (["segment", "PHOTO", "zebra"], "no word of expression 0, 'zebra', is in the vocabulary"),
        (["segment", "PHOTO", "the dog", "--model", "no-such"], "there is no model 'no-such': it is no folder"),
        (["segment", "PHOTO", "the dog", "--threshold", "50"], "--threshold is 50.0; it is a probability"),
        (["segment", "PHOTO", "the dog", "--output", "a.txt"], "a.txt does not end in one of .png"),
        (["segment", "PHOTO", "the dog", "--output", "gone/a.png"], "the folder of gone/a.png does not exist"),
        (["segment", "PHOTO", "the dog", "the cat", "--word-maps", "a.png"], "draws one expression, not 2"),
        (
            ["segment", "PHOTO", "the", "dog", "on", "the", "left"],
            'put quotes around an expression, "the dog on the left"',
        ),
        (["segment", "PHOTO", "PHOTO", "the dog"], "is a file, not an expression; segment one photo at a time"),
        (["segment", "PHOTO", "the dog", "--output", "PHOTO"], "is the photo itself, which would be lost"),
        (["segment", "PHOTO", "the dog", "--output", "a.png", "--word-maps", "a.png"], "both name a.png"),
        (["convert", "rmi", "gone.ckpt", "--vocabulary", "gone.txt", "--output", "new"], "no vocabulary file gone.txt"),
        (["convert", "rmi", "a.npz", "--output", "new"], "a checkpoint of rmi needs --vocabulary too"),
        (["convert", "mattnet", "a.pth", "--output", "new"], "a checkpoint of mattnet needs --detector too"),
        (
            ["convert", "mask-rcnn", "a.pth", "--detector", "b", "--output", "new"],
            "mask-rcnn has no use for --detector",
        ),
        (["demo", "--output", "gone/a.png"], "the folder of gone/a.png does not exist"),
    ],
)
def test_mistakes_are_told_in_one_line_and_write_nothing(arguments, message, rmi, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [photo if argument == "PHOTO" else argument for argument in arguments]
    if arguments[0] == "segment" and "--model" not in arguments:
        arguments += ["--model", rmi]
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_checkpoints_that_are_not_whole_are_refused(rmi, photo, tmp_path, capsys):
    folder = Path(shutil.copytree(rmi, tmp_path / "model"))
    weights = folder / "model.safetensors"
    tensors = load_file(weights)

    def error():
        assert cli.main(["segment", photo, "the dog", "--model", str(folder)]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    name = sorted(tensors)[0]
    save_file({key: value for key, value in tensors.items() if key != name}, weights, {"format": "pt"})
    assert f"error: the weights of {folder} are not those of its config.json: 1 missing tensors ({name})" in error()
    save_file(tensors | {"stray": torch.zeros(1)}, weights, {"format": "pt"})
    assert "1 unexpected tensors (stray); get the files that belong together" in error()
    save_file(tensors | {name: tensors[name][:1].clone()}, weights, {"format": "pt"})
    assert f"1 tensors of another shape ({name} is (1," in error()
    weights.write_bytes(weights.read_bytes()[:3000])
    assert f"error: {weights} is damaged or cut off" in error()
    save_file(tensors, weights, {"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "bert"}')
    names = [system.model_type for system in SYSTEMS if system.kind == "referring"]
    assert f"is a model of type 'bert', which reads no expressions; {', '.join(names)} do" in error()


class Touch:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_weights_run_nothing(rmi, photo, tmp_path, capsys):
    folder = Path(shutil.copytree(rmi, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert cli.main(["segment", photo, "the dog", "--model", str(folder)]) == 0
    torch.save(tensors | {"weight": Touch(tmp_path / "touched")}, folder / "pytorch_model.bin")
    assert cli.main(["segment", photo, "the dog", "--model", str(folder)]) == 2
    assert "a damaged pickle or one that holds more than tensors" in capsys.readouterr().err
    assert not (tmp_path / "touched").exists()


def test_a_photo_that_is_cut_off_writes_nothing(rmi, photo, tmp_path, capsys):
    Path(photo).write_bytes(Path(photo).read_bytes()[:2000])
    overlay = tmp_path / "overlay.png"
    assert cli.main(["segment", photo, "the dog", "--model", rmi, "--output", str(overlay), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "photo.png is damaged or truncated" in captured.err
    assert not overlay.exists()


def test_word_maps_of_a_model_without_them(lstm_cnn, photo, tmp_path, capsys):
    path = tmp_path / "maps.png"
    assert cli.main(["segment", photo, "the dog", "--model", lstm_cnn, "--word-maps", str(path)]) == 2
    assert "--word-maps draws what the words did, of which refseg_lstm_cnn keeps nothing" in capsys.readouterr().err
    assert not path.exists()


def test_a_folder_of_photos_is_segmented_one_by_one(rmi, photo, tmp_path, capsys):
    folder, out = tmp_path / "photos [1]", tmp_path / "new" / "masks"
    folder.mkdir()
    image = Image.open(photo)
    for name in ("b.jpg", "a photo.png", "c.tiff", "\N{CAT FACE}.webp"):
        image.save(folder / name)
    (folder / "d.png").write_bytes(Path(photo).read_bytes()[:500])
    (folder / "notes.txt").write_text("no picture")
    (folder / "._b.jpg").write_bytes(b"Mac OS X")
    (folder / "more").mkdir()
    arguments = ["segment", str(folder), "the dog", "the cat", "--model", rmi]
    assert cli.main([*arguments, "--output", str(out)]) == 1
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == [
        str(folder / name) for name in ("a photo.png", "b.jpg", "c.tiff", "\N{CAT FACE}.webp") for _ in range(2)
    ]
    assert "left out: " in captured.err and "d.png is damaged or truncated" in captured.err
    assert captured.err.endswith(f"wrote 4 pictures into {out}\n1 of 5 pictures could not be read\n")
    assert sorted(path.name for path in out.iterdir()) == ["a photo.png", "b.jpg", "c.tiff.png", "\N{CAT FACE}.webp"]
    assert Image.open(out / "c.tiff.png").width == 70
    (folder / "d.png").unlink()
    assert cli.main([*arguments, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["photo"]).name for line in lines][:2] == ["a photo.png", "b.jpg"]
    assert [result["label"] for result in lines[0]["results"]] == ["the dog", "the cat"]
    for options, message in (
        (["--output", str(folder)], "exists, and what is in it could be lost; name a new folder"),
        (["--output", str(out)], "exists, and what is in it could be lost"),
        (["--output", str(folder / "notes.txt" / "masks")], "notes.txt is a file; name another place"),
        (["--word-maps", "a.png"], "--word-maps draws one photo"),
    ):
        assert cli.main([*arguments, *options]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["segment", str(folder / "more"), "the dog", "--model", rmi]) == 2
    assert "more has no pictures, files that end in .png" in capsys.readouterr().err


def test_overlays_of_a_folder_have_names_of_their_own():
    photos = [Path(name) for name in ("c.tiff", "c.tiff.png", "c.bmp", "d.jpg")]
    names = ["c.tiff.png.png", "c.tiff.png", "c.bmp.png", "d.jpg"]
    assert cli.overlay_names(photos) == dict(zip(photos, names, strict=True))


def test_a_reader_that_has_enough_ends_the_command_in_silence():
    """As `hf-refseg checkpoints | head -0`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        command = [sys.executable, "-m", "hf_refseg.cli", "checkpoints"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (cli.ENDED_BY_READER, b"")


def test_words_beyond_the_model_s_length_are_told_and_can_be_read(rmi, photo, capsys):
    text = " ".join(["the red dog"] * 7 + ["cat"])
    command = [sys.executable, "-m", "hf_refseg.cli", "segment", photo, text, "--model", rmi]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the last 2 words were not read: dog cat" in finished.stderr
    finished = subprocess.run([*command, "--max-length", "22"], capture_output=True, text=True, check=True)
    assert "were not read" not in finished.stderr


def test_help_loads_nothing_beyond_the_package_itself():
    code = (
        "import sys, hf_refseg; before = set(sys.modules)\n"
        "from hf_refseg import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as stop: print(sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "segment" in finished.stdout and "convert" in finished.stdout
    loaded = finished.stdout.splitlines()[-1]
    heavy = ("torch", "transformers", "matplotlib", "PIL", "numpy", "pycocotools", "skimage", "datasets", "tensorflow")
    assert not [name for name in heavy if repr(name) in loaded], loaded


@pytest.mark.skipif(
    cli.DEFAULT_CHECKPOINT not in checkpoints.checkpoint_names(), reason="the default checkpoint is absent"
)
def test_demo_finds_the_cat_with_the_shipped_checkpoint(tmp_path):
    command = [sys.executable, "-m", "hf_refseg.cli", "demo"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    share = float(finished.stdout.split("(")[1].split("%")[0])
    assert 10 < share < 90, finished.stdout  # the cat fills a good half of its photo
    assert (tmp_path / "overlay.png").is_file()


def test_a_console_that_lacks_a_character_does_not_lose_the_answer(rmi, photo, tmp_path):
    command = [sys.executable, "-m", "hf_refseg.cli", "segment", photo, "the dog \N{CAT FACE}", "--model", rmi]
    finished = subprocess.run(
        [*command, "--output", str(tmp_path / "overlay.png")],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert finished.returncode == 0, finished.stderr[-500:]
    assert finished.stdout.startswith(b"the dog ?: area") and (tmp_path / "overlay.png").is_file()


@pytest.fixture
def hulanet(tmp_path) -> str:
    torch.manual_seed(0)
    tokenizer = phrase_tokenizer_from_sentences(["white cup on the table"])
    names = {"categories": ["cup", "table"], "attributes": ["white"], "predicates": ["on"]}
    image_processor = MaskRcnnImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    HulaNetProcessor(image_processor, tokenizer, names=names).save_pretrained(tmp_path / "hulanet")
    tiny_hulanet(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "hulanet")
    return str(tmp_path / "hulanet")


def test_explain_prints_what_was_understood(hulanet, rmi, photo, tmp_path, capsys):
    maps = tmp_path / "maps.png"
    arguments = ["segment", photo, "white cup on the table", "--model", hulanet, "--explain", "--word-maps", str(maps)]
    assert cli.main(arguments) == 0
    line = "white cup on the table: name 'cup', attribute 'white', relation 'on' to 'table'"
    assert capsys.readouterr().out.splitlines()[1] == line
    assert Image.open(maps).width > 800
    assert cli.main(["segment", photo, "the dog", "--model", rmi, "--explain"]) == 2
    captured = capsys.readouterr()
    assert "refseg_rmi reads a phrase as a whole" in captured.err and not captured.out
