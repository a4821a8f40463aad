"""Verify: whether what was shipped is what was proven, from git alone, by anyone who has a clone.

`clone` finds the refs, `branches` reads the history of suite and ledger, `releases` the commits that say they
were shipped, `merges` those that were and do not say so, `claims` holds a certificate against what was
certified before it, `freed` the ledger against the certificates, `left` all of it against the refs that every
shipment leaves, and `report` puts it together. Nothing here trusts another part of the gate's state: no
database, no remote, no setting.
"""
