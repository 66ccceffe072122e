"""What vendors publish about their records, made into contracts that the runtime checks.

    specification document ── a reader for its format ──▶ Specification (shapes)
        ──▶ Pydantic source, committed beside the connector (`published.py`)
        ──▶ differences, each with what it breaks

`formats.py` lists the formats. `manage.py contract` is the tool.
"""
