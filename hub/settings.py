"""The one settings file. Every variable it reads goes through `hub.env` and is listed in README."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import django_stubs_ext

from hub import env
from observability import sentry, spans
from observability.logs import logging_config

# `ModelAdmin[Product]`, `models.Field[str, str]`: what the type checker asks for, at run time too
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

START = "Start with `make run`, or set it yourself (see README, Configuration)."

# --- Headwater's own -----------------------------------------------------------------------------
HEADWATER_STATE = env.state_directory()
HEADWATER_VERSION = "0.1.0"
HEADWATER_ENCRYPTION_KEYS = env.fernet_keys("HEADWATER_ENCRYPTION_KEYS", remedy=START)
HEADWATER_SANDBOX_PRODUCTS = env.integer("HEADWATER_SANDBOX_PRODUCTS", 2000, minimum=1)
HEADWATER_SANDBOX_SEED = env.integer("HEADWATER_SANDBOX_SEED", 1)
#: In order of preference, and what stands in for each where it was declared (hub/locales.py).
_LOCALES = env.table("HEADWATER_LOCALES", {"en_US": None, "de_DE": None, "fr_FR": None})
HEADWATER_LOCALES = list(_LOCALES)
HEADWATER_FALLBACKS = {name: chain for name, chain in _LOCALES.items() if chain is not None}
env.must_name("HEADWATER_LOCALES", HEADWATER_FALLBACKS, HEADWATER_LOCALES)
#: The markets that offers are made for, and the other countries that each serves.
HEADWATER_MARKETS = {
    name.upper(): tuple(country.upper() for country in countries or ())
    for name, countries in env.table("HEADWATER_MARKETS", {"DE": None, "US": None}).items()
}
#: GraphQL documents known from the start, {sha256: text}; with the flag no others run for API keys.
HEADWATER_TRUSTED_DOCUMENTS = env.text("HEADWATER_TRUSTED_DOCUMENTS", "")
HEADWATER_TRUSTED_ONLY = env.flag("HEADWATER_TRUSTED_ONLY", default=False)
#: Whether answers are kept at all, in the process and in Redis (hub.cache).
HEADWATER_KEEP_ANSWERS = env.flag("HEADWATER_KEEP_ANSWERS", default=True)
#: Data classes whose answers shared caches may keep; data about people never is one (hub.cache.http).
HEADWATER_PUBLIC_CLASSES = env.names("HEADWATER_PUBLIC_CLASSES", ["text", "price", "stock"])
#: 0: only people who are logged in may ask for the schema by GraphQL.
HEADWATER_INTROSPECTION = env.flag("HEADWATER_INTROSPECTION", default=True)
#: Origins whose pages may ask from a browser.
HEADWATER_CORS_ORIGINS = env.origins("HEADWATER_CORS_ORIGINS")
#: Bearer tokens of one issuer; without an issuer none is accepted (hub/auth/tokens.py).
HEADWATER_JWT_ISSUER = env.text("HEADWATER_JWT_ISSUER", "")
_where_tokens_are_taken = env.REQUIRED if HEADWATER_JWT_ISSUER else ""
HEADWATER_JWT_AUDIENCE = env.text(
    "HEADWATER_JWT_AUDIENCE",
    _where_tokens_are_taken,
    remedy="HEADWATER_JWT_ISSUER is: name the audience that its tokens must have.",
)
HEADWATER_JWT_JWKS = env.text(
    "HEADWATER_JWT_JWKS",
    _where_tokens_are_taken,
    remedy="HEADWATER_JWT_ISSUER is: name the address, or the file, of its keys.",
)
HEADWATER_JWT_ALGORITHMS = env.some_of(
    "HEADWATER_JWT_ALGORITHMS",
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
    ("RS256", "ES256"),
)
HEADWATER_JWT_REQUESTS_PER_MINUTE = env.integer(
    "HEADWATER_JWT_REQUESTS_PER_MINUTE", 6000, minimum=1
)
#: Days for which lines of the page of retention are kept (observability.retention), where not as usual.
HEADWATER_RETENTION = env.numbers("HEADWATER_RETENTION")
#: Per cent of the declared numbers above which an action needs a second person.
HEADWATER_APPROVAL_ABOVE = env.integer("HEADWATER_APPROVAL_ABOVE", 100, minimum=0)
PORT = env.port("PORT", 8000)
SANDBOX_PORT = env.port("SANDBOX_PORT", 8100)
REDIS_URL = env.redis_url("REDIS_URL", remedy=START)
#: Where people reach the hub: links in e-mails and messages begin with it.
HEADWATER_URL = env.text("HEADWATER_URL", f"http://localhost:{PORT}").rstrip("/")

# --- Django --------------------------------------------------------------------------------------
SECRET_KEY = env.text("HEADWATER_SECRET_KEY", remedy=START)
DEBUG = env.flag("HEADWATER_DEBUG", default=False)
ALLOWED_HOSTS = env.names("HEADWATER_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
ROOT_URLCONF = "hub.urls"
WSGI_APPLICATION = "hub.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # unfold replaces the admin's templates, so it stands before it
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "graphene_django",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "observability",
    "catalog",
    "connectors",
    "hub",
]

MIDDLEWARE = [
    # first, so that every log line and every error below it carries the correlation id
    "hub.middleware.correlation",
    "hub.auth.middleware.access",
    "hub.usage.middleware.usage",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    # knows who it is by now
    "hub.console.watch.Watch",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTHENTICATION_BACKENDS = ["hub.auth.permissions.People"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
# the bare login page would lead to /accounts/profile/, which does not exist
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "hub.formats"

# --- Where data lives ----------------------------------------------------------------------------
DATABASES = {
    "default": {
        **env.database("DATABASE_URL", remedy=START),
        # One connection a thread, kept; a pool of psycopg's does not survive the fork of a worker.
        "CONN_MAX_AGE": 600,
        # A restarted PostgreSQL costs one cheap check a request, and no error.
        "CONN_HEALTH_CHECKS": True,
    },
}

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "headwater",
        "OPTIONS": {
            # never pickle: whoever can write to the cache could run code
            "SERIALIZER": "hub.cache.plain.PlainSerializer",
            # Redis is disposable: without it every read is a miss, soon
            "IGNORE_EXCEPTIONS": True,
            "SOCKET_CONNECT_TIMEOUT": 0.2,
            "SOCKET_TIMEOUT": 0.5,
        },
    },
}

# Sessions and tasks live in PostgreSQL, so that a flushed Redis logs nobody out and loses no work.
SESSION_ENGINE = "django.contrib.sessions.backends.db"

# The cluster only executes: tasks carry ids and mean "there may be work" (see connectors.runtime).
Q_CLUSTER = {
    "name": "headwater",
    "orm": "default",
    "workers": 8,  # two for pulls, the others man the posts of connectors.runtime.posts
    "poll": 0.2,
    "timeout": 900,
    "retry": 1800,  # must exceed the timeout, or a task that still runs is started again
    "max_attempts": 1,  # attempts are counted on our own rows; losing a task loses nothing
    "ack_failures": True,
    "catch_up": False,
    "bulk": 20,
    "queue_limit": 20,
    "save_limit": 250,
    "recycle": 500,
    "label": "Tasks",
}

#: By how much the workers let others go first (nice(2)) where the processor is short: what they do
#: is waited for by nobody, and an answer by somebody. They get their share still, so their lag stays
#: bounded. PostgreSQL works for both alike.
HEADWATER_WORKERS_NICE = env.integer("HEADWATER_WORKERS_NICE", 5, maximum=19)

# --- Static files --------------------------------------------------------------------------------
STATIC_URL = "/static/"
# served straight from the packages: nothing to collect, nothing from a CDN
WHITENOISE_USE_FINDERS = True

# --- API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["hub.rest.access.Recognised"],
    # whoever is not a reader is refused by the authentication
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "hub.rest.access.AlwaysJson",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "hub.rest.errors.handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Headwater",
    "DESCRIPTION": "One typed and traceable catalogue over every business system.",
    "VERSION": HEADWATER_VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    # the description of the API and its page are no secret; the data behind them is
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # from the package, not from a CDN
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "hub.contract.outward.mark_deprecated",
        "hub.rest.describe_writes.add_components",
    ],
}

# --- Mail ----------------------------------------------------------------------------------------
_MAIL = env.smtp("HEADWATER_SMTP_URL")
EMAIL_HOST, EMAIL_PORT = _MAIL.hostname or "", _MAIL.port or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_MAIL.username or ""), unquote(_MAIL.password or "")
EMAIL_USE_SSL = _MAIL.scheme == "smtps"
EMAIL_USE_TLS = _MAIL.scheme == "smtp+tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("HEADWATER_MAIL_FROM", "headwater@localhost")

# --- Admin ---------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Headwater",
    "SITE_HEADER": "Headwater",
    "SITE_SUBHEADER": "Integration hub",
    "SITE_URL": "/",
    "SITE_SYMBOL": "water",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["hub.console.navigation.stylesheet"],
    "GLOBAL_CALLBACK": "hub.console.navigation.shortcuts",
    "DASHBOARD_CALLBACK": "hub.console.dashboard.dashboard",
    "SIDEBAR": {"show_search": True, "navigation": "hub.console.navigation.sidebar"},
}

# --- Logs and errors -----------------------------------------------------------------------------
LOGGING = logging_config(env.choice("HEADWATER_LOG_FORMAT", ("json", "console"), "json"))

SENTRY_DSN = env.text("SENTRY_DSN", "")
sentry.init(SENTRY_DSN, HEADWATER_VERSION)
spans.configure(env.web_address("OTEL_EXPORTER_OTLP_ENDPOINT"))
