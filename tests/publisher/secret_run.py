"""Every operation on one store, with the logs of everything turned on: what the test of marked secrets runs.

What is for the caller's eyes alone, the signed URL, is kept from the output; all else that is said is printed.
"""

import logging
import pickle
import sys
import traceback
from pathlib import Path

from keystow import PublishedResult, fetch, open_store, presign, publish, verify
from keystow.command import main
from keystow.result import WRAPPER
from keystow.yaml_files import dump_mapping


def tried(call, *arguments, **options):
    """What ``call`` gives; or what is known of its failure, printed in each way that Python has."""
    try:
        return call(*arguments, **options)
    except Exception as error:  # noqa: BLE001  all that can be known of it is printed
        print("".join(traceback.format_exception(error)))
        found = error
        while found is not None:
            print(repr(found), str(found), vars(found), getattr(found, "__notes__", ()))
            found = found.__cause__ or found.__context__
        print(pickle.dumps(error))
        return None


def run(destination, options, source, work):
    kind, bucket = destination.split("://")
    for name, archive in (("small", True), ("large", True), ("plain", False)):
        directory = source / ("large" if name == "large" else "small")
        where = f"{destination}/{name}{options}"
        result = tried(publish, directory, where, archive=archive)
        tried(publish, directory, where, archive=archive, if_exists="error")
        print(result)
        result = result or tried(
            PublishedResult,
            kind,
            bucket,
            f"{name}.tar.gz" if archive else f"{name}/",
            endpoint=options.removeprefix(",opt=endpoint=") or None,
            checksum_sha256="0" * 64,
            encoding="gzip" if archive else "plain",
        )
        if result is None:
            continue
        (work / f"{name}.yaml").write_text(dump_mapping({WRAPPER: result.to_mapping()}))
        tried(verify, result)
        tried(fetch, result, work / f"back-{name}")
        if url := tried(presign, result, expires=60):
            tried(fetch, url, work / f"url-{name}")
        for arguments in (["verify"], ["get"], ["publish"], ["verify", "--debug"]):
            command, *more = arguments
            call = {"publish": [directory, where], "get": [work / f"{name}.yaml", work / f"got-{name}"]}
            try:
                main([command, *map(str, call.get(command, [work / f"{name}.yaml"])), *more])
            except SystemExit as ended:
                print("ended", ended.code)
    store = tried(open_store, destination, **({"endpoint": options.removeprefix(",opt=endpoint=")} if options else {}))
    if store is not None:
        print(repr(store))
        for call in (store.stat, store.delete, lambda key: list(store.list(key)), lambda key: list(store.read(key))):
            tried(call, "absent")
        tried(store.close)


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
