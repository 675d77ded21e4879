"""Views of projections as values: what stands in them as a link to a list or a map is one again."""

from __future__ import annotations

from typing import Any

from treering._core import Cid, MapCore, ProjectedCore, VectorCore
from treering._family import Family
from treering._session import Session
from treering.map import Map
from treering.vector import Vector


def viewed(session: Session, family: Family, now: ProjectedCore) -> Any:
    """Returns the stored view, made anew; its collections as such."""
    value = now.view()
    roots = now.collections
    return value if not roots else _revived(value, {root: _collection(session, family, root) for root in roots})


def _collection(session: Session, family: Family, root: Cid) -> Map[Any] | Vector[Any]:
    core = session.core
    is_map = core.get_node(root)["kind"] == "map"
    found: Map[Any] | Vector[Any] = family.Map(core.map(root)) if is_map else family.Vector(core.vector(root))
    found._session = session
    return found


def _revived(value: Any, collections: dict[Cid, Any]) -> Any:
    match value:
        case dict():
            return {key: _revived(item, collections) for key, item in value.items()}
        case list():
            return [_revived(item, collections) for item in value]
        case Cid():
            return collections.get(value, value)
    return value


def of_family(family: Family, value: Any) -> Any:
    """Returns the value with its collections as those that a read gives: in `treering.aio` the async ones."""
    match value:
        case dict():
            return {key: of_family(family, item) for key, item in value.items()}
        case list():
            return [of_family(family, item) for item in value]
        case MapCore() if not isinstance(value, family.Map):
            return family.Map(value)
        case VectorCore() if not isinstance(value, family.Vector):
            return family.Vector(value)
    return value


def has_collections(value: Any) -> bool:
    match value:
        case dict():
            return any(map(has_collections, value.values()))
        case list() | tuple():
            return any(map(has_collections, value))
    return isinstance(value, MapCore | VectorCore)
