"""What ``keystow help`` has to say: each topic is paragraphs, and tables of a term and what it means."""

from typing import NamedTuple

Block = str | dict[str, str]


class Topic(NamedTuple):
    """What it is about, and the blocks of its text: a paragraph, or a table by its terms."""

    summary: str
    blocks: tuple[Block, ...]


STATUSES = {
    "0": "done",
    "1": "failed",
    "2": "the call, the template or the specification is wrong, and nothing was read or sent",
    "3": "it already exists",
    "4": "verification failed",
    "130": "interrupted",
    "143": "terminated",
}

KINDS = {
    "1": (
        "source_unpackable, source_changed, archive_refused, corrupt_archive, unsafe_archive, limit_exceeded, "
        "destination_changed, store_failed, no_such_object, no_such_bucket, access_denied, credentials_refused, "
        "store_unavailable, outcome_unknown, conflict, invalid_key, unsupported, missing_extra, "
        "partly_published, worker_lost, no_file, no_such_member, member_is_directory"
    ),
    "2": (
        "invalid_template, missing_value, value_refused, match_too_costly, key_breaks_rule, invalid_destination, "
        "invalid_result, invalid_ticket, no_such_source, unknown_store"
    ),
    "3": "destination_exists, already_exists, already_published",
    "4": "checksum_mismatch",
}
"""By the exit status: the kinds of the errors that end with it."""

SCHEMES = {
    "s3://bucket/key": "AWS S3 and what speaks its protocol (extra s3)",
    "gs://bucket/key": "Google Cloud Storage (extra gcs)",
    "az://container/key": "Azure Blob Storage (extra azure)",
    "file:///directory/key": "a local directory",
    "memory://name/key": "this process, for tests",
    "sftp://user@host/directory/key": (
        "this and any other file system of fsspec's that can promise what keystow promises"
    ),
}

