"""Specification documents for the tests, and their contracts as imported modules."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from connectors.contracts import formats
from connectors.contracts.shape import Shape, Specification
from connectors.contracts.source import Wanted, Writer
from connectors.contracts.uses import Tree
from connectors.runtime.declare import Contract

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).resolve().parents[4]
SPECS = Path(os.environ.get("HEADWATER_SHARED") or ROOT.parent / "shared") / "specs"
_numbers = count()

needs_real_documents = pytest.mark.skipif(
    not SPECS.is_dir(),
    reason=f"no vendors' documents: {SPECS} is absent (HEADWATER_SHARED names its folder)",
)


def read(name: str) -> Specification:
    """A small document of our own."""
    return formats.read((FIXTURES / name).read_bytes(), name)


def contracts(
    shapes: dict[str, Shape], wanted: list[Wanted], folder: Path
) -> tuple[ModuleType, dict[str, type[Contract]]]:
    """The generated module, imported from a file, and its classes by the shape's name."""
    writer = Writer(shapes, wanted)
    path = folder / f"generated_{next(_numbers)}.py"
    path.write_text(writer.module("A test's contracts."))
    sys.path.insert(0, str(folder))
    try:
        module = __import__(path.stem)
    finally:
        sys.path.remove(str(folder))
    classes = {key.split(" ")[0]: getattr(module, name) for key, name in writer.classes.items()}
    return module, classes


def contract(
    spec: Specification, name: str, folder: Path, tree: Tree | None = None
) -> type[Contract]:
    """One contract of a document."""
    shape = spec.shape(name)
    return contracts(spec.shapes, [Wanted(shape, tree)], folder)[1][shape.name]
