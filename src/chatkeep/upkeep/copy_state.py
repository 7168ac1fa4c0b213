"""How far a copy has come, in a small file, so that it can go on where it was ended.

The target alone cannot say that: databases sort texts differently, so the last key of the target
need not be the last one that was read from the source. Nor could it say that what is in it came
from this source. The file holds keys and counts, and neither texts nor passwords.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chatkeep.errors import CopyError, SettingsError
from chatkeep.ports import Record
from chatkeep.ports.upkeep import KEYS

_FORMAT = 1


@dataclass
class TableState:
    """How far a table has come: the key of the last record that was stored, and how many were."""

    after: Record | None = None
    count: int = 0
    done: bool = False


@dataclass
class CopyState:
    """The file of one copy; `places` are its source and target, as `place_of` names them."""

    path: Path
    places: tuple[str, ...]
    tables: dict[str, TableState] = field(default_factory=dict)

    @classmethod
    def find(cls, directory: Path, places: tuple[str, ...]) -> Self | None:
        """Return the state of a copy that was begun and not finished; None without one.

        Raises:
            CopyError: There is one that this version cannot read.
        """
        state = cls.begin(directory, places)
        try:
            state.tables = _tables(state.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CopyError(f"{state.path} cannot be read; remove it to begin anew.") from error
        return state

    @classmethod
    def begin(cls, directory: Path, places: tuple[str, ...]) -> Self:
        """Return the state of a new copy; nothing is written yet."""
        name = hashlib.sha256("\n".join(places).encode()).hexdigest()[:32]
        return cls(directory / f"{name}.json", places)

    def table(self, name: str) -> TableState:
        """Return how far a table has come."""
        return self.tables.setdefault(name, TableState())

    def advance(self, name: str, last: Record, count: int) -> None:
        """Note that records of a table are stored, up to this one."""
        state = self.table(name)
        state.after = {field: last[field] for field in KEYS[name]}
        state.count += count
        self.save()

    def finish(self, name: str) -> None:
        """Note that a table is complete."""
        self.table(name).done = True
        self.save()

    def restart(self) -> None:
        """Begin again, over what has been copied."""
        self.tables = {}
        self.save()

    def save(self) -> None:
        """Write the file: after a crash it is the old one or the new one.

        Raises:
            SettingsError: It cannot be written.
        """
        tables = {name: vars(state) for name, state in self.tables.items()}
        content = {"format": _FORMAT, "places": self.places, "tables": tables}
        aside = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with aside.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written ({error.strerror})") from error

    def remove(self) -> None:
        """Forget the copy: it is complete."""
        self.path.unlink(missing_ok=True)


def _tables(text: str) -> dict[str, TableState]:
    content = json.loads(text)
    if content["format"] != _FORMAT:
        raise ValueError
    return {name: TableState(**each) for name, each in content["tables"].items()}


def place_of(url: str) -> str:
    """Return a URL without what may be secret in it, to be shown."""
    scheme, _, rest = url.strip().partition("://")
    if scheme.lower().partition("+")[0] in ("sqlite", "file"):
        return f"{scheme}://{rest}"
    # A password may have any character in it, also unescaped ones.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