TOPICS = {
    "destinations": Topic(
        "where to publish: every scheme, and the options behind the key",
        (
            (
                "DESTINATION is a URL whose key is a template (keystow help templates). Put it in single quotes, "
                "for the shell's sake. publish takes several, and gives each its own result."
            ),
            SCHEMES,
            (
                "Options go behind the key, each after a comma: "
                "s3://my-bucket/key,opt=endpoint=https://s3.example.com,opt=region=eu-1"
            ),
            {
                "opt=endpoint=URL": "the server that speaks the protocol; default: the provider's own",
                "opt=region=NAME": (
                    "the bucket's region; default: an AWS endpoint's host name, then AWS's configuration"
                ),
                "opt=encoding=NAME": (
                    "gzip (an archive, the default), plain (files under a prefix) or raw (one file as it is)"
                ),
                "opt=engine=NAME": "who carries requests to S3: auto, fsspec or obstore",
                "opt=kmskeyid=KEY, opt=tags=A=1, …": "how objects are written, as the options of publish say it",
            },
            (
                "A comma belongs to the key unless name= follows it; a field in double quotes is read as CSV. "
                "--spec FILE takes the declarative form: a YAML file with Type and Params, at the top or in a job's "
                "first task. KEYSTOW_DESTINATION is the destination where none is given."
            ),
        ),
    ),
    "results": Topic(
        "what get, cat, verify and url take: a file, -, a URL, an object's name",
        (
            ("publish prints a PublishedResult: where the object is, its SHA-256 and its version. RESULT is one of:"),
            {
                "FILE": "what publish printed, in YAML or JSON; an entry of a Bacalhau job's InputSources, too",
                "-": "the same from standard input",
                "s3://bucket/key": (
                    "an object by its name, or a prefix that ends with /: nothing is known of it but --sha256. Also "
                    "gs:// and az://; get takes an object for an archive, unless ,opt=encoding=raw is behind its name"
                ),
                "https://…": "for get, cat and ls: a pre-signed URL, which holds no checksum: give --sha256",
            },
            (
                "Of a file with several results, all of them are taken, by get each into a directory of its own "
                "(DIRECTORY/1, …), or the one of --select N."
            ),
            (
                "A result may come from anybody. It names stores of S3, Google Cloud Storage and Azure, and with a "
                "checksum a file; anything else only with --allow TYPE. With --allow-endpoint or "
                "KEYSTOW_ALLOW_ENDPOINTS, no other server is called."
            ),
        ),
    ),
    "templates": Topic(
        "the fields of a key, their formats, and labels",
        (
            "The key of a DESTINATION is a template; keystow key TEMPLATE prints what becomes of it.",
            {
                "{jobID}, {executionID}": "--job-id, --execution-id, or what Bacalhau tells a job",
                "{nodeID}": "--node-id, or BACALHAU_NODE_ID",
                "{partitionIndex}, {partitionCount}": (
                    "--partition-index, --partition-count, or what Bacalhau tells a job"
                ),
                "{partitionIndex:04}": "the same filled up with zeros, here to 4 digits",
                "{date}, {time}": "YYYYMMDD and HHMMSS of one instant: --at, or now; in UTC, or --timezone",
                "{date:%Y/%m/%d}, {time:%H}": "the same instant in another form: %Y %m %d %H %M %S %f %j %y %V %G %u",
                "{NAME}": "the value of --label NAME=VALUE",
                "{{, }}": "literal braces",
            },
            (
                "An archive's key gets .tar.gz, and a prefix's /, where it is missing; a raw file's stays as it is. "
                "A field that is unknown or has no value, and a value that would change the shape of the key (a "
                "slash, .., a control character), are errors before anything is read or sent."
            ),
        ),
    ),
    "patterns": Topic(
        "what goes along: --include, --exclude and --ignore-file; and --member",
        (
            (
                "Patterns are those of a .gitignore. All of them are tried in the order in which they are given, "
                "and the last one that matches counts. Where --include comes first, nothing goes along but what it "
                "takes in."
            ),
            {
                "*.tmp": "a name in any directory; * and ? match within a name, [a-z] one character of it",
                "/build": "with a slash at its start or within, from the top of SOURCE",
                "old/": "directories alone, with all that is in them",
                "logs/**, **/cache": "** matches any number of directories",
            },
            (
                "--member of get and verify, and ls, take such patterns, too: what one matches goes along, of a "
                "directory all that it holds. A file at the top is /name; a name with a / in it is looked up without "
                "reading the list of all members."
            ),
            (
                "What was left out is counted, and named with --verbose. If no file is left, that is an error. "
                ".env, *.pem, .git/ and their like go along as asked, with a warning."
            ),
        ),
    ),
    "variables": Topic(
        "what is heeded of the environment",
        (
            (
                "There is no configuration file. What is typed goes before a variable; one that is set wrongly is "
                "named before anything is sent, with exit status 2."
            ),
            {
                "KEYSTOW_DESTINATION": "where keystow publish publishes, and keystow ls and keystow doctor look",
                "KEYSTOW_TIMEOUT": "seconds until a request is over on which nothing moves, with all of its tries",
                "KEYSTOW_ENGINE": "who carries requests to S3: auto, fsspec or obstore",
                "KEYSTOW_ALLOW_ENDPOINTS": (
                    "servers that a result or a job may name, with blanks or commas between; then no others are called"
                ),
                "BACALHAU_JOB_ID": "{jobID}",
                "BACALHAU_EXECUTION_ID": "{executionID}",
                "BACALHAU_NODE_ID": "{nodeID}; no Bacalhau sets it",
                "BACALHAU_PARTITION_INDEX": "{partitionIndex}",
                "BACALHAU_PARTITION_COUNT": "{partitionCount}",
                "SOURCE_DATE_EPOCH": (
                    "the time of all members of an archive, in seconds since 1970; in Python, mtime= says it"
                ),
                "NO_COLOR": "not empty: nothing is coloured",
                "TERM": "the terminal; on one that is dumb, or none, nothing is drawn",
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_SECURITY_TOKEN": "keys for S3",
                "AWS_CREDENTIAL_EXPIRATION": "when they end",
                "AWS_PROFILE, AWS_DEFAULT_PROFILE": "the profile in AWS's files",
                "AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE": "where those files are; empty: there is none",
                "AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE": "a role, which comes before the keys in those files",
                "AWS_REGION, AWS_DEFAULT_REGION": "the bucket's region",
                "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL": "the server that speaks S3",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true: neither of these two, nor the files'",
                "AWS_CA_BUNDLE": "a file of certificates to trust",
                "GOOGLE_APPLICATION_CREDENTIALS": "the file with Google's credentials",
                "STORAGE_EMULATOR_HOST": "a server that stands for Google Cloud Storage, without credentials",
                "AZURE_STORAGE_CONNECTION_STRING": "Azure's account, its endpoint and credentials",
                "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN": (
                    "the account, and its key or SAS"
                ),
            },
            (
                "The clouds' own libraries read further ones to find credentials, and HTTP_PROXY, HTTPS_PROXY, "
                "ALL_PROXY and NO_PROXY are heeded as usual."
            ),
        ),
    ),
    "exit-status": Topic(
        "how a call ended, and the kinds of errors, for scripts",
        (
            STATUSES,
            (
                "Where several things are done, the first status that is not 0 counts. Each error has a kind, in "
                "Python and in the lines of publish-many, that names it for programs. By their exit status, they "
                "are:"
            ),
            KINDS,
        ),
    ),
}
