"""Success, failure, or "nobody knows": what becomes of a write whose answer is lost (``sending/settling.py``)."""

import pytest

from keystow.backends import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
)
from keystow.backends.sending import repeating, settling
from keystow.backends.sending.limits import bounds
from keystow.backends.sending.settling import decided

TRIES = 4


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", (0.0,) * (TRIES - 1))
    monkeypatch.setattr(settling, "_CONFLICT_PAUSES", (0.0,) * 3)


EXISTS, LOST, REFUSED, BUSY, ENDED, DENIED = (
    AlreadyExistsError("exists"), StoreUnavailableError("lost"), StoreUnavailableError("refused"),
    ConflictError("busy"), ConflictError("ended"), AccessDeniedError("denied"),
)  # fmt: skip
REFUSED.may_have_arrived = False
ENDED.passes = False
OURS, THEIRS, NONE, HIDDEN = "found", None, NotFoundError("none"), AccessDeniedError("hidden")


@pytest.mark.parametrize(
    ("answers", "there", "outcome", "looks"),
    [
        (["made"], OURS, "made", 0),
        ([LOST, "made"], OURS, "made", 0),
        ([EXISTS], THEIRS, EXISTS, 1),
        ([EXISTS], OURS, "found", 1),
        ([EXISTS], HIDDEN, EXISTS, 1),
        ([LOST, EXISTS], OURS, "found", 1),
        ([LOST, EXISTS], THEIRS, EXISTS, 1),
        ([LOST, EXISTS], NONE, EXISTS, 1),
        ([LOST, EXISTS], HIDDEN, UnknownOutcomeError, 1),
        ([REFUSED, EXISTS], HIDDEN, EXISTS, 1),
        ([LOST] * TRIES, OURS, "found", 1),
        ([LOST] * TRIES, THEIRS, LOST, 1),
        ([LOST] * TRIES, NONE, LOST, 1),
        ([LOST] * TRIES, HIDDEN, UnknownOutcomeError, 1),
        ([LOST] * TRIES, LOST, UnknownOutcomeError, TRIES),
        ([REFUSED] * TRIES, OURS, REFUSED, 0),
        ([LOST, REFUSED, REFUSED, REFUSED], OURS, "found", 1),
        ([LOST, REFUSED, REFUSED, REFUSED], HIDDEN, UnknownOutcomeError, 1),
        ([BUSY, "made"], OURS, "made", 0),
        ([BUSY] * 4, THEIRS, BUSY, 1),
        ([ENDED], THEIRS, ENDED, 1),
        ([LOST, ENDED], OURS, "found", 1),
        ([LOST, ENDED], HIDDEN, UnknownOutcomeError, 1),
        ([DENIED], OURS, DENIED, 0),
        ([LOST, DENIED], OURS, "found", 1),
        ([LOST, DENIED], HIDDEN, UnknownOutcomeError, 1),
    ],
)
def test_success_failure_or_nobody_knows(answers, there, outcome, looks):
    left = list(answers)
    looked = []

    def given(answer):
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def find():
        looked.append(1)
        return given(there)

    def write():
        return decided(lambda: given(left.pop(0)), find, "s3://b/k", bounds())

    if isinstance(outcome, str):
        assert write() == outcome
    else:
        with pytest.raises(StoreError) as failed:
            write()
        assert failed.value is outcome if isinstance(outcome, StoreError) else type(failed.value) is outcome
    assert left == []
    assert len(looked) == looks


@pytest.mark.parametrize("look", ["the same", "another"])
def test_who_does_not_know_says_why_and_what_to_do(look):
    """Once, where the answer to the upload and that to the question whether it was done lack the same."""

    def lost():
        raise StoreUnavailableError("there: no answer (http://e)", hint="check the endpoint")

    def hidden():
        raise AccessDeniedError("there: hidden", code="AccessDenied", hint="allow it")

    with pytest.raises(UnknownOutcomeError) as unknown:
        decided(lost, lost if look == "the same" else hidden, "there", bounds(1))
    tried = "no answer (http://e) (4 tries within a second)"
    said = {
        "the same": f"{tried}, to the upload as to the question whether it was done",
        "another": f"the answer to the upload was lost ({tried}), and whether the object that now stands there is ours "
        "could not be read (AccessDenied)",
    }[look]
    mend = "check the endpoint; then fetch the object and compare, or publish again under another key"
    assert str(unknown.value) == f"there: {said}: {mend}"
