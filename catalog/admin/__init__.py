"""The catalogue in the admin. Entities are written by the merge alone, so all of it is read-only,
except the ownership rules and what is decided about possible matches.

`register_entities` makes one admin for each declared entity. It is called by the console (hub),
which adds the lineage page to them.
"""

from catalog.admin.entities import EntityAdmin, register_entities
from catalog.admin.matching import MatchCandidateAdmin, SameAsAdmin
from catalog.admin.reading import ReadOnlyAdmin, entity_link, entity_url, in_words
from catalog.admin.records import SourceRecordAdmin
from catalog.admin.revisions import RevisionAdmin, changes_html
from catalog.admin.rule_changes import RuleChangeAdmin
from catalog.admin.rules import OwnershipRuleAdmin

__all__ = [
    "EntityAdmin",
    "MatchCandidateAdmin",
    "OwnershipRuleAdmin",
    "ReadOnlyAdmin",
    "RevisionAdmin",
    "RuleChangeAdmin",
    "SameAsAdmin",
    "SourceRecordAdmin",
    "changes_html",
    "entity_link",
    "entity_url",
    "in_words",
    "register_entities",
]
