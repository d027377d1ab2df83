"""The house rules that a machine can check. Reads the files only: imports neither torch nor the package."""

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "hf_refseg"
ROOMS_OF_PYTHON = ("src", "tests", "benchmarks", "dataset_scripts", "model_cards", "recipes", "spaces")
MOST_LINES, MOST_LINES_OF_MODELING = 500, 450
MOST_LINES_OF = {"modeling_rmi.py": 300}  # the original had 208
VAGUE_NAMES = {"utils", "misc", "common", "helpers"}
# The command line.
PRINTING = {"cli.py", *(f"{room}/commands.py" for room in ("evaluation", "finetuning", "hub", "onnx_graphs"))}
REGISTERING = {"registration.py", "auto.py"}

# Who may not import whom: what every model uses knows no model.
FOR_ALL_SYSTEMS = {
    "auto",
    "checkpoints",
    "cli",
    "evaluation",
    "finetuning",
    "hub",
    "onnx_graphs",
    "pipelines",
    "registration",
    "systems",
    "training",
}
MATHEMATICS = dict.fromkeys(
    ("layers", "losses", "outputs", "dense_crf", "permutohedral_lattice"),
    FOR_ALL_SYSTEMS | {"models", "processing", "data", "metrics", "conversion"},
)
MAY_NOT_IMPORT = MATHEMATICS | {
    "data": FOR_ALL_SYSTEMS | {"models", "metrics"},
    "metrics": FOR_ALL_SYSTEMS | {"models", "processing"},
    "processing": FOR_ALL_SYSTEMS | {"models", "metrics"},
    "conversion": FOR_ALL_SYSTEMS | {"models", "data", "metrics"},
    "plotting": FOR_ALL_SYSTEMS | {"models"},
    "models": FOR_ALL_SYSTEMS,
    "evaluation": {"models", "training", "cli", "hub", "pipelines"},
    "training": {"models", "cli", "hub", "pipelines"},
    "finetuning": {"models", "cli", "pipelines"},
}
# What a training of a system is made of is written in the trainer's words.
BUT_MAY_IMPORT = {
    "models/*/training_*.py": {"training", "evaluation", "checkpoints"},
    # The command that builds a data set publishes it where it is asked to.
    "data/builders/command.py": {"hub"},
}
CLASSES_OF_SYSTEMS = re.compile(r"(Config|Processor|Rows|Dataset|Backbone|ForReferringSegmentation|Segmentation)$")
OBJECTS_OF_SYSTEMS = re.compile(r"\b(config|\w*_config|processor|image_processor|rows?|dataset|\w+_dataset)$")


@cache
def parsed() -> dict[Path, ast.Module]:
    """Every Python file of the package."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def calls(*rooms: str) -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in these rooms of the package (all if none is named), with what is called as it is written."""
    for path, tree in parsed().items():
        if not rooms or path.relative_to(PACKAGE).parts[0] in rooms:
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    yield path, node, ast.unparse(node.func)


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def imports(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and name of all that a file imports from the package: (room, ..., name), without the package's own."""
    package = ("hf_refseg", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(parsed()[path]):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name[1:]) for name in names if name[0] == "hf_refseg" and len(name) > 1)


def test_files_stay_short():
    """A file is read in one sitting; a modeling file holds one paper."""
    for room in ROOMS_OF_PYTHON:
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            most = MOST_LINES_OF_MODELING if path.name.startswith("modeling_") else MOST_LINES
            most = MOST_LINES_OF.get(path.name, most)
            assert lines <= most, f"{path.relative_to(ROOT)} has {lines} lines, at most {most}: split it by ideas"


def test_names_of_files_say_what_is_in_them():
    vague = [
        str(path.relative_to(ROOT))
        for room in ROOMS_OF_PYTHON
        for path in (ROOT / room).rglob("*")
        if path.stem in VAGUE_NAMES and not path.match("tests/peer/common_tests/*")
    ]
    assert not vague, f"name what these hold: {vague}"


def test_scripts_can_be_started_by_their_name():
    scripts = [path for path in (*(ROOT / ".ci").iterdir(), *ROOT.glob("tests/**/*.sh")) if path.is_file()]
    assert scripts and all(os.access(path, os.X_OK) for path in scripts), "git update-index --chmod=+x FILE"


