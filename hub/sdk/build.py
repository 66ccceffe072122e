"""Makes both packages from one contract."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.contracts import supply
from hub.contract import outward
from hub.sdk import python, tools, typescript
from hub.sdk.narrow import narrowed
from observability.errors import ConfigurationError

TEMPLATES = Path(__file__).resolve().parent / "templates"
LANGUAGES = ("typescript", "python")
#: Where hey-api calls Zod: marked, so that bundlers leave out the schemas that nobody imports.
_ZOD_CALL = re.compile(r"(?<![\w.$])z\.(?=[a-z])")


@dataclass(frozen=True, slots=True)
class Built:
    """What was made. `lost` are the fields that were left out, each with the reasons."""

    packages: tuple[Path, ...]
    lost: Mapping[supply.Filled, tuple[str, ...]]


def build(out: Path, cache: Path, languages: tuple[str, ...] = LANGUAGES) -> Built:
    """Write the packages below `out`, in place of those that are there.

    `cache` keeps the JavaScript tools between builds. Raises ConfigurationError where a tool is
    missing or fails, SpecificationError where a stream's record type was not pulled.
    """
    lost = supply.lost()
    contract = narrowed(outward.served(), lost)
    makers = {"typescript": _typescript, "python": _python}
    made = [makers[language](out / language, contract, cache) for language in languages]
    return Built(tuple(made), lost)


def _typescript(folder: Path, contract: dict[str, str], cache: Path) -> Path:
    template = TEMPLATES / "typescript"
    modules = tools.installed(template, cache)
    _fresh(folder, template, contract)
    source = folder / "src"
    for name, text in typescript.modules(
        contract["openapi.json"], contract["schema.graphql"]
    ).items():
        (source / name).write_text(text)
    # For the time of the build; whoever installs the package installs what it depends on.
    linked = folder / "node_modules"
    linked.symlink_to(modules)
    tool = f"{modules}/.bin"
    tools.together(
        [
            [f"{tool}/openapi-typescript", "contract/openapi.json", "-o", "src/contract.ts"],
            [f"{tool}/openapi-ts", "-f", "openapi-ts.config.mjs"],
            [f"{tool}/gql.tada", "generate-output"],
        ],
        folder,
    )
    schemas = source / "zod" / "zod.gen.ts"
    schemas.write_text(_ZOD_CALL.sub("/* @__PURE__ */ z.", schemas.read_text()))
    tools.run([f"{tool}/tsc", "-p", "tsconfig.json"], folder)
    # The mock brings its GraphQL along: it is started where nothing else is installed. Without
    # names of places in it, so that two builds of one contract are the same.
    mock = folder / "dist" / "mock"
    bundle = ["--bundle", "--platform=node", "--format=esm", "--minify", "--log-level=error"]
    tools.run([f"{tool}/esbuild", "server.js", *bundle, "--outfile=bundled.js"], mock)
    (mock / "bundled.js").replace(mock / "server.js")
    for unneeded in {*mock.glob("*.js")} - {mock / "server.js", mock / "cli.js"}:
        unneeded.unlink()
    linked.unlink()
    for name in ("package-lock.json", "openapi-ts.config.mjs"):
        (folder / name).unlink()
    return folder


def _python(folder: Path, contract: dict[str, str], cache: Path) -> Path:
    del cache  # it needs no tools
    _fresh(folder, TEMPLATES / "python", contract)
    for name, text in python.modules(contract["openapi.json"]).items():
        (folder / "headwater_client" / name).write_text(text)
    return folder


def _fresh(folder: Path, template: Path, contract: dict[str, str]) -> None:
    """The folder as the template has it, with the contract and its version."""
    if folder.exists() and not (folder / "contract" / "openapi.json").exists():
        raise ConfigurationError(
            f"{folder} is no package of ours: remove it, or give another --out"
        )
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    (folder / "contract").mkdir()
    for name, text in contract.items():
        (folder / "contract" / name).write_text(text)
    version = json.loads(contract["openapi.json"])["info"]["version"]
    for file in _manifests(folder):
        file.write_text(file.read_text().replace('"0.0.0"', f'"{version}"', 1))


def _manifests(folder: Path) -> Iterator[Path]:
    return (file for name in ("package.json", "pyproject.toml") if (file := folder / name).exists())
