"""Uploads a directory with 32 threads: boto3_upload.py DIRECTORY BUCKET PREFIX. Large files go up in parts."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

THREADS = 32
LARGE = 8 << 20

source, bucket, prefix = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
client = boto3.client("s3", config=Config(max_pool_connections=THREADS))
in_parts = TransferConfig(max_concurrency=THREADS)


def upload(path: Path) -> None:
    """One file, in one request if it is small."""
    key = f"{prefix}/{path.relative_to(source)}"
    if path.stat().st_size >= LARGE:
        client.upload_file(str(path), bucket, key, Config=in_parts)
    else:
        with path.open("rb") as file:
            client.put_object(Bucket=bucket, Key=key, Body=file)


with ThreadPoolExecutor(THREADS) as pool:
    for _ in pool.map(upload, [path for path in source.rglob("*") if path.is_file()]):
        pass
