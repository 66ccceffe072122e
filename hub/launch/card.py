"""The card: every address and key, on the terminal for a person and in a file for a script."""

from __future__ import annotations

from dataclasses import dataclass

#: One demo person a role, who is called as the role is (`hub.auth.roles`).
PERSONS = ("support", "operator", "steward", "integrator", "auditor")


@dataclass(frozen=True, slots=True)
class Card:
    port: int
    sandbox_port: int
    admin_user: str
    admin_password: str
    api_key: str

    @property
    def urls(self) -> dict[str, str]:
        web = f"http://127.0.0.1:{self.port}"
        return {
            "admin": f"{web}/admin/",
            "graphiql": f"{web}/graphql",
            "graphql": f"{web}/graphql",
            "rest": f"{web}/api/v1/",
            "docs": f"{web}/api/v1/docs",
            "openapi": f"{web}/api/v1/openapi.json",
            "sandbox": f"http://127.0.0.1:{self.sandbox_port}/_control/",
            "healthz": f"{web}/healthz",
        }

    def as_json(self) -> dict[str, object]:
        return {
            "urls": self.urls,
            "admin": {"user": self.admin_user, "password": self.admin_password},
            "persons": list(PERSONS),
            "api_key": self.api_key,
        }

    def as_text(self) -> str:
        urls = self.urls
        query = '{"query":"{ products(first: 3) { nodes { sku name } } }"}'
        return f"""
  Headwater is up.

    Admin        {urls["admin"]}
                 user {self.admin_user}   password {self.admin_password}
                 same password, by role: {", ".join(PERSONS)}
    GraphiQL     {urls["graphiql"]}
    OpenAPI      {urls["docs"]}
    Sandbox      {urls["sandbox"]}
    API key      {self.api_key}

    Try it:
      curl -s {urls["rest"]}products?limit=3 -H 'Authorization: Bearer {self.api_key}'
      curl -s {urls["graphql"]} -H 'Authorization: Bearer {self.api_key}' \\
           -H 'Content-Type: application/json' -d '{query}'

  Ctrl-C stops everything.
"""
