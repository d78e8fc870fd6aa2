"""A job with real results: the Collatz lengths of the first numbers, as a table, a summary and a picture."""

import json
import sys
from pathlib import Path

LIMIT = 20_000
WIDTH, HEIGHT = 200, 100


def lengths(limit: int) -> list[int]:
    """How many steps each number up to ``limit`` takes to reach 1."""
    known = {1: 0}
    for start in range(2, limit):
        path, number = [], start
        while number not in known:
            path.append(number)
            number = 3 * number + 1 if number % 2 else number // 2
        known.update((passed, steps) for steps, passed in enumerate(reversed(path), known[number] + 1))
    return [known[number] for number in range(1, limit)]


def main(directory: Path) -> None:
    """Writes the results under ``directory``."""
    steps = lengths(LIMIT)
    (directory / "plots").mkdir(parents=True, exist_ok=True)
    table = "".join(f"{number},{count}\n" for number, count in enumerate(steps, 1))
    (directory / "lengths.csv").write_text("number,steps\n" + table)
    longest = max(steps)
    (directory / "summary.json").write_text(json.dumps({"longest": longest, "at": steps.index(longest) + 1}) + "\n")
    pixels = bytearray(b"\xff" * WIDTH * HEIGHT)
    for index, count in enumerate(steps):
        row = HEIGHT - 1 - count * (HEIGHT - 1) // longest
        pixels[row * WIDTH + index * WIDTH // len(steps)] = 0
    (directory / "plots" / "lengths.pgm").write_bytes(b"P5 %d %d 255\n" % (WIDTH, HEIGHT) + pixels)
    (directory / "latest").symlink_to("summary.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
