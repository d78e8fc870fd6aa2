"""The kit proves stores that nobody here wrote, and each broken one fails by the test that is meant for it."""

import textwrap

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

DICT_STORE = """
    import hashlib, threading
    import pytest
    from keystow.backends import *
    from keystow.testing import StoreConformance

    class DictStore:
        capabilities = Capabilities()
        def __init__(self): self.objects, self.lock = {}, threading.Lock()
        def write(self, key, chunks, *, if_absent=False, content_type=None, metadata=None):
            data = b"".join(chunks)
            with self.lock:
                if if_absent and key in self.objects: raise AlreadyExistsError(key)
                self.objects[key] = data
            return Written(len(data), hashlib.sha256(data).hexdigest())
        def get(self, key):
            if key not in self.objects: raise NotFoundError(key)
            return self.objects[key]
        def read(self, key, *, version_id=None, start=0, stop=None):
            if version_id is not None: raise UnsupportedError("no versions")
            yield self.get(key)[start:stop]
        def stat(self, key, *, version_id=None): return Stat(key, len(self.get(key)))
        def list(self, prefix=""):
            return (Stat(key, len(self.objects[key])) for key in sorted(self.objects) if key.startswith(prefix))
        def delete(self, key): self.objects.pop(key, None)
        def presign(self, key, **options): raise UnsupportedError("no URLs")
        def close(self): pass

    class TestDict(StoreConformance):
        @pytest.fixture
        def store(self): return STORE()
"""

BROKEN = {
    "publishes truncated data": (
        """
        class STORE(DictStore):
            def write(self, key, chunks, **options):
                taken = []
                try:
                    taken.extend(chunks)
                finally:
                    written = super().write(key, taken, **options)
                return written
        """,
        "test_a_writer_that_fails_changes_nothing",
    ),
    "overwrites on if_absent": (
        """
        class STORE(DictStore):
            def write(self, key, chunks, *, if_absent=False, **options):
                return super().write(key, chunks, **options)
        """,
        "test_if_absent_writes_once",
    ),
    "overwrites an empty object on if_absent": (
        """
        class STORE(DictStore):
            def write(self, key, chunks, *, if_absent=False, **options):
                return super().write(key, chunks, if_absent=if_absent and bool(self.objects.get(key)), **options)
        """,
        "test_if_absent_sees_any_object",
    ),
    "looks before it writes, and lets two through": (
        """
        import itertools
        class STORE(DictStore):
            def __init__(self):
                super().__init__()
                self.count, self.two_looked = itertools.count(1), threading.Event()
            def write(self, key, chunks, *, if_absent=False, **options):
                if if_absent and key in self.objects: raise AlreadyExistsError(key)
                if next(self.count) == 2: self.two_looked.set()
                assert self.two_looked.wait(60)
                return super().write(key, chunks, **options)
        """,
        "test_one_of_many_writers_wins",
    ),
    "forgets to list an object": (
        """
        class STORE(DictStore):
            def list(self, prefix=""):
                return (found for found in super().list(prefix) if not found.key.endswith("a-b"))
        """,
        "test_a_listing_is_complete",
    ),
    "lists one page": (
        """
        import itertools
        class STORE(DictStore):
            def list(self, prefix=""): return itertools.islice(super().list(prefix), 1000)
        """,
        "test_a_long_listing_is_complete_and_lazy",
    ),
    "takes the last byte of a range too": (
        """
        class STORE(DictStore):
            def read(self, key, *, version_id=None, start=0, stop=None):
                return super().read(key, version_id=version_id, start=start, stop=stop and stop + 1)
        """,
        "test_ranges_are_slices",
    ),
    "cuts the key at a question mark": (
        """
        class STORE(DictStore):
            def write(self, key, chunks, **options): return super().write(key.partition("?")[0], chunks, **options)
        """,
        "test_odd_keys",
    ),
    "promises versions and has none": (
        """
        class STORE(DictStore):
            capabilities = Capabilities(versions=True)
        """,
        "test_each_write_names_its_version",
    ),
    "tells again what has arrived before": (
        """
        class STORE(DictStore):
            capabilities = Capabilities(arrivals=True)
            def write(self, key, chunks, *, arrived=None, **options):
                def telling():
                    done = 0
                    for chunk in chunks:
                        yield chunk
                        done += len(chunk)
                        if arrived: arrived(done)
                return super().write(key, telling(), **options)
        """,
        "test_what_arrives_was_given",
    ),
    "goes on when who is told fails": (
        """
        class STORE(DictStore):
            capabilities = Capabilities(arrivals=True)
            def write(self, key, chunks, *, arrived=None, **options):
                data = b"".join(chunks)
                written = super().write(key, [data], **options)
                try:
                    if arrived: arrived(len(data))
                except Exception: pass
                return written
        """,
        "test_who_is_told_may_end_the_write",
    ),
    "refuses nothing though it promises nothing": (
        """
        class STORE(DictStore):
            capabilities = Capabilities(if_absent=False)
        """,
        "test_if_absent_writes_once",
    ),
}


