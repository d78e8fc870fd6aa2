"""What a request to S3, Google Cloud Storage or Azure is for, by one name for all three.

Strategy: one table, read from the top; what a request is stands in its method and its target, and nothing else is read.
"""

import re

_S3_OR_AZURE, _GOOGLE = r"/[^?]*", r"/(?:upload/)?storage/v1/b/[^/?]+/o"
_TABLE = [
    (name, re.compile(f"{method} {target}"))
    for name, method, target in (
        # Google's JSON API: https://cloud.google.com/storage/docs/json_api/v1/objects
        ("put", "POST", rf"{_GOOGLE}\?.*uploadType=multipart"),
        ("part", "(POST|PUT)", rf"{_GOOGLE}\?.*upload_id="),
        ("abort", "DELETE", rf"{_GOOGLE}\?.*upload_id="),
        ("begin", "POST", rf"{_GOOGLE}\?.*uploadType=resumable"),
        ("get", "GET", rf"(/download)?{_GOOGLE}/.*alt=media"),
        ("stat", "GET", rf"{_GOOGLE}/"),
        ("list", "GET", rf"{_GOOGLE}(\?|$)"),
        # Azure: https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
        ("complete", "PUT", rf"{_S3_OR_AZURE}\?.*comp=blocklist"),
        ("part", "PUT", rf"{_S3_OR_AZURE}\?.*comp=block&"),
        ("list", "GET", rf"{_S3_OR_AZURE}\?.*comp=list"),
        # S3: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html
        ("part", "PUT", rf"{_S3_OR_AZURE}\?.*partNumber="),
        ("begin", "POST", rf"{_S3_OR_AZURE}\?uploads"),
        ("complete", "POST", rf"{_S3_OR_AZURE}\?.*uploadId="),
        ("abort", "DELETE", rf"{_S3_OR_AZURE}\?.*uploadId="),
        ("list", "GET", rf"{_S3_OR_AZURE}\?.*list-type="),
        ("put", "PUT", _S3_OR_AZURE),
        ("get", "GET", _S3_OR_AZURE),
        ("stat", "HEAD", _S3_OR_AZURE),
        ("delete", "DELETE", _S3_OR_AZURE),
    )
]
OPERATIONS = tuple(dict.fromkeys(name for name, _ in _TABLE))
"""All the names: of a whole object, of an upload in parts, and of what is read."""


def operation(method: str, target: str) -> str:
    """The name of what is asked, ``"other"`` if it is none of these.

    >>> operation("PUT", "/bucket/key?partNumber=1&uploadId=x"), operation("GET", "/storage/v1/b/b/o/key?alt=media")
    ('part', 'get')
    """
    asked = f"{method} {target}&"
    return next((name for name, pattern in _TABLE if pattern.match(asked)), "other")
