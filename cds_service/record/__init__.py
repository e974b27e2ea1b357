"""The normalised patient: typed, immutable facts, with no network, no clock and no FHIR JSON."""
