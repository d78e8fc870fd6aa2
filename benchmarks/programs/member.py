"""Prints a file of a published archive: member.py RESULT MEMBER."""

import sys

from keystow import open_archive

result, name = sys.argv[1:]
with open_archive(result) as archive, archive.open(name) as file:
    sys.stdout.buffer.write(file.read())
