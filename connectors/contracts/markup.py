"""XML of unknown origin: parsed without ever declaring or expanding an entity."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from connectors.contracts.shape import SpecificationError


class _NoDoctype(TreeBuilder):
    """Entities are how a small document fills the memory; no published schema needs one."""

    def doctype(self, name: str, *_: object) -> None:
        """Called where a DOCTYPE begins, before it can declare anything."""
        raise SpecificationError(
            f"the XML document declares a DOCTYPE ({name}), which is refused; remove it"
        )


def parse(text: bytes) -> Element:
    """The root element. Raises SpecificationError for what is no XML, or declares a DOCTYPE."""
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 (what makes XML dangerous is refused)
    try:
        parser.feed(text)
        root: Element = parser.close()
    except ParseError as error:
        line, column = error.position
        raise SpecificationError(
            f"no well-formed XML: line {line}, column {column}. Was an error page saved in place"
            " of the document?"
        ) from error
    return root


def local(tag: str) -> str:
    """A tag without its namespace: versions of a language differ in that alone."""
    return tag.rpartition("}")[2]


def named(element: Element, *names: str) -> list[Element]:
    """The children with one of these names, in any namespace."""
    return [child for child in element if local(child.tag) in names]


def number(text: str | None) -> int | None:
    """A count in an attribute; None for `Max`, `variable` and the like."""
    return int(text) if text and text.isdigit() else None
