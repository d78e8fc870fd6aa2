"""The data that the races run on, made once and kept until the end."""

import random
import shutil
import sysconfig
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Self

BYTES_PER_FILE = 27_000
_SMALL = 200_000
_SEED = 20230926


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is, in numbers of files, keys, runs, round trips and steps, and in bytes."""

    tree_files: int = 6_000
    files: int = 2_000
    file_bytes: int = 10_000
    large_bytes: int = 512_000_000
    far_bytes: int = 256_000_000
    slowed_files: int = 6_000
    cloud_bytes: int = 64_000_000
    far_memory_bytes: int = 2_000_000_000
    most_bytes: int = 0
    few_files: int = 200
    round_trips: int = 5
    memory_bytes: int = 10_000_000_000
    memory_steps: int = 3
    growth_files: int = 100_000
    members: int = 100_000
    keys: int = 1_000_000
    loops: int = 20_000
    many: int = 10_000
    starts: int = 10

    def divided(self, by: int) -> Self:
        """All of it, divided, but for the size of one small file; what is none stays none."""
        sizes = {each.name: getattr(self, each.name) for each in fields(self)}
        small = {name: max(1, size // by) if size else 0 for name, size in sizes.items()}
        return type(self)(**small | {"file_bytes": self.file_bytes})


class Data:
    """What the races on files read, below ``directory``; each is made when it is first asked for."""

    def __init__(self, directory: Path, sizes: Sizes) -> None:
        self._directory = directory
        self._sizes = sizes

    @cached_property
    def tree(self) -> Path:
        """Real files, large and small."""
        return real_tree(self._directory / "tree", self._sizes.tree_files)

    @cached_property
    def files(self) -> Path:
        """Many small files that nothing compresses."""
        return random_files(self._directory / "files", self._sizes.files, self._sizes.file_bytes)

    @cached_property
    def large(self) -> Path:
        """One large file that nothing compresses."""
        return random_files(self._directory / "large", 1, self._sizes.large_bytes)

    @cached_property
    def far(self) -> Path:
        """One that is fetched from afar, and published there."""
        return random_files(self._directory / "far", 1, self._sizes.far_bytes)

    @cached_property
    def tables(self) -> Path:
        """Tables of numbers, together as large, that shrink to less than a half."""
        return tables(self._directory / "tables", self._sizes.far_bytes)

    @cached_property
    def slowed(self) -> Path:
        """Small files that keep a server busy for longer than a process needs to start."""
        return random_files(self._directory / "slowed", self._sizes.slowed_files, self._sizes.file_bytes)

    @cached_property
    def cloud(self) -> Path:
        """One that an emulator of another cloud takes."""
        return random_files(self._directory / "cloud", 1, self._sizes.cloud_bytes)

    @cached_property
    def few(self) -> Path:
        """A few small files that nothing compresses."""
        return random_files(self._directory / "few", self._sizes.few_files, self._sizes.file_bytes)


def real_tree(target: Path, files: int) -> Path:
    """Copies installed files to ``target``: about as many as asked for, of 27 kB on the average, and gives it back.

    The small ones are taken evenly from all packages; large ones fill it up to the size.
    """
    root = Path(sysconfig.get_path("purelib"))
    found = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    sizes = {path: path.stat().st_size for path in found}
    small = [path for path in found if sizes[path] < _SMALL]
    chosen = small[:: max(1, len(small) // files)][:files]
    total = sum(sizes[path] for path in chosen)
    for path in found:
        if sizes[path] >= _SMALL and total + sizes[path] <= files * BYTES_PER_FILE:
            chosen.append(path)
            total += sizes[path]
    for path in chosen:
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target


def random_files(target: Path, count: int, size: int, seed: int = _SEED) -> Path:
    """``count`` files of ``size`` random bytes, the same in every run, a hundred to a directory."""
    source = random.Random(seed)
    for path in _names(target, count):
        with path.open("wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(source.randbytes(min(1 << 20, size - start)))
    return target


def tables(target: Path, size: int, each: int = 4_000_000) -> Path:
    """Tables of random numbers of ``size`` bytes in all, the same in every run, a hundred to a directory."""
    source = random.Random(_SEED)
    lines = [f"{n},{source.random():.6f},{source.gauss(0, 1):.4f},item-{n % 97}\n" for n in range(max(1, each // 24))]
    for path in _names(target, max(1, size // each)):
        source.shuffle(lines)
        path.write_text("".join(lines)[: min(size, each)], encoding="utf-8")
    return target


def small_files(target: Path, count: int) -> Path:
    """``count`` files of 1 kB of text, a hundred to a directory."""
    for number, path in enumerate(_names(target, count)):
        path.write_text(f"{number}: the quick brown fox jumps over the lazy dog\n" * 20)
    return target


def sparse_files(target: Path, count: int, size: int) -> Path:
    """Files that are ``size`` bytes in all, and take no room on the disk."""
    for path in _names(target, count):
        with path.open("wb") as file:
            file.truncate(size // count)
    return target


def content_size(tree: Path) -> tuple[int, int]:
    """How many files there are below a directory, and how many bytes."""
    found = [path.stat().st_size for path in tree.rglob("*") if path.is_file()]
    return len(found), sum(found)


def _names(target: Path, count: int) -> list[Path]:
    target.mkdir(parents=True)
    names = [target / f"{number // 100:04}" / f"{number:06}" for number in range(count)]
    for folder in {path.parent for path in names}:
        folder.mkdir()
    return names
