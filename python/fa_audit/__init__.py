"""fa-audit in Python: the recorders, and the program that judges what they record.

    from fa_audit.torch import Recorder          # or fa_audit.jax
    from fa_audit.lightning import FaAudit       # a callback of Lightning's Trainer
    from fa_audit.transformers import FaAudit    # a callback of Hugging Face's Trainer

    import fa_audit
    fa_audit.diagnose("trace.safetensors")       # prints the table, returns verdict.json

Importing this package imports neither PyTorch nor JAX.
"""

from fa_audit._program import Verdict, diagnose, program

__all__ = ["Verdict", "diagnose", "program"]
