#!/usr/bin/env python
"""Django's command line. What is missing in the environment is one line, not a traceback.

What changes something is written into the audit log before it runs (`hub.auth.commands`).
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from hub.auth.commands import audited
from observability import journal
from observability.errors import ConfigurationError, NotWrittenError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    try:
        with audited(sys.argv):
            execute_from_command_line(sys.argv)
    except (ConfigurationError, NotWrittenError) as error:
        sys.exit(f"headwater: {error}")
    finally:
        # What a command asked of other systems.
        journal.write()


if __name__ == "__main__":
    main()
