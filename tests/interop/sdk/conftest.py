"""The packages as `manage.py sdk build` makes them, and a frontend that has them installed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from django.core.management import call_command

from hub.sdk import tools
from hub.sdk.build import TEMPLATES
from observability.errors import ConfigurationError
from tests.interop.sdk.frontends import install

HERE = Path(__file__).resolve().parent
#: Kept between sessions: what a lock file names never changes.
CACHE = Path(tempfile.gettempdir()) / f"headwater-sdk-tools-{os.getuid()}"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The tools, where `sdk build` of these tests finds them."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("the SDK's tests need Node.js and npm")
    state = Path(os.environ["HEADWATER_STATE"])
    if not (state / "sdk-tools").exists():
        CACHE.mkdir(exist_ok=True)
        (state / "sdk-tools").symlink_to(CACHE)
    try:
        return tools.installed(TEMPLATES / "typescript", CACHE)
    except ConfigurationError:
        asked = ["npm", "view", "typescript", "version"]
        if subprocess.run(asked, capture_output=True, timeout=60, check=False).returncode:
            pytest.skip("the npm registry does not answer")
        raise


@pytest.fixture(scope="session")
def built(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages: `typescript/` and `python/`."""
    del node_modules  # they have to be there
    out = tmp_path_factory.mktemp("sdk")
    call_command("sdk", "build", out=out, stdout=io.StringIO())
    return out


@pytest.fixture(scope="session")
def frontend(built: Path, node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frontend")
    shutil.copytree(HERE / "frontend", folder, dirs_exist_ok=True)
    install(built, node_modules, folder)
    return folder
