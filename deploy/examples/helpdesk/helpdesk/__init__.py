"""The support agent of an online shop: a loop of model and tool calls over a small order database."""
