"""The documentation is right where a program can tell: links, names, commands, snippets, and the examples' own code."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer.main
from ase.io import read
from typer.testing import CliRunner

from benchsuite import contract_suite, registry
from benchsuite.cli import app
from benchsuite.contract import Context
from benchsuite.scenario import library, load
from benchsuite.scenario.positions import parse
from benchsuite.scenario.schema import Scenario

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
EXAMPLE = HOW_TO / "landweber.py"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
THEORY = ROOT / "docs" / "theory.md"
NAMED = re.compile(r"\[`(?!\w+\.py`)([\w.]+)`\]\(([^)#]+\.py)\)")
COMMANDS = typer.main.get_command(app).commands
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    """The code blocks of a language on a page, without the indentation of a list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text_of(page), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def lines_of(block):
    """The commands of a block, each in one line."""
    return block.replace("\\\n", " ").splitlines()


def test_the_example_plugin_keeps_the_contract():
    assert registry.load_plugin(EXAMPLE) == ["landweber"]
    contract_suite.check_reconstructor(registry.reconstructor("landweber"))
    assert len(EXAMPLE.read_text().splitlines()) <= 45


def test_the_example_plugin_converges():
    registry.load_plugin(EXAMPLE)
    series, grid = contract_suite.small_problem()
    losses = [
        item.loss for item in registry.reconstructor("landweber")().reconstruct(series, Context(grid, np.random.default_rng(0)))
    ]
    assert losses[-1] < 0.1 * losses[0]


def test_the_example_phantom_keeps_the_contract():
    registry.load_plugin(HOW_TO / "helix.py")
    helix = registry.phantom("helix")
    contract_suite.check_phantom(helix(helix.Params(turns=3, displacement_rms_A=0.1)))
    positions = helix(helix.Params(turns=1, per_turn=4)).build(np.random.default_rng(0)).positions
    assert np.linalg.det(positions[1:] - positions[0]) > 0  # right-handed
    assert len((HOW_TO / "helix.py").read_text().splitlines()) <= 45


@pages
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.relative_to(ROOT)} links to {target}"


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_functions_named_with_their_file_are_in_it(page):
    for name, target in NAMED.findall(text_of(page)):
        file = (page.parent / target).resolve()
        assert name in defined(file), f"{page.relative_to(ROOT)}: {name} is not in {file.relative_to(ROOT)}"


