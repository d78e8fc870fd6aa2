"""The data that every race runs on: real files, from the packages that are installed beside this one."""

import shutil
import sysconfig
from pathlib import Path

BYTES_PER_FILE = 27_000
_SMALL = 200_000


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
