"""Where data may go: the endpoints of `config/policy.yaml`, who runs them, where, and what each of them may be told.

A file without endpoints, as it comes, lets nothing leave the machine. What the file says of operator and country is declared by
whoever wrote it; that the host is the one that is meant, its pinned certificate authority proves.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from jpai_agent.vlm.codecs import CODECS, PointCodec, codec_for
from jpai_agent.vlm.hosts import loopback
from jpai_agent.world.paths import resource

POLICY_ENV = "JPAI_POLICY"
DATA_CLASSES = ("text", "maps", "frames", "faces")
TRUST = ("abroad", "home", "premises", "machine")  # least first
AUTO = "auto"
_OWN_MEMBERS = ("model", "messages", "stream", "stream_options", "temperature", "max_tokens", "response_format", "n", "tools")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class PolicyError(ValueError):
    """The policy file is not usable; the message names the file, the entry and what would be right."""


def _line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of plain text without spaces around it")
    return text


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an environment variable; the key itself does not belong into this file")
    return name


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_line)]
Seconds = Annotated[float, Field(ge=0.05, le=120.0, allow_inf_nan=False)]
Yen = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class Endpoint(BaseModel):
    """A server with an OpenAI-compatible route, and what it may be told.

    Attributes:
        operator, country: Who runs it, and where (two letters, ISO 3166-1). premises: it stands in the user's own house.
        base_url: What `/chat/completions` is put behind. https; http only to this machine itself.
        ca_file: PEM file of the certificate authority that must have signed its certificate; no other is believed.
        key_env: Environment variable that holds the bearer key; left out where it asks for none.
        model: Name that the server knows the model by.
        family, points: How it writes points: transformers' model_type of its family, or a codec's name; xy1000 without both.
        allow: Data classes: text (instructions, dialogue), maps (places), frames, faces (frames as they are).
        blur: What is done to frames where faces are not allowed. coarse: the whole frame is made so coarse that faces and plates
            are a few pixels from one metre on (`outgoing`); when left out such frames do not leave.
        deadline_s: Longest that a plan may take there.
        yen_per_1k_prompt_tokens, yen_per_1k_answer_tokens: Its prices.
        stream: Take the answer piece by piece. json_schema: it holds its answers to a schema (`response_format`).
        max_tokens: Of an answer. extra: further members of the request's body, as the server documents them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    operator: Line
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    premises: bool = False
    base_url: Line
    ca_file: Line | None = None
    key_env: Annotated[str, AfterValidator(_variable)] | None = None
    model: Line
    family: Line | None = None
    points: Line | None = None
    allow: tuple[Literal["text", "maps", "frames", "faces"], ...] = Field(strict=False)
    blur: Literal["coarse"] | None = None
    deadline_s: Seconds
    yen_per_1k_prompt_tokens: Yen = 0.0
    yen_per_1k_answer_tokens: Yen = 0.0
    stream: bool = True
    json_schema: bool = True
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 640
    extra: dict[str, Any] = Field(default_factory=dict)
    ca_pem: str = Field(default="", repr=False)

    @model_validator(mode="after")
    def _agree(self) -> Endpoint:
        url = self._url
        if url.scheme not in ("https", "http") or not url.hostname:
            raise ValueError(f"base_url {self.base_url!r} is none: write https://HOST[:PORT]/v1")
        if url.username or url.password or "@" in url.netloc or url.query or url.fragment:
            raise ValueError("base_url has no user, key, query or fragment; the key is in the variable that key_env names")
        if not _HOST.fullmatch(url.hostname) or not self.base_url.isascii() or not url.path.replace("%", "").isprintable():
            raise ValueError(f"base_url {self.base_url!r}: the host is written in ASCII (IDNA)")
        if not 0 < self.port < 65536:
            raise ValueError(f"base_url {self.base_url!r} has no usable port")
        if not self.encrypted and not self.here:
            raise ValueError(f"base_url {self.base_url!r} is not encrypted and not of this machine (127.0.0.1, ::1, localhost): "
                             "use https")
        if self.encrypted and self.ca_file is None:
            raise ValueError("https needs ca_file, the PEM file of the authority that signed the server's certificate")
        if not self.encrypted and self.ca_file is not None:
            raise ValueError("ca_file has no meaning with http")
        if "text" not in self.allow:
            raise ValueError("allow lacks text: a server that may not be told the instruction is of no use")
        if len(set(self.allow)) < len(self.allow):
            raise ValueError("allow names a class twice")
        if "faces" in self.allow and "frames" not in self.allow:
            raise ValueError("allow has faces without frames")
        if self.blur and ("frames" not in self.allow or "faces" in self.allow):
            raise ValueError("blur is for frames where faces are not allowed")
        if self.family and self.points:
            raise ValueError("family or points, not both")
        if self.points and self.points not in CODECS:
            raise ValueError(f"points {self.points!r} is none of {', '.join(CODECS)}")
        if own := sorted(set(self.extra) & set(_OWN_MEMBERS)):
            raise ValueError(f"extra may not set {', '.join(own)}")
        return self

    @property
    def _url(self) -> SplitResult:
        try:
            url = urlsplit(self.base_url)
            url.port  # noqa: B018  (raises for one that is no number)
        except ValueError as error:
            raise ValueError(f"base_url {self.base_url!r}: {error}") from error
        return url

    @property
    def encrypted(self) -> bool:
        """Whether it is asked over TLS."""
        return self._url.scheme == "https"

    @property
    def host(self) -> str:
        """Its host, in lower case."""
        return self._url.hostname or ""

    @property
    def port(self) -> int:
        """Its port."""
        given = self._url.port
        return given if given is not None else (443 if self.encrypted else 80)

    @property
    def path(self) -> str:
        """The path of base_url, without a slash at its end."""
        return self._url.path.rstrip("/")

    @property
    def here(self) -> bool:
        """Whether it is this machine itself."""
        return loopback(self.host)

    @property
    def codec(self) -> PointCodec:
        """How it writes points."""
        return codec_for(self.family) if self.family else CODECS[self.points or "xy1000"]

    @property
    def frames(self) -> str:
        """How frames go there: "clear", "coarse" or "none"."""
        if "faces" in self.allow:
            return "clear"
        return "coarse" if self.blur == "coarse" else "none"

    @property
    def why_no_frames(self) -> str:
        """Why frames do not go there, "" where they do."""
        if self.frames != "none":
            return ""
        if "frames" not in self.allow:
            return "frames are not allowed there"
        return "faces are not allowed there, and nothing here finds every face and plate: set blur: coarse, or allow faces"

    @property
    def key(self) -> str | None:
        """The bearer key of the environment; None where none is needed. Raises PolicyError when it is missing or not usable."""
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "")
        if not key:
            raise PolicyError(f"the environment variable {self.key_env} with the key is not set")
        if not re.fullmatch(r"[!-~]{1,4096}", key):
            raise PolicyError(f"the environment variable {self.key_env} holds no bearer key: plain ASCII without spaces")
        return key