def test_only_the_command_line_prints():
    found = [
        place(path, call.lineno)
        for path, call, name in calls()
        if name == "print" and str(path.relative_to(PACKAGE)) not in PRINTING
    ]
    assert not found, f"log instead of printing: {found}"


def test_no_device_by_name():
    found = [place(path, call.lineno) for path, call, name in calls() if name.endswith(".cuda")]
    assert not found, f"use .to(device) of what is given: {found}"


def test_no_weights_are_dropped_in_silence():
    """`strict=False` of zip is the only one allowed."""
    found = [
        place(path, call.lineno)
        for path, call, name in calls()
        for keyword in call.keywords
        if keyword.arg == "strict" and ast.unparse(keyword.value) == "False" and name != "zip"
    ]
    assert not found, f"load with strict=True, or list what is missing and unexpected and raise: {found}"


def test_imports_point_one_way():
    found = []
    for path in parsed():
        relative = path.relative_to(PACKAGE)
        allowed = {room for pattern, rooms in BUT_MAY_IMPORT.items() if relative.match(pattern) for room in rooms}
        forbidden = MAY_NOT_IMPORT.get(relative.parts[0].removesuffix(".py"), set()) - allowed
        for line, name in imports(path):
            if name[0] in forbidden:
                found.append(f"{place(path, line)} imports {'.'.join(name)}")
    assert not found, "\n".join(found)


def test_only_registration_knows_the_factories():
    """A model's files have to load from a folder with remote code, where nothing may be registered twice."""
    factory = re.compile(r"(^|\.)(Auto\w+|\w*_MAPPING|PIPELINE_REGISTRY)\.(register|register_pipeline)$")
    found = [
        place(path, call.lineno)
        for path, call, name in calls()
        if factory.search(name) and str(path.relative_to(PACKAGE)) not in REGISTERING
    ]
    assert not found, f"register in registration.py: {found}"


def test_systems_are_told_apart_by_name_and_not_by_class():
    """With remote code each file has its own classes; what differs between data sets or systems is a method."""
    found = []
    for path, call, name in calls("models", "training"):
        if name == "isinstance":
            classes = re.findall(r"\w+", ast.unparse(call.args[1]))
            if any(CLASSES_OF_SYSTEMS.search(kind) for kind in classes):
                found.append(f"{place(path, call.lineno)} {ast.unparse(call)}")
        elif (name == "hasattr" or name == "getattr" and len(call.args) == 3) and OBJECTS_OF_SYSTEMS.search(
            ast.unparse(call.args[0])
        ):
            found.append(f"{place(path, call.lineno)} {ast.unparse(call)}")
    assert not found, "\n".join(found)


BRITISH = re.compile(
    r"colour|centre|behaviour|neighbour|favour|licence|labelled|modelled|(?<![a-z])grey"
    r"|(?:categor|general|initial|maxim|minim|normal|optim|organ|recogn|regular|serial|special|summar|token|visual)"
    r"is(?:e|ing|ation|ab|er)",
    re.IGNORECASE,
)
# Words of others: what people write, a golden array, keys of earlier checkpoints.
WORDS_OF_OTHERS = {
    "training_attributes.py": {"grey", "centre"},
    "region_views.py": {"grey"},
    "mattnet_pipeline_case.py": {"normalise"},
    "configuration_mattnet.py": {"neighbour"},
    "test_modeling_mattnet.py": {"neighbour"},
    "page_checks.py": {"labelled"},  # an attribute of HTML
}


def test_american_spelling_as_in_transformers():
    texts = [ROOT / "README.md", ROOT / "pyproject.toml", ROOT / "train.py"]
    for room in (*ROOMS_OF_PYTHON, "docs", "configs"):
        texts += [path for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".md", ".yaml"}]
    found = [
        f"{place(path, number)} {word[0]}"
        for path in texts
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in BRITISH.finditer(line)
        if word[0].lower() not in WORDS_OF_OTHERS.get(path.name, ())
    ]
    assert not found, "\n".join(found)
