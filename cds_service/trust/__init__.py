"""Who calls: issuers of CDS Hooks tokens, their keys, and the check of a token."""
