"""`python -m connectors.sandbox`: the simulated systems on one port, in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from connectors.sandbox.server import Sandbox, SandboxServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m connectors.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--products", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="directory of the journal; none: forget all")
    given = parser.parse_args()
    if given.state:
        given.state.mkdir(parents=True, exist_ok=True)
    sandbox = Sandbox(given.products, given.seed, given.state)
    try:
        server = SandboxServer(sandbox, given.port)
    except OSError as error:
        sys.exit(f"SANDBOX_PORT {given.port} cannot be used: {error.strerror}")

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    print(f"sandbox on http://127.0.0.1:{server.server_port}/_control/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        sandbox.close()


if __name__ == "__main__":
    main()
