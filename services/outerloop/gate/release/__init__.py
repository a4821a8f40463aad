"""Release: what is proven goes out in one atomic push, or by a pull request; and the ledger of error."""
