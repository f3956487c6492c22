"""Open the backends that the policy's endpoints are: one by its name, or all of them behind the router."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jpai_agent.vlm.backend import VlmBackend, VlmError
from jpai_agent.vlm.http import HttpClient, Note
from jpai_agent.vlm.openai_backend import EndpointBackend
from jpai_agent.vlm.policy import AUTO, Policy, PolicyError, load_policy
from jpai_agent.vlm.router import Router

PREFIX = "endpoint:"


def endpoint_name(model: Path | str | None) -> str | None:
    """The name in `endpoint:NAME`, or None for what is a folder."""
    text = str(model or "")
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def check_endpoint(name: str) -> Policy:
    """The policy, where it has the endpoint, or for `auto` any. Raises VlmError("policy")."""
    try:
        policy = load_policy()
        if name != AUTO:
            policy.endpoint(name)
        elif not policy.endpoints:
            raise PolicyError("the policy has no endpoint: nothing leaves this machine")
    except PolicyError as error:
        raise VlmError("policy", str(error)) from error
    return policy


def open_endpoint(name: str, local: Callable[[], VlmBackend], note: Note | None) -> VlmBackend:
    """The backend for an endpoint of the policy; for `auto` the router over all of them and the model here.

    Args:
        local: Loads the model of this machine; only for `auto`. note: Writes to the audit log; without one nothing is opened.

    Raises:
        VlmError: "policy", or that of the model here.
    """
    policy = check_endpoint(name)
    if note is None:
        raise VlmError("policy", "an endpoint is asked only where an audit log is written")
    client = HttpClient(policy, note)
    if name != AUTO:
        return EndpointBackend(client, name)
    return Router(policy, [EndpointBackend(client, each) for each in policy.endpoints], local(), note)
