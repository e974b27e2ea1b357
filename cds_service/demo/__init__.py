"""The demo: synthetic patients, a FHIR server that holds them, and an EHR page that opens them."""
