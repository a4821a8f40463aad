"""Evals from and for other tools: pure converters, one a format; what cannot be said is listed, not dropped.

read       which format a file is of, and its cases
promptfoo  deepeval  inspect_ai  openai_evals   what each file's cases ask, as ours
write      promptfoo and Inspect files of our evals
"""
