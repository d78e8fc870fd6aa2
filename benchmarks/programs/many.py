"""Publishes small results: many.py SOURCE DESTINATION COUNT KEYS [PROCESSES]; each key is used again after KEYS."""

import sys

from keystow import Context, publish_many

if __name__ == "__main__":
    source, destination, count, keys, *processes = sys.argv[1:]
    jobs = ((source, destination, Context(job_id=str(number % int(keys)))) for number in range(int(count)))
    for outcome in publish_many(jobs, processes=int(processes[0]) if processes else None):
        if outcome.error is not None:
            raise outcome.error
