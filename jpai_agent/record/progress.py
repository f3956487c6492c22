"""What of a long trial for a certificate is done already, kept line by line, so that one that broke off can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jpai_agent.record.audit import canonical
from jpai_agent.record.certificate import KEY, CertificateError
from jpai_agent.record.files import jsonable
from jpai_agent.record.keys import KeyFault, genuine, public_hex, signing_key

MARK = b"jpai certification progress 1\n"


class Progress:
    """Parts of one trial and what came of them, each line signed, for what is taken up again ends in a signed certificate.

    Args:
        path: A file of JSON lines; None keeps nothing. about: what is tried, all of it: lines about anything else, altered ones
            and those of another key are passed over. resume: take up what is there already; else it is begun anew.

    Raises:
        CertificateError: No key. OSError: the file cannot be read or written.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], *, resume: bool = False) -> None:
        self._path, self._about = path, jsonable(about, 6)
        self._done: dict[str, Any] = {}
        if path is None:
            return
        try:
            self._key = signing_key(KEY)
        except KeyFault as error:
            raise CertificateError(str(error)) from error
        if not resume:
            path.write_bytes(b"")
        elif path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def of(self, part: str, make: Callable[[], Any]) -> Any:
        """What came of a part: as it was kept, or made now and kept. `make` gives what JSON can hold."""
        if part not in self._done:
            result = jsonable(make(), 6)
            if self._path is not None:
                signature = self._key.sign(self._signed(part, result)).hex()
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"part": part, "result": result, "signature": signature}, ensure_ascii=False) + "\n")
            self._done[part] = result
        return self._done[part]

    def __contains__(self, part: str) -> bool:
        return part in self._done

    def _take(self, line: str) -> None:
        try:
            told = json.loads(line)
            part, result, signature = str(told["part"]), told["result"], str(told["signature"])
        except (ValueError, KeyError, TypeError):
            # a line that was cut off when the trial broke
            return
        if genuine(public_hex(self._key), signature, self._signed(part, result)):
            self._done[part] = result

    def _signed(self, part: str, result: Any) -> bytes:
        return MARK + canonical({"about": self._about, "part": part, "result": result})
