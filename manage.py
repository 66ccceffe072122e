#!/usr/bin/env python
"""Django's command line. What is missing in the environment is one line, not a traceback."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from observability import journal
from observability.errors import ConfigurationError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(f"headwater: {error}")
    finally:
        # What a command asked of other systems.
        journal.write()


if __name__ == "__main__":
    main()
