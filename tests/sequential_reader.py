"""What section 12 of docs/format.md adds to ``index_reader``: archives that inflate only from their start."""

import hashlib
import io
import math
import tarfile
import zlib

import index_reader
from index_reader import need


class Archive(index_reader.Archive):
    """One whose blocks inflate one after the other."""

    def blocks(self):
        for number in range(len(self.digests)):
            yield from self.page(number)[0]

    def stream(self, start, stop):
        """Section 12.2: that range of the tar stream."""
        need(self.around == 0)
        content, inflater = b"", zlib.decompressobj(31)
        for begin, end, _, tar_stop, digest in self.blocks():
            if len(content) >= stop:
                break
            block = self.read(begin, end)
            need(hashlib.sha256(block).digest() == digest)
            while block := block.lstrip(b"\0") if inflater.eof else block:
                inflater = zlib.decompressobj(31) if inflater.eof else inflater
                content += inflater.decompress(block)
                block = inflater.unused_data
            need(tar_stop <= len(content) <= tar_stop + 65536)
        return content[start:stop]

    def content(self, member):
        """Section 12.3: the content of a member whose headers say the same as the page."""
        stream = self.stream(member["at"], member["content_at"] + member["size"])
        with tarfile.open(fileobj=io.BytesIO(stream + bytes(1536)), errors="surrogateescape") as tar:
            header = next(header for header in tar if simple(header.name))
        kind = {"\0": "0", "7": "0"}.get(header.type.decode(), header.type.decode())
        target = simple(header.linkname) if kind == "1" else header.linkname
        need((simple(header.name), kind, target) == (member["name"], member["kind"], member["target"]))
        need((math.floor(header.mtime), header.size * (kind == "0")) == (member["time"], member["size"]))
        need(header.offset_data == member["content_at"] - member["at"])
        return stream[header.offset_data :]


def simple(name):
    """A name without what leads nowhere."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})