def run(pytester, store, only=""):
    source = textwrap.dedent(DICT_STORE).replace("class TestDict", f"{textwrap.dedent(store)}\nclass TestDict", 1)
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error", "-rA", "-k", only)


def failures(result):
    lines = [line for line in result.outlines if line.startswith(("FAILED ", "ERROR "))]
    return {line.split("::")[2].partition("[")[0].partition(" ")[0] for line in lines}


def test_a_store_of_others_is_proved(pytester):
    """A dict behind the contract passes, and the table says what it keeps and what it refuses."""
    result = run(pytester, "STORE = DictStore")
    assert failures(result) == set()
    result.stdout.fnmatch_lines(["*what each store keeps*", "*Dict*", "atomic *kept*", "if_absent *kept*"])
    result.stdout.fnmatch_lines(["versions *refused*", "presign *refused*"])


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_store_fails_by_the_test_meant_for_it(pytester, fault):
    store, meant = BROKEN[fault]
    assert failures(run(pytester, store, meant)) == {meant}


def test_a_gap_is_declared_from_outside(pytester, monkeypatch):
    """``KEYSTOW_TEST_GAPS`` turns a failure into an expected one, and one that does not fail into a failure."""
    monkeypatch.setenv("KEYSTOW_TEST_GAPS", "test_a_listing_is_complete")
    forgetful = BROKEN["forgets to list an object"][0]
    for store, failed in ((forgetful, set()), ("STORE = DictStore", {"test_a_listing_is_complete"})):
        assert failures(run(pytester, store, "test_a_listing_is_complete")) == failed


OBSTORE = '''
    import hashlib
    import obstore, obstore.store, pytest
    from keystow.backends import *
    from keystow.testing import StoreConformance

    class ObstoreStore:
        """obstore's memory store: ten lines of somebody else's, behind the contract."""
        capabilities = Capabilities()
        def __init__(self): self.inner = obstore.store.MemoryStore()
        def write(self, key, chunks, *, if_absent=False, content_type=None, metadata=None):
            data = b"".join(chunks)
            try: etag = obstore.put(self.inner, key, data, mode="create" if if_absent else "overwrite")["e_tag"]
            except obstore.exceptions.AlreadyExistsError as error: raise AlreadyExistsError(key) from error
            except obstore.exceptions.BaseError as error: raise InvalidKeyError(key) from error
            return Written(len(data), hashlib.sha256(data).hexdigest(), etag)
        def read(self, key, *, version_id=None, start=0, stop=None):
            if version_id is not None: raise UnsupportedError("no versions")
            try: yield bytes(obstore.get(self.inner, key).bytes())[start:stop]
            except FileNotFoundError as error: raise NotFoundError(key) from error
        def stat(self, key, *, version_id=None):
            try: found = obstore.head(self.inner, key)
            except FileNotFoundError as error: raise NotFoundError(key) from error
            return Stat(key, found["size"], found["e_tag"], modified=found["last_modified"])
        def list(self, prefix=""):
            for page in obstore.list(self.inner):
                yield from (Stat(f["path"], f["size"], f["e_tag"]) for f in page if f["path"].startswith(prefix))
        def delete(self, key):
            try: obstore.delete(self.inner, key)
            except FileNotFoundError: pass
        def presign(self, key, **options): raise UnsupportedError("no URLs")
        def close(self): pass

    class TestObstore(StoreConformance):
        gaps = GAPS
        @pytest.fixture
        def store(self): return ObstoreStore()
'''


def test_a_store_over_obstore_is_proved(pytester):
    """What obstore makes of odd slashes is its own: declared, and shown to be so."""
    gaps = {f"test_keys_that_some_stores_cannot_hold[{odd}]": "obstore strips slashes" for odd in ("a//b", "//", "a/")}
    gaps["test_keys_that_some_stores_cannot_hold[line\\nbreak]"] = "obstore lists a line break percent-encoded"
    pytester.makepyfile(textwrap.dedent(OBSTORE).replace("GAPS", repr(gaps)))
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error", "-rA")
    assert failures(result) == set(), result.stdout.str()[-3000:]
