/**
 * A HAPI FHIR R4 server for the end-to-end tests: HAPI's JPA storage over an H2 database in memory, served by Jetty on the loopback.
 *
 * <p>{@link org.netretreat.hapi.Main} reads the {@link org.netretreat.hapi.Options}, has Spring build the {@link
 * org.netretreat.hapi.Storage}, puts a {@link org.netretreat.hapi.FhirEndpoint} on it and serves that by {@link
 * org.netretreat.hapi.WebServer}. It has no authentication and checks no profile: it must never hold a real chart.
 */
package org.netretreat.hapi;
