"""Signs of failure, each a small pure function over a transcript; none needs a model."""
