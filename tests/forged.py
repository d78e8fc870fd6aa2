"""Indexes taken apart and put together again, with every digest right: as a stranger may write them."""

import base64
import hashlib
import json
import zlib
from itertools import accumulate, pairwise

from keystow.archive.carrier import PAGE, ROOT, carried, find_index, footer, payload

Object = dict[str, object]


def deflated(value: object) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode("ascii")
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(text) + compressor.flush()


def parts(made: bytes) -> tuple[bytes, Object, list[Object]]:
    """The data, the root and the pages of an archive."""
    place = find_index(made, len(made))
    root = json.loads(zlib.decompress(payload(ROOT, made[place.start : place.stop]), -15))
    places = pairwise(accumulate(root["pages"]["length"], initial=root["data"]))
    pages = [json.loads(zlib.decompress(payload(PAGE, made[start:stop]), -15)) for start, stop in places]
    return made[: root["data"]], root, pages


def with_pages(root: Object, pages: list[bytes]) -> Object:
    """The root, telling of these payloads."""
    told = {
        "length": [len(carried(PAGE, page)) for page in pages],
        "sha256": base64.b64encode(b"".join(hashlib.sha256(page).digest() for page in pages)).decode(),
    }
    return root | {"pages": root["pages"] | told}


def joined(data: bytes, root: object, pages: list[bytes]) -> bytes:
    """The archive of these, whose root may be JSON as bytes, too."""
    packed = deflated(root)
    carrier = carried(ROOT, packed)
    end = footer(len(carrier), hashlib.sha256(packed).digest())
    return data + b"".join(carried(PAGE, page) for page in pages) + carrier + end


def forged(data: bytes, root: Object, pages: list[Object]) -> bytes:
    payloads = [deflated(page) for page in pages]
    return joined(data, with_pages(root, payloads), payloads)
