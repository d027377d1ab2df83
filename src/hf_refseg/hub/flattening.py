"""
The package's own files as siblings in one folder, which is all that transformers loads from a model repository.

transformers finds the files of a repository by the regular expression `from .NAME import`, from file to file, and knows
no folders. So every module that a system reaches becomes one file with a name of its own, and every
`from ...layers.inputs import x` in it becomes `from .layers_inputs import x`.
"""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# What the regular expression of transformers.dynamic_module_utils finds.
SEEN_BY_TRANSFORMERS = re.compile(r"^\s*from\s+\.(\S+)\s+import", re.MULTILINE)


def flat_name(module: str) -> str:
    """
    The name of a module's file in a flat folder.

    Args:
        module: relative to the package, such as "models.rmi.modeling_rmi", "models.cac.captioner", "layers.inputs".

    Returns: "modeling_rmi", "cac_captioner", "layers_inputs".
    """
    parts = module.split(".")
    if parts[0] == "models":
        parts = parts[1:]
        if len(parts) == 2 and parts[1].endswith(f"_{parts[0]}"):
            parts = parts[1:]
    return "_".join(parts)


def flatten(modules: Iterable[str]) -> dict[str, str]:
    """
    These modules and all that they reach by relative imports, also those inside of functions.

    Args:
        modules: relative to the package.

    Returns: the source of each file by its name without ".py", with sibling imports only.

    Raises:
        ValueError: a file imports in a way that has no place in a flat folder, or two files would have one name.
    """
    waiting, origins, files = list(modules), {}, {}
    while waiting:
        module = waiting.pop()
        name = flat_name(module)
        if origins.setdefault(name, module) != module:
            raise ValueError(f"{module} and {origins[name]} would both become {name}.py; rename one of them")
        if name not in files:
            files[name], reached = flattened_source(module)
            waiting.extend(reached)
    return files


@cache
def flattened_source(module: str) -> tuple[str, tuple[str, ...]]:
    """The source of one module with sibling imports, and the modules that it imports; raises as `flatten`."""
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    reached = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == PACKAGE.name for alias in node.names):
            raise ValueError(f"{path}, line {node.lineno}: import relatively, so that it works outside of the package")
        if not isinstance(node, ast.ImportFrom) or (not node.level and node.module.split(".")[0] != PACKAGE.name):
            continue
        parents = module.split(".")[: -node.level]
        target = ".".join([*parents, node.module or ""])
        if not node.level or not (PACKAGE / f"{target.replace('.', '/')}.py").is_file():
            raise ValueError(
                f"{path}, line {node.lineno}: {ast.unparse(node)!r} has no place in a flat folder; write "
                "`from .module import name`, with the module's file"
            )
        reached.append(target)
        written = f"from {'.' * node.level}{node.module} import"
        line = lines[node.lineno - 1]
        if line[node.col_offset :].startswith(written):
            line = f"{line[: node.col_offset]}from .{flat_name(target)} import{line[node.col_offset + len(written) :]}"
        lines[node.lineno - 1] = line
    flat = "".join(lines)
    seen, wanted = set(SEEN_BY_TRANSFORMERS.findall(flat)), {flat_name(target) for target in reached}
    if seen != wanted:
        raise ValueError(f"{path}: transformers would read the imports {sorted(seen)}, not {sorted(wanted)}")
    origin = f"# hf_refseg/{path.relative_to(PACKAGE).as_posix()}, with imports rewritten to files of this folder.\n"
    return origin + flat, tuple(reached)
