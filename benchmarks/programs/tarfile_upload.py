"""Packs a tree into a temporary file and uploads that: tarfile_upload.py TREE BUCKET KEY."""

import sys
import tarfile
import tempfile

import boto3

tree, bucket, key = sys.argv[1:]
with tempfile.NamedTemporaryFile(suffix=".tar.gz") as packed:
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tree, arcname=".")
    packed.flush()
    boto3.client("s3").upload_file(packed.name, bucket, key)
