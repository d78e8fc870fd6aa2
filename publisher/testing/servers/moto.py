"""moto: a second opinion on S3."""

import logging
from typing import Self

from .process import LOOPBACK, has_modules
from .s3 import S3Server


class Moto(S3Server):
    """moto's S3 in a thread of this process; it checks neither signatures nor permissions.

    All of them share one memory: use buckets of your own.
    """

    access_key, secret_key = "keystow", "not-checked"

    def __init__(self) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ModuleNotFoundError as error:
            raise RuntimeError("moto is not installed: pip install 'moto[server]'") from error

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server: ThreadedMotoServer | None = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        try:
            self.client().list_buckets()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def installed(cls) -> bool:
        """Whether moto, what its server needs, and botocore are there."""
        return has_modules("moto", "flask", "flask_cors", "botocore")

    @property
    def endpoint(self) -> str:
        """Where the server answers HTTP."""
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """Stop listening; harmless when it is not running."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
            if server._server is not None:  # noqa: SLF001  # or its socket is left to the garbage collector, which warns
                server._server.server_close()  # noqa: SLF001