class Policy(BaseModel):
    """All endpoints by name.

    Attributes:
        home_country: Endpoints in it are trusted more than others abroad. deadline_s: longest that a plan may take in all, other
            places asked after a failure included.
        endpoints: By name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    home_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "JP"
    deadline_s: Seconds = 2.8
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named(self) -> Policy:
        for name in self.endpoints:
            if not _NAME.fullmatch(name) or name == AUTO:
                raise ValueError(f"an endpoint cannot be called {name!r}: a-z, 0-9, - and _, and not {AUTO!r}")
        return self

    def trust(self, endpoint: Endpoint) -> int:
        """Index in TRUST: this machine over the own house over the home country over the rest."""
        if endpoint.here:
            return TRUST.index("machine")
        if endpoint.premises:
            return TRUST.index("premises")
        return TRUST.index("home" if endpoint.country == self.home_country else "abroad")

    def endpoint(self, name: str) -> Endpoint:
        """An endpoint by its name. Raises PolicyError naming those there are."""
        if name not in self.endpoints:
            raise PolicyError(f"the policy has no endpoint {name!r}; it has {', '.join(self.endpoints) or 'none'}")
        return self.endpoints[name]

    @cached_property
    def residency(self) -> list[dict[str, Any]]:
        """What may go where, a row an endpoint, JSON-ready."""
        return [{
            "endpoint": name, "operator": e.operator, "country": e.country, "trust": TRUST[self.trust(e)],
            "host": f"{e.host}:{e.port}", "encrypted": f"TLS, CA {ca_print(e.ca_pem)}" if e.encrypted else "no, this machine",
            "text": "text" in e.allow, "maps": "maps" in e.allow, "frames": e.frames, "model": e.model,
            "key": "none" if e.key_env is None else f"{e.key_env} {'set' if os.environ.get(e.key_env) else 'not set'}",
        } for name, e in self.endpoints.items()]


def ca_print(pem: str) -> str:
    """The first 16 hex digits of the sha256 of a PEM file's first certificate."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    first = pem[pem.index(begin):pem.index(end) + len(end)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()[:16]


def policy_path() -> Path:
    """The file that the environment variable JPAI_POLICY names, else config/policy.yaml of the package."""
    given = os.environ.get(POLICY_ENV)
    return Path(given) if given else resource("config", "policy.yaml")


def load_policy(path: Path | None = None) -> Policy:
    """The policy of a file; ca_file is meant from the file's folder.

    Raises:
        PolicyError: It cannot be read, or an entry is not as it must be.
    """
    path = path or policy_path()
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Strict)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise PolicyError(f"{path}: must be a mapping with endpoints")
        endpoints = data.get("endpoints")
        data = {**data, "endpoints": {} if endpoints is None else endpoints}
        if isinstance(endpoints, dict):
            data["endpoints"] = {name: _with_ca(path, name, entry) for name, entry in endpoints.items()}
        return Policy.model_validate(data)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])) or "policy", one["msg"].removeprefix("Value error, ")) for one in error.errors()]
        raise PolicyError(f"{path}: {'; '.join(f'{where}: {what}' for where, what in found)}") from error
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path}: {error}") from error


def _with_ca(path: Path, name: Any, entry: Any) -> Any:
    """An endpoint's entry with its authority's certificate read in."""
    if not isinstance(entry, Mapping):
        return entry
    if "ca_pem" in entry:
        raise PolicyError(f"{path}: endpoints.{name}: ca_pem is read from ca_file, not written here")
    if not isinstance(entry.get("ca_file"), str):
        return dict(entry)
    file = path.parent / entry["ca_file"]
    try:
        pem = file.read_text(encoding="ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        ca_print(pem)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path}: endpoints.{name}.ca_file: {file} holds no PEM certificate: {error}") from error
    return {**entry, "ca_pem": pem}


class _Strict(yaml.SafeLoader):
    """A mapping that names a key twice is an error: which of the two is meant cannot be told."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} is there twice", node.start_mark)
        return dict(super().construct_mapping(node, deep))
