"""The demo: the whole loop on this machine, around the helpdesk agent, before your eyes."""
