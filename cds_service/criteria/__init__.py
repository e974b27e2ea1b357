"""The trial's rules, applied to a record on a day: pure, with no network, clock or FHIR JSON."""
