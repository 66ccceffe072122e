"""Which record a key that systems tell stands for: itself, or the one that it was merged into."""

from __future__ import annotations

from catalog.entities import Entity


def known(cls: type[Entity], said: str) -> str:
    """SQL of the key of the record that stands for the one that the SQL `said` names."""
    target = cls.declaration
    if target.matching is None:
        return said
    return f"""COALESCE((SELECT a.root FROM catalog_sameas a
                WHERE a.entity = '{target.name}' AND a.alias = {said} AND a.ended_at IS NULL),
            {said})"""
