"""The ERP renames a field in what it publishes: what a frontend's compiler says, and when nothing.

Every step is a command, run in a copy of the code, as a developer would run it.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from filecmp import dircmp
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import call_command
from django.db import connection as database

from connectors.sandbox import sap_documents
from tests.interop.sdk.frontends import compiled, install, line_of
from tests.sandboxes import running
from tests.web import ROOT

OLD, NEW = "ProductGroup", "MaterialGroup"
CODE = ("hub", "connectors", "catalog", "observability", "templates")


@dataclass(frozen=True)
class Tree:
    """A copy of the code whose commands run on the database of the tests."""

    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        url = urlsplit(os.environ["DATABASE_URL"])
        name = database.settings_dict["NAME"]
        told = {**os.environ, "DATABASE_URL": urlunsplit(url._replace(path=f"/{name}"))}
        return subprocess.run(
            [sys.executable, "manage.py", *words], cwd=self.folder, env=told, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    def said(self, *words: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def adapt(self, file: str) -> None:
        """A developer writes the new name where the old one stood."""
        path = self.folder / "connectors" / "sap" / file
        assert OLD in path.read_text()
        path.write_text(path.read_text().replace(OLD, NEW))


@dataclass(frozen=True)
class Package:
    """What the build said, what it made, and a frontend that has it installed."""

    said: str
    folder: Path
    frontend: Path


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / "tree"
    for name in CODE:
        unneeded = shutil.ignore_patterns("__pycache__", "static")
        shutil.copytree(ROOT / name, folder / name, ignore=unneeded)
    shutil.copy(ROOT / "manage.py", folder)
    return Tree(folder)


@pytest.fixture
def renamed(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connected ERP whose `$metadata` has the new name."""
    del transactional_db
    sets = tuple(
        replace(one, properties={NEW if n == OLD else n: k for n, k in one.properties.items()})
        for one in sap_documents.SETS
    )
    monkeypatch.setattr(sap_documents, "SETS", sets)
    with running() as server:
        call_command("connect_sandbox", server.url, stdout=io.StringIO())
        yield


def packaged(tree: Tree, node_modules: Path, frontend: Path, tmp_path: Path) -> Package:
    """The package built from the tree, and another frontend that has it installed."""
    out, folder = tmp_path / "out", tmp_path / "frontend"
    said = tree.said("sdk", "build", "--only", "typescript", "--out", str(out))
    shutil.copytree(frontend, folder, ignore=shutil.ignore_patterns("node_modules"))
    install(out, node_modules, folder)
    return Package(said, out / "typescript", folder)


@pytest.mark.usefixtures("renamed")
def test_without_a_new_mapping_the_frontend_fails_at_the_lines_that_use_the_field(
    tree: Tree, node_modules: Path, frontend: Path, tmp_path: Path
) -> None:
    before = (tree.folder / "connectors/sap/published.py").read_text()
    tree.said("contract", "pull", "sap")
    generated = tree.run("contract", "generate", "sap")
    assert generated.returncode == 1
    assert f"A_ProductType publishes no '{OLD}'" in generated.stderr
    assert "variant.group" in generated.stderr
    assert (tree.folder / "connectors/sap/published.py").read_text() == before
    made = packaged(tree, node_modules, frontend, tmp_path)
    assert "left out: variant.group" in made.said
    wrong = compiled(made.frontend)
    page = (made.frontend / "page.ts").read_text()
    lines = [line_of("variant.group", page), line_of("variant?.group", page)]
    assert [line.partition(",")[0] for line in wrong] == [f"page.ts({number}" for number in lines]
    assert "Property 'group' does not exist" in wrong[0]


@pytest.mark.usefixtures("renamed")
def test_with_the_mapping_adapted_nothing_downstream_changes(
    tree: Tree, built: Path, node_modules: Path, frontend: Path, tmp_path: Path
) -> None:
    tree.said("contract", "pull", "sap")
    tree.adapt("streams.py")
    tree.said("contract", "generate", "sap")
    tree.adapt("contracts.py")
    assert "sap: agrees" in tree.said("contract", "check", "sap", "--offline")
    tree.said("api_contract", "check")
    made = packaged(tree, node_modules, frontend, tmp_path)
    assert "left out" not in made.said
    assert differing(dircmp(made.folder, built / "typescript")) == []
    assert compiled(made.frontend) == []


def differing(compared: dircmp[str]) -> list[str]:
    """The files that are not the same in two folders, byte by byte."""
    found = [*compared.left_only, *compared.right_only, *compared.funny_files]
    left, right = Path(compared.left), Path(compared.right)
    found += [
        name for name in compared.common_files
        if (left / name).read_bytes() != (right / name).read_bytes()
    ]  # fmt: skip
    return found + [name for below in compared.subdirs.values() for name in differing(below)]
