"""Writes python/treering/aio.pyi, the types of `treering.aio`, from the sync classes' sources.

It reads the sources as syntax trees and imports nothing of treering. A `@verb`, `@looks` or `@read` is an
`async def`, a `@stream`, `@feed` or `@pump` an async iterator, all else stays; bodies and docstrings are left out,
since `treering.aio` takes them from the sync classes when it is imported.

    python tools/gen_aio.py            # write
    python tools/gen_aio.py --check    # exit 1 if the committed file is not what this would write
"""

from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "python" / "treering"
TARGET = PACKAGE / "aio.pyi"
CLASSES = {
    "blocks": ["Blocks"],
    "commit": ["ThreadDraft", "CommitThreads", "Commit"],
    "holds": ["Hold"],
    "lease": ["Lease"],
    "map": ["Map"],
    "own.handle": ["OwnActor"],
    "past_scope": ["PastScope"],
    "pins": ["Pins"],
    "projections": ["Projection"],
    "refs": ["Refs"],
    "scope": ["Scope"],
    "scoped": ["Scoped"],
    "store": ["Store"],
    "stores.actor": ["ActorHandle"],
    "stores.agents": ["AgentsStore"],
    "stores.chats": ["ChatsStore"],
    "stores.connectors": ["ConnectorsStore"],
    "stores.files": ["FilesStore"],
    "stores.memory": ["MemoryStore"],
    "stores.participants": ["ParticipantsStore"],
    "stores.retention": ["RetentionStore"],
    "stores.roles": ["RolesStore"],
    "stores.sources": ["WorkflowsStore", "ScriptsStore"],
    "stores.user_config": ["UserConfigStore", "LlmPreferencesStore"],
    "thread": ["Thread"],
    "threads": ["Threads"],
    "vector": ["Vector"],
}
OPENERS = {"store": ["open", "memory"]}
FUNCTIONS = {"backup": ["restore"]}
AWAITED = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__"}
SHOWN = {"__init__", "__len__", "__bool__", "__eq__", "__hash__", "__getitem__", "__reversed__", "__reduce__", *AWAITED}
OWN = {name for names in CLASSES.values() for name in names} | {"Opening", "FileReader"}

HEADER = '''"""Types of `treering.aio`. Written by tools/gen_aio.py from the sync classes; `make gen` writes it anew."""
'''

OPENING = """
class Opening:
    def __init__(self, open_store: Callable[[], Any]) -> None: ...
    def __await__(self) -> Generator[Any, None, Store]: ...
    async def __aenter__(self) -> Store: ...
    async def __aexit__(self, *_: object) -> None: ...
"""


class Source:
    """One module: its classes, and where each name in it comes from."""

    def __init__(self, module: str) -> None:
        tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.origins: dict[str, str] = {}
        self.types: dict[str, str] = {}
        """What stands for a variable of a generic class."""
        for node in tree.body:
            match node:
                case ast.ImportFrom(module=origin, names=names) if origin:
                    self.origins |= {name.asname or name.name: origin for name in names}
                case ast.ClassDef(name=name):
                    self.classes[name] = node
                    self.origins[name] = f"treering.{module}"
                case ast.FunctionDef(name=name):
                    self.functions[name] = node
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    self.origins[name] = f"treering.{module}"

    def fill_in(self, name: str, base: ast.Subscript, by: Source) -> None:
        """Has the variables of a generic class stand for the types that a class of another module derives it with."""
        generic = next(of for of in self.classes[name].bases if ast.unparse(of).startswith("Generic["))
        assert isinstance(generic, ast.Subscript)
        self.types = dict(zip(_names(generic), _names(base), strict=True))
        self.origins |= {name: by.origins[name] for name in self.types.values()}


def _names(subscript: ast.Subscript) -> list[str]:
    return [node.id for node in ast.walk(subscript.slice) if isinstance(node, ast.Name)]


