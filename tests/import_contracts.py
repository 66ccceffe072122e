"""Two contracts that import-linter does not bring along, and that need no edit as code grows.

https://import-linter.readthedocs.io/en/stable/custom_contract_types/
"""

from __future__ import annotations

from collections.abc import Iterable

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyImporters(Contract):
    """External packages that only the named modules (and what is inside them) may import."""

    packages = fields.SetField(subfield=fields.StringField())
    importers = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 the base class asks for it
        breaches = {
            (importer, package)
            for package in self.packages  # type: ignore[attr-defined]  # a field, resolved by the base
            if package in graph.modules
            for importer in graph.find_modules_that_directly_import(package)
            if not any(_inside(importer, allowed) for allowed in self.importers)  # type: ignore[attr-defined]  # as above
        }
        return _verdict(breaches)

    def render_broken_contract(self, check: ContractCheck) -> None:
        _render(check)


class SelfContained(Contract):
    """A package that imports nothing of ours outside itself."""

    module = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 the base class asks for it
        package = str(self.module)
        ours = {name.partition(".")[0] for name in self.session_options["root_packages"]}
        breaches = {
            (importer, imported)
            for importer in graph.modules
            if _inside(importer, package)
            for imported in graph.find_modules_directly_imported_by(importer)
            if imported.partition(".")[0] in ours and not _inside(imported, package)
        }
        return _verdict(breaches)

    def render_broken_contract(self, check: ContractCheck) -> None:
        _render(check)


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _verdict(breaches: Iterable[tuple[str, str]]) -> ContractCheck:
    found = sorted(breaches)
    return ContractCheck(kept=not found, metadata={"breaches": found})


def _render(check: ContractCheck) -> None:
    for importer, imported in check.metadata["breaches"]:
        output.print_error(f"{importer} imports {imported}", bold=False)
