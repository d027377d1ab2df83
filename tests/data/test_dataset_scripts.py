import importlib.util
from pathlib import Path

import pytest
from official_copies import image_name

SCRIPTS = Path(__file__).resolve().parents[2] / "dataset_scripts"


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seen_images_are_listed_for_exclude_images(built, tmp_path, capsys):
    seen = tmp_path / "image_data.json"
    seen.write_text('[{"image_id": 9, "coco_id": 3}]')
    folder = str(built["refcoco"])
    arguments = ["--trained-on", str(seen), "--evaluated-on", folder, "--partition", "unc", "--split", "val"]
    assert script("list_seen_images").main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == f"coco:3  # {image_name(3)}, 2 rows of refcoco/unc\n"
    assert "1 images, 2 of 4 rows, were trained on" in told.err
    # google's val has images 5 and 6, which unc trains on no more than unc's own val.
    arguments = ["--trained-on", f"{folder}@train@unc", "--evaluated-on", folder, "--partition", "google"]
    assert script("list_seen_images").main([*arguments, "--split", "val"]) == 0
    assert script("list_seen_images").main([*arguments, "--split", "train"]) == 1
    assert script("list_seen_images").main([*arguments, "--split", "testC"]) == 2


def test_statistics_are_printed(built, capsys):
    assert script("print_statistics").main([str(built["phrasecut"])]) == 0
    table = capsys.readouterr().out
    assert "| phrasecut | all | 8 | 16 |" in table and "| VGPhraseCut | published | 77,262 | 345,486 |" in table
    assert script("print_statistics").main(["/nowhere"]) == 2
    assert "/nowhere/build.json is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "family", ["refcoco", "refcocoplus", "refcocog", "refclef", "referit", "phrasecut", "grefcoco"]
)
def test_every_family_has_its_script(family, capsys):
    from hf_refseg.data.catalogue import partitions_of

    source = (SCRIPTS / f"build_{family}.py").read_text()
    assert f'main("{family}", __doc__)' in source and partitions_of(family)
