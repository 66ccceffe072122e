"""`python -m hub.launch run | clean`."""

from __future__ import annotations

import argparse
import os
import sys

from hub import env
from hub.launch import marks, sequence
from observability.errors import ConfigurationError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hub.launch")
    parser.add_argument("action", choices=["run", "clean"])
    parser.add_argument(
        "--stop-with-parent", action="store_true", help="stop when the process that started us dies"
    )
    arguments = parser.parse_args()
    os.chdir(sequence.ROOT)
    try:
        if arguments.action == "clean":
            sequence.clean(env.state_directory())
            return
        if arguments.stop_with_parent:
            marks.stop_with_parent()
        sequence.Launch(tell).run()
    except ConfigurationError as error:
        sys.exit(f"headwater: {error}")


def tell(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
