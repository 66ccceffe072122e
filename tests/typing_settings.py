"""`hub.settings` for the type checker, which reads it and connects to nothing."""

from __future__ import annotations

import base64
import os

os.environ.setdefault("DATABASE_URL", "postgresql://typing@localhost/typing")
os.environ.setdefault("REDIS_URL", "redis://localhost/0")
os.environ.setdefault("HEADWATER_SECRET_KEY", "only-for-the-type-checker")
os.environ.setdefault("HEADWATER_ENCRYPTION_KEYS", base64.urlsafe_b64encode(bytes(32)).decode())

from hub.settings import *  # noqa: F403  the whole of it, after its environment
