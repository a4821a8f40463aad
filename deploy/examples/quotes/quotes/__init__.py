"""A sales assistant on pydantic-ai."""
