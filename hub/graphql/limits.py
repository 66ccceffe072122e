"""What a document may ask for, checked before anything is executed."""

from __future__ import annotations

from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    ValidationRule,
)

MAX_BODY_BYTES = 256 * 1024
MAX_TOKENS = 4000
MAX_DEPTH = 15
MAX_ALIASES = 50
MAX_DIRECTIVES = 50
MAX_ROOT_FIELDS = 20


class Limits(ValidationRule):
    """Depth, aliases, directives and root fields of the whole document, fragments opened."""

    def enter_document(self, node: DocumentNode, *_args: Any) -> None:
        """Measure once, at the top; a fragment is measured once, however often it is spread."""
        self._fragments = {
            d.name.value: d for d in node.definitions if isinstance(d, FragmentDefinitionNode)
        }
        self._depths: dict[str, int] = {}
        self._aliases = self._directives = 0
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._check("depth", self._depth(definition, frozenset()), MAX_DEPTH)
                roots = len(definition.selection_set.selections)
                self._check("root fields", roots, MAX_ROOT_FIELDS)
            elif isinstance(definition, FragmentDefinitionNode):
                self._fragment_depth(definition.name.value, frozenset())
        self._check("aliases", self._aliases, MAX_ALIASES)
        self._check("directives", self._directives, MAX_DIRECTIVES)

    def _check(self, what: str, found: int, allowed: int) -> None:
        if found > allowed:
            self.report_error(
                GraphQLError(
                    f"the document has {found} {what}; {allowed} are allowed",
                    extensions={"code": "too_complex"},
                )
            )

    def _depth(self, node: Any, within: frozenset[str]) -> int:
        deepest = 0
        for selection in node.selection_set.selections if node.selection_set else ():
            self._directives += len(selection.directives)
            if isinstance(selection, FieldNode):
                self._aliases += selection.alias is not None
                deepest = max(deepest, 1 + self._depth(selection, within))
            elif isinstance(selection, InlineFragmentNode):
                deepest = max(deepest, self._depth(selection, within))
            elif isinstance(selection, FragmentSpreadNode):
                deepest = max(deepest, self._fragment_depth(selection.name.value, within))
        return deepest

    def _fragment_depth(self, name: str, within: frozenset[str]) -> int:
        if name in within or name not in self._fragments:
            return 0  # cycles and unknown fragments are other rules' findings
        if name not in self._depths:
            self._depths[name] = self._depth(self._fragments[name], within | {name})
        return self._depths[name]
