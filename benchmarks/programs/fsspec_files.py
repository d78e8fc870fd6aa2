"""Copies and lists with fsspec's own file systems.

fsspec_files.py put PROTOCOL DIRECTORY/ BUCKET/PREFIX/, get PROTOCOL BUCKET/PREFIX/ DIRECTORY/, or list PROTOCOL BUCKET,
which prints the sizes of all objects by key as JSON.
"""

import json
import sys

import fsspec

verb, protocol, source, *target = sys.argv[1:]
files = fsspec.filesystem(protocol)
match verb:
    case "put":
        files.put(source, target[0], recursive=True)
    case "get":
        files.get(source, target[0], recursive=True)
    case "list":
        found = files.find(source, detail=True)
        print(json.dumps({name.removeprefix(f"{source}/"): each["size"] for name, each in found.items()}))
