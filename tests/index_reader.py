"""A reader of archives with an index, written from docs/format.md alone; it shares no line with keystow."""

import base64
import hashlib
import io
import json
import struct
import tarfile
import zlib
from itertools import accumulate


def need(holds):
    if not holds:
        raise ValueError("this is not as docs/format.md says")


def carried(kind, members):
    """Section 3: the payload in gzip members that are otherwise empty."""
    payload = b""
    while members:
        extra, *subfield, length = struct.unpack_from("<HccH", members, 10)
        need(members[:10] == bytes.fromhex("1f8b08040000000000ff") and subfield == [b"K", kind])
        need(1 <= length <= 16380 and extra == length + 4 and (length == 16380 or len(members) == length + 26))
        need(members[16 + length : 26 + length] == b"\x03\x00" + bytes(8))
        payload, members = payload + members[16 : 16 + length], members[26 + length :]
    return payload


def opened(payload, digest):
    need(hashlib.sha256(payload).digest() == digest)
    inflater = zlib.decompressobj(-15)
    text = inflater.decompress(payload, 1 << 23)
    need(inflater.eof and not inflater.unused_data)
    return json.loads(text.decode("ascii"), object_pairs_hook=each_once)


def each_once(pairs):
    need(len(dict(pairs)) == len(pairs))
    return dict(pairs)


def digests(text, count):
    joined = base64.b64decode(text, validate=True)
    need(len(joined) == 32 * count)
    return [joined[at : at + 32] for at in range(0, 32 * count, 32)]


class Archive:
    """Section 5: what the root tells; ``read`` gives a range of the object. It has to have an index."""

    def __init__(self, read, size):
        self.read = read
        name, length, digest = struct.unpack("<8sQ32s", carried(b"F", read(size - 74, size)))
        need(name == b"keystow\x01")
        self.digest = digest.hex()
        root = opened(carried(b"R", read(size - 74 - length, size - 74)), digest)
        self.sorted, self.tar_size, pages = root["sorted"], root["tar"]["size"], root["pages"]
        self.digests = digests(pages["sha256"], len(pages["length"]))
        self.pages = list(accumulate(pages["length"], initial=root["data"]))
        self.around = 0 if root.get("sequential") else 10
        self.data = list(accumulate(pages["compressed"], initial=self.around))
        self.tar = list(accumulate(pages["size"], initial=0))
        self.first, self.counts = pages["first"], pages["members"]
        need(max([*self.counts, *pages["blocks"]]) <= 4096)
        need((self.pages[-1], self.data[-1] + self.around) == (size - 74 - length, root["data"]))
        need((self.tar[-1], sum(self.counts)) == (self.tar_size, root["members"]))

    def page(self, number):
        """Section 6: blocks as (start, stop, start in tar, stop in tar, digest), and members as dicts."""
        page = opened(carried(b"P", self.read(*self.pages[number : number + 2])), self.digests[number])
        blocks, members, at = page["blocks"], page["members"], self.tar[number] + page["before"]
        data = list(accumulate(blocks["compressed"], initial=self.data[number]))
        tar = list(accumulate(blocks["size"], initial=self.tar[number]))
        need(data[-1] == self.data[number + 1] and tar[-1] == self.tar[number + 1])
        shas = digests(blocks["sha256"], len(data) - 1)
        found = []
        columns = ("name", "kind", "mode", "size", "time", "head", "crc32")
        for place, values in enumerate(zip(*(members[column] for column in columns), strict=True)):
            member = dict(zip(columns, values, strict=True), at=at, target=members["target"].get(str(place), ""))
            member["content_at"] = at + 512 * member["head"]
            need(at % 512 == 0 and self.tar[number] <= at < self.tar[number + 1])
            at = member["content_at"] + -(-member["size"] // 512) * 512
            need(at + 1024 <= self.tar_size)
            found.append(member)
        need(bool(self.first[number]) == bool(found))
        need(not found or found[0]["name"].startswith(self.first[number]))
        need(len({member["name"] for member in found}) == len(found) == self.counts[number])
        return list(zip(data, data[1:], tar, tar[1:], shas, strict=False)), found

    def find(self, name):
        """Section 7.2."""
        *firsts, key = [each.encode("utf-8", "surrogateescape").replace(b"/", b"\0") for each in [*self.first, name]]
        begun = [page for page, first in enumerate(firsts) if self.counts[page] and (first <= key or not self.sorted)]
        for number in reversed(begun[-1:] if self.sorted else begun):
            for member in reversed(self.page(number)[1]):
                if member["name"] == name:
                    return member
        return None

    def stream(self, start, stop):
        """Section 7.3 and 7.4: that range of the tar stream."""
        content = b""
        for number in range(len(self.digests)):
            if self.tar[number] < stop and self.tar[number + 1] > start:
                for begin, end, tar_start, tar_stop, digest in self.page(number)[0]:
                    if tar_start < stop and tar_stop > start:
                        block = self.read(begin, end)
                        need(hashlib.sha256(block).digest() == digest)
                        inflater = zlib.decompressobj(-15)
                        found = inflater.decompress(block)
                        need(len(found) == tar_stop - tar_start and not inflater.eof)
                        content += found[max(0, start - tar_start) : stop - tar_start]
        return content

    def content(self, member):
        """The content of a member whose header says the same as the page."""
        stream = self.stream(member["at"], member["content_at"] + member["size"])
        with tarfile.open(fileobj=io.BytesIO(stream + bytes(1536)), errors="surrogateescape") as tar:
            header = tar.next()
        need((header.name, header.type, header.mtime) == (member["name"], member["kind"].encode(), member["time"]))
        need((header.size, header.linkname) == (member["size"], member["target"]))
        need(bool(header.mode & 0o100) == bool(member["mode"] & 0o100))
        need(header.offset_data == member["content_at"] - member["at"])
        return stream[header.offset_data :]
