"""The model: words and frames in, plan JSON out, behind one interface.

`backend` fixes what is asked and answered, `prompt` makes the conversation, `grammar` the constraint under which plans
are decoded, `codecs` speaks each family's convention of points, `confidence` tells how sure an answer is. `onnx_backend`
runs the embedded checkpoint, `hf_backend` any other that transformers loads; `load` picks one after `manifest` has checked
its files. `server` runs a backend in a process of its own and `client` asks it by a deadline. `export` makes the embedded
model's graphs, `bench` times them.
"""

from jpai_agent.vlm.backend import Exchange, PlanAnswer, PlanRequest, VlmBackend, VlmError, check_image
from jpai_agent.vlm.client import VlmClient
from jpai_agent.vlm.load import default_model_dir, load_backend
from jpai_agent.vlm.manifest import Manifest, read_manifest, verify

__all__ = [
    "Exchange", "Manifest", "PlanAnswer", "PlanRequest", "VlmBackend", "VlmClient", "VlmError", "check_image",
    "default_model_dir", "load_backend", "read_manifest", "verify",
]
