"""S3's XML: written with the standard library, read with defusedxml since it comes from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from local.s3.errors import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Content = str | int | bool | None | Mapping[str, "Content"] | Sequence["Content"]


def document(name: str, content: Mapping[str, Content], *, namespace: str | None = NAMESPACE) -> bytes:
    """An XML document; a list repeats its element, None leaves it out."""
    root = ElementTree.Element(name, {"xmlns": namespace} if namespace else {})
    _fill(root, content)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def parse(body: bytes, name: str) -> ElementTree.Element:
    """The root element, its namespaces taken off. Raises MalformedXML when it is another or none."""
    try:
        root: ElementTree.Element = fromstring(body, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused("MalformedXML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != name:
        raise Refused("MalformedXML")
    return root


def texts(element: ElementTree.Element, name: str) -> list[str]:
    """Texts of the direct children of that name."""
    return [child.text or "" for child in element.findall(name)]


def text(element: ElementTree.Element, name: str) -> str | None:
    """Text of the first direct child of that name, or None without one."""
    child = element.find(name)
    return None if child is None else (child.text or "").strip()


def _fill(element: ElementTree.Element, content: Mapping[str, Content]) -> None:
    for name, value in content.items():
        for item in _items(value):
            _append(element, name, item)


def _items(value: Content) -> Iterator[Content]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from value
    elif value is not None:
        yield value


def _append(element: ElementTree.Element, name: str, value: Content) -> None:
    child = ElementTree.SubElement(element, name)
    if isinstance(value, Mapping):
        _fill(child, value)
    else:
        child.text = str(value).lower() if isinstance(value, bool) else str(value)
