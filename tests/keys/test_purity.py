"""`keystow.keys`: "imports nothing of the project and nothing that reads a clock, the environment, a disk or a
network".
"""

import copy
import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from strategies import cases

from keystow.keys import Template

GUARD = """
import os, sys, time, datetime, socket

def refuse(*args, **kwargs):
    raise AssertionError("impure")

class Closed(dict):
    __getitem__ = __contains__ = __iter__ = __len__ = get = keys = items = copy = refuse

class Calendar(datetime.datetime):
    now = utcnow = today = fromtimestamp = refuse

def audit(event, args):
    if running or event.startswith(("socket.", "subprocess.", "os.putenv")):
        refuse()
    if event == "open" and not str(args[0]).endswith((".py", ".pyc")):
        refuse()

running = False
os.environ = os.environb = Closed()
for clock in ("time", "time_ns", "monotonic", "gmtime", "localtime", "strftime", "perf_counter"):
    setattr(time, clock, refuse)
datetime.datetime = Calendar
sys.addaudithook(audit)
"""

WORK = """
from keystow.keys import *
at = datetime.datetime(2023, 9, 26, 14, 5, 30, tzinfo=datetime.UTC)
running = True
run = Context(job_id="abc123", execution_id="e/1", node_id="n", at=at, labels={"campaign": "c"})
key = object_key("results/{jobID}/{campaign}/{date:%G-%V}/{time}", run, archive=True)
template = Template("{executionID}/{nodeID}/{date}", values="percent")
found = template.bind(**template.match(template.expand(run))).text
try:
    Template("{jobid}")
except TemplateError as error:
    message = str(error)
running = False
print(key, found, message, Template("{jobID}", dialect="bacalhau").expand(run))
"""

PRINTED = (
    "results/abc123/c/2023-39/140530.tar.gz e%2F1/n/20230926 "
    "unknown field {jobid}: did you mean {jobID}? (at position 1) abc123\n"
)


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_nothing_is_read():
    """DESIGN: "nothing that reads a clock, the environment, a disk or a network", when imported or when used."""
    done = python(GUARD + WORK)
    assert (done.stdout, done.stderr) == (PRINTED, "")


@pytest.mark.parametrize(
    "impure",
    [
        "open('/dev/null')",
        "os.environ['PATH']",
        "os.getenv('TZ')",
        "os.listdir('/')",
        "time.time()",
        "datetime.datetime.now()",
        "socket.socket()",
    ],
)
def test_the_guard_sees(impure):
    done = python(f"{GUARD}running = True\n{impure}\n")
    assert "AssertionError: impure" in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "TZ": "UTC"},
        {"LC_ALL": "C.UTF-8", "TZ": "EST5EDT"},
        {"LC_ALL": "POSIX", "TZ": "<+14>-14"},
        {"LC_ALL": "ar_EG.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
        {"PYTHONHASHSEED": "1", "TZ": "nowhere"},
    ],
    ids=lambda environment: environment["TZ"],
)
def test_keys_are_the_same_on_every_machine(environment):
    """DESIGN: "the same template and context give the same key on every machine" """
    locale = "import datetime, locale, time\ntime.tzset()\ntry:\n    locale.setlocale(locale.LC_ALL, '')\n"
    done = python(f"{locale}except locale.Error:\n    pass\n{WORK}", **environment)
    assert (done.stdout, done.stderr) == (PRINTED, "")


@pytest.mark.parametrize(
    "send", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
@given(case=cases())
def test_templates_and_contexts_cross_processes(send, case):
    """Both are values: a copy is equal, has the same hash and gives the same key."""
    template = case.template()
    template.match("")
    key = template.expand(case.context)
    there, context = send(template), send(case.context)
    assert (there, context) == (template, case.context)
    assert (hash(there), hash(context)) == (hash(template), hash(case.context))
    assert there.expand(context) == key
    assert there.match(key) == template.match(key)


@given(cases())
def test_templates_are_compared_by_what_they_give(case):
    """The same text, labels or not, is the same template; another policy is another."""
    template = case.template()
    assert template == Template(case.text, labels=[*case.context.labels, "unused"])
    assert template != case.template(values="percent")
    assert template != case.text