@functools.cache
def defined(file):
    """The names of all functions and classes of a file, methods as Class.method."""
    names = set()
    for node in ast.parse(text_of(file)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


def test_every_equation_has_its_code_and_its_test():
    sections = re.split(r"^## ", text_of(THEORY), flags=re.MULTILINE)[1:]
    assert len(sections) > 30
    for section in sections:
        title = section.splitlines()[0]
        if title == "Notation":
            continue
        assert "$$" in section, f"{title} has no equation"
        assert [section.count(f"\n- **{part}** ") for part in ("Code", "Test")] == [1, 1], title
        assert not re.search(r"\\[^A-Za-z]", "".join(re.findall(r"\$[^$]+\$", section))), (
            f"{title}: an escape that Markdown may eat"
        )
        code, _, checks = section.partition("**Test**")
        assert [name for name, file in NAMED.findall(code.partition("**Code**")[2]) if "/tests/" not in file], f"{title}: no code"
        assert all("/tests/" in file for _, file in NAMED.findall(checks.partition("**Departs**")[0])), (
            f"{title}: a test that is none"
        )
        assert NAMED.findall(checks), f"{title}: no test"
        assert section.count("$$") % 2 == 0, f"{title}: an equation without an end"


def test_registered_plugins_are_documented():
    everything = "\n".join(map(text_of, PAGES))
    groups = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["entry-points"]
    for group in ("reconstructors", "preprocessing steps", "phantoms", "metrics", "simulators", "figures"):
        for name in groups.get(f"benchsuite.{group}", {}):
            assert f"`{name}`" in everything, f"{name} of {group} is nowhere in the documentation"


def test_commands_are_documented():
    everything = "\n".join(map(text_of, PAGES))
    for name in COMMANDS:
        assert re.search(rf"benchsuite {name}\b", everything), f"benchsuite {name} is nowhere in the documentation"


@pages
def test_commands_in_the_documentation_exist_with_their_options(page):
    shown = [line for block in blocks(page, "sh") for line in lines_of(block)]
    shown += re.findall(r"`(benchsuite [^`|]+)`", text_of(page)) + re.findall(
        r"^    (benchsuite [^#|\n]+(?:\n     +[^\n]+)*)", text_of(page), re.MULTILINE
    )
    for line in shown:
        for words in (shlex.split(part) for part in line.split("&&")):
            if not words or Path(words[0]).name != "benchsuite" or len(words) < 2 or words[1] == "COMMAND" or "--help" in words:
                continue
            command, given = COMMANDS.get(words[1]), words[2:]
            assert command is not None, f"{page.relative_to(ROOT)}: {line}"
            command.make_context(words[1], list(given), resilient_parsing=not given)
            if words[1] in ("run", "validate", "plan") and given and re.fullmatch(r"[a-z_0-9]+(/[a-z_0-9]+)?", given[0]):
                assert given[0] in library.names(), f"{page.relative_to(ROOT)}: {line}"


@pages
def test_python_on_the_pages_imports_what_exists(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("benchsuite", "reconstructors", "metrics"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page.relative_to(ROOT)}: {node.module} has no {alias.name}"


TUTORIAL = ROOT / "docs" / "tutorial.md"
SMALL = [  # the experiments of the tutorial in seconds instead of minutes
    "phantom.atoms=13",
    "simulation.sampling_A=0.2",
    "acquisition.detector={inner_mrad: 24, outer_mrad: 32}",
    "acquisition.tilts.count=3",
    "acquisition.scan.positions=[32, 32]",
    "reconstructors=[resire, wbp]",
    "sweep=[{acquisition.dose_e_per_A2: [2.0e6]}]",
    "repeats=1",
    "figures=[slice_grid]",
]


def test_the_tutorial_can_be_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCHSUITE_STORE", raising=False)
    Path("gold.yaml").write_text(blocks(TUTORIAL, "yaml")[0])
    for line in lines_of("".join(blocks(TUTORIAL, "sh"))):
        words = shlex.split(line)
        assert words[0] == "benchsuite"
        small = [word for setting in SMALL for word in ("--set", setting)] if "quickstart" in words else []
        done = CliRunner().invoke(app, [*words[1:], *small])
        assert done.exit_code == 0, f"{line}: {done.output} {done.exception}"
    for path in ("runs/quickstart-desk/results.csv", "runs/quickstart-desk/report/index.html", "runs/dose/tables/summary.md"):
        assert path in text_of(TUTORIAL)
        assert (tmp_path / path).is_file()
    summary = (tmp_path / "runs/quickstart-desk/tables/summary.md").read_text()
    for column in re.findall(r"^\| (\w[\w -]+) \| [^|]+\?[^|]* \|", text_of(TUTORIAL), re.MULTILINE):
        assert column in summary
    for folder in re.findall(r"`(\w+)/`", text_of(TUTORIAL)):
        assert (tmp_path / "runs" / "dose" / folder).is_dir(), folder
    assert {path.name for path in (tmp_path / ".benchsuite").iterdir()} == {"store"}
    truth, traced = (read(tmp_path / name) for name in ("truth.xyz", "resire.xyz"))
    assert len(truth) == 13
    assert len(traced) > 0


BASES = {  # what the snippets of a page are keys of; other pages: quickstart
    "ptychography.md": "mspt_2025/nanocube",
    "local-orbitals.md": "lot_2024/amorphous",
}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "bring-your-data.md"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_scenarios_on_the_pages_are_valid(page, tmp_path):
    """Those of own data have files, and are run by `measured/test_documentation.py`."""
    for file in ("landweber.py", "helix.py", "projection.py", "surface.py", "recall.py"):
        registry.load_plugin(HOW_TO / file)
    (tmp_path / "mine.xyz").write_text("1\n\nAu 0 0 0\n")
    for number, block in enumerate(blocks(page, "yaml")):
        value = parse(block, f"{page.name}, block {number}").value
        file = tmp_path / "snippet.yaml"
        if "schema" in value:
            file.write_text(block)
            assert load(file).cells
            continue
        if not isinstance(value, dict) or not set(value) <= {field.alias or name for name, field in Scenario.model_fields.items()}:
            continue  # not a part of a scenario
        base = library.resolve(BASES.get(page.name, "quickstart"))
        kept = [part for part in sections(text_of(base)) if part.split(":")[0] not in {*value, "sweep", "scales", "published"}]
        file.write_text("".join(kept) + block)
        assert load(file).cells, f"{page.relative_to(ROOT)}: {block}"


def sections(text):
    """The top-level entries of a YAML file, each with its lines."""
    return re.findall(r"^\w[^\n]*\n(?:(?:[ #-][^\n]*)?\n)*", text, re.MULTILINE)
