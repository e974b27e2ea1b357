"""FHIR: reading charts from files, prefetch and servers, and turning them into records."""
