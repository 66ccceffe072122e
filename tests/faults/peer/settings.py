"""A minimal project: django-q2, its broker by `PEER_BROKER` (orm or redis), and our task."""

from __future__ import annotations

import os

from hub import env

SECRET_KEY = env.text("HEADWATER_SECRET_KEY", "only for the peer")
DATABASES = {"default": {**env.database("PEER_DATABASE_URL", remedy=""), "CONN_MAX_AGE": 600}}
INSTALLED_APPS = ["django_q"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
BROKER = os.environ["PEER_BROKER"]
Q_CLUSTER = {
    "name": "peer",
    "workers": 5,
    "timeout": 10,
    # The documentation asks for more than the timeout; so soon a lost task comes again.
    "retry": 20,
    "ack_failures": True,
    "catch_up": False,
    "bulk": 20,
    "poll": 0.2,
    "save_limit": 250,
    "label": "Tasks",
    **({"orm": "default"} if BROKER == "orm" else {"redis": os.environ["REDIS_URL"]}),
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "root": {"level": "ERROR"},
}