def members(source: Source, name: str) -> list[tuple[Source, ast.stmt]]:
    """Returns what a class has, with what it has from its bases in treering, each with where it stands."""
    node = source.classes[name]
    found = [(source, member) for member in node.body]
    own = {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
    for base in node.bases:
        of = base.value if isinstance(base, ast.Subscript) else base
        origin = source.origins.get(of.id, "") if isinstance(of, ast.Name) else ""
        if isinstance(of, ast.Name) and origin.startswith("treering.") and origin != "treering._core":
            above = Source(origin.removeprefix("treering."))
            if isinstance(base, ast.Subscript):
                above.fill_in(of.id, base, source)
            found += [
                (place, member)
                for place, member in members(above, of.id)
                if not (isinstance(member, ast.FunctionDef) and member.name in own)
            ]
    return found


class Stub:
    """The text of the stub, and the names that it needs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.imports: dict[str, set[str]] = {"collections.abc": {"Callable", "Generator"}, "typing": {"Any"}}

    def add_class(self, source: Source, name: str) -> None:
        # What of the core it is, and of which types; what else the sync class is, an async one can't be.
        texts = [ast.unparse(base) for base in source.classes[name].bases]
        bases = [text for text in texts if "Core[" in text or text.startswith("Generic[")]
        inherits = f"({', '.join(self._type(source, base) for base in bases)})" if bases else ""
        self.lines += ["", f"class {name}{inherits}:"]
        overloads: list[ast.FunctionDef] = []
        for origin, member in members(source, name):
            if isinstance(member, ast.FunctionDef) and (not member.name.startswith("_") or member.name in SHOWN):
                if member.name == "__init__":
                    self._add_attributes(origin, member)
                if _decorators(member) == {"overload"}:
                    overloads.append(member)
                    continue
                self._add_method(origin, member, overloads)
                overloads = []

    def add_opener(self, source: Source, name: str) -> None:
        function = source.functions[name]
        self.lines.append(f"def {name}({self._arguments(source, function)}) -> Opening: ...")

    def add_function(self, source: Source, name: str) -> None:
        function = source.functions[name]
        assert function.returns is not None
        returns = self._type(source, ast.unparse(function.returns))
        self.lines.append(f"async def {name}({self._arguments(source, function)}) -> {returns}: ...")

    def _add_attributes(self, source: Source, init: ast.FunctionDef) -> None:
        for node in init.body:
            match node:
                case ast.AnnAssign(target=ast.Attribute(attr=name), annotation=annotation) if name[0] != "_":
                    self.lines.append(f"    {name}: {self._type(source, ast.unparse(annotation))}")

    def _add_method(self, source: Source, method: ast.FunctionDef, overloads: list[ast.FunctionDef]) -> None:
        """Writes a method, or the overloads that stand for it."""
        decorators = _decorators(method)
        if "blocking" in decorators:
            return
        if overloads:
            for overload in overloads:
                self.imports["typing"].add("overload")
                self.lines.append("    @overload")
                overload.decorator_list = method.decorator_list
                self._add_method(source, overload, [])
            return
        if method.returns is None:
            raise SystemExit(f"{method.name}, line {method.lineno}, has no return type")
        returns = ast.unparse(method.returns)
        prefix = "def"
        if decorators & {"verb", "looks"}:
            prefix, returns = "async def", returns.removeprefix("Op[").removesuffix("]")
        elif "read" in decorators or method.name in ("__enter__", "__exit__"):
            prefix = "async def"
        elif decorators & {"stream", "feed", "pump"}:
            returns = "AsyncIterator[" + returns.removeprefix("Chunks[").removeprefix("Feed[").removeprefix("Pump[")
        elif "property" in decorators:
            self.lines.append("    @property")
        elif decorators:
            raise SystemExit(f"{method.name}, line {method.lineno}: no rule for the decorator {decorators}")
        name = AWAITED.get(method.name, method.name)
        arguments = self._arguments(source, method)
        self.lines.append(f"    {prefix} {name}({arguments}) -> {self._type(source, returns)}: ...")

    def _arguments(self, source: Source, function: ast.FunctionDef) -> str:
        for argument in ast.walk(function.args):
            if isinstance(argument, ast.arg) and argument.annotation is not None:
                text = self._type(source, ast.unparse(argument.annotation))
                argument.annotation = ast.parse(text, mode="eval").body
        for default in (*function.args.defaults, *function.args.kw_defaults):
            if isinstance(default, ast.Name):
                self._type(source, default.id)
        return ast.unparse(function.args)

    def _type(self, source: Source, text: str) -> str:
        """Notes the imports of a type's names. A method `list` hides the builtin in its class."""
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Name):
                continue
            node.id = source.types.get(node.id, node.id)
            if node.id in OWN:
                continue
            if node.id == "list":
                node.id = "builtins.list"
                self.imports.setdefault("", set()).add("builtins")
            elif node.id in source.origins:
                self.imports.setdefault(source.origins[node.id], set()).add(node.id)
            elif node.id == "os":
                self.imports.setdefault("", set()).add("os")
            elif node.id == "AsyncIterator":
                self.imports["collections.abc"].add(node.id)
            elif not hasattr(builtins, node.id):
                raise SystemExit(f"where does {node.id} come from, in {text}?")
        return ast.unparse(tree)

    def text(self) -> str:
        plain = sorted(f"import {name}" for name in self.imports.pop("", ()))
        froms = [
            f"from {origin} import {', '.join(sorted(names, key=_import_order))}"
            for origin, names in sorted(self.imports.items())
        ]
        standard = [line for line in froms if "treering" not in line]
        ours = [line for line in froms if "treering" in line]
        functions = {name for table in (OPENERS, FUNCTIONS) for names in table.values() for name in names}
        exported = sorted(OWN | functions, key=_export_order)
        export = ["__all__ = [", *(f'    "{name}",' for name in exported), "]"]
        parts = [HEADER, *plain, *standard, "", *ours, "", *export, *self.lines]
        return "\n".join(parts) + "\n"


def _decorators(method: ast.FunctionDef) -> set[str]:
    return {ast.unparse(decorator) for decorator in method.decorator_list}


def _import_order(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), name[0].islower(), name


def _export_order(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def generate() -> str:
    """Returns the text of the stub, formatted."""
    stub = Stub()
    # Written by hand: a file that is awaited is none of Python's own.
    stub.imports.setdefault("treering._async_files", set()).add("FileReader")
    for module, names in CLASSES.items():
        source = Source(module)
        for name in names:
            stub.add_class(source, name)
    stub.lines += OPENING.splitlines()
    stub.lines.append("")
    for module, names in OPENERS.items():
        source = Source(module)
        for name in names:
            stub.add_opener(source, name)
    for module, names in FUNCTIONS.items():
        source = Source(module)
        for name in names:
            stub.add_function(source, name)
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(ruff, input=stub.text(), capture_output=True, text=True, check=True).stdout


def main(arguments: list[str]) -> int:
    text = generate()
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET} is not what tools/gen_aio.py writes; run it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
