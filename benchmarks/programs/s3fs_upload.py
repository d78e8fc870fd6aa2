"""Uploads a directory with s3fs: s3fs_upload.py DIRECTORY BUCKET PREFIX."""

import sys

from s3fs import S3FileSystem

source, bucket, prefix = sys.argv[1:]
S3FileSystem().put(f"{source}/", f"{bucket}/{prefix}/", recursive=True)
