"""What stores of each type take as parameters besides bucket and key."""

import pytest

from keystow.errors import SpecError
from keystow.params import refuse_untaken

TAKEN = {"s3": {"endpoint", "region", "engine"}, "gs": {"endpoint", "engine"}, "az": {"endpoint", "engine"}}


@pytest.mark.parametrize("name", ["endpoint", "region", "engine"])
@pytest.mark.parametrize("kind", [*TAKEN, "file", "memory", "sftp"])
def test_a_parameter_is_taken_or_refused(kind, name):
    refuse_untaken(kind, {name: None}, SpecError)
    if name in TAKEN.get(kind, ()):
        refuse_untaken(kind, {name: "given"}, SpecError)
    else:
        with pytest.raises(SpecError, match=rf"^an? {kind} destination takes no {name}: leave it out$"):
            refuse_untaken(kind, {name: "given"}, SpecError)
