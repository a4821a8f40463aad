"""The deterministic checks of the helpdesk: fast, without network."""
