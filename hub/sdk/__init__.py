"""The SDK: a TypeScript package and a Python client, made from our contract (`manage.py sdk build`).

    hub.contract (what is served) ──▶ narrowed: without the fields that no mapping fills any more
        ──▶ operations ──▶ typescript/   existing generators, and a facade
                       └─▶ python/       Pydantic models, and a client

What does not depend on the contract stands ready in `templates/`.
"""
