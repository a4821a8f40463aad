"""outerloop: production failures of an LLM agent become evals, and evals become gated changes."""
