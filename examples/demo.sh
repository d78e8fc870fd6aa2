#!/bin/sh
# The main job on a directory: a job's results are published under a templated key, fetched back and compared.
set -eu
here=$(dirname "$0")
work="$PWD/.demo"
rm -rf "$work"
mkdir "$work"

python "$here/job.py" "$work/results"
echo "The job wrote:"
(cd "$work/results" && find . ! -type d | sort)

echo
echo '$ keystow publish results file:///…/store/{jobID}/{date}/{time}.tar.gz --job-id demo'
keystow publish "$work/results" "file://$work/store/{jobID}/{date}/{time}.tar.gz" --job-id demo >"$work/result.yaml"
cat "$work/result.yaml"

echo
echo '$ keystow get result.yaml fetched'
keystow get "$work/result.yaml" "$work/fetched"
diff -r --no-dereference "$work/results" "$work/fetched"
echo
echo "What was fetched is what the job wrote."
