package org.netretreat.hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import org.springframework.context.ApplicationContext;

/**
 * The FHIR REST servlet: every R4 resource type, transactions, and pages of at most the size asked for at start.
 *
 * <p>{@code next} links follow the Host header of the request, as HAPI does by default.
 */
final class FhirEndpoint extends RestfulServer {

  private static final long serialVersionUID = 1L;

  FhirEndpoint(ApplicationContext storage, int maxPage) {
    super(storage.getBean(FhirContext.class));
    registerProviders(storage.getBean(ResourceProviderFactory.class).createProviders());
    registerProvider(storage.getBean(JpaSystemProvider.class));
    setPagingProvider(paging(storage, maxPage));
    setServerConformanceProvider(capabilities(storage));
  }

  private static DatabaseBackedPagingProvider paging(ApplicationContext storage, int maxPage) {
    DatabaseBackedPagingProvider paging = storage.getBean(DatabaseBackedPagingProvider.class);
    paging.setMaximumPageSize(maxPage);
    // HAPI's own page of 10 where nothing is asked for, or less where even that is over the cap.
    paging.setDefaultPageSize(Math.min(paging.getDefaultPageSize(), maxPage));
    return paging;
  }

  private JpaCapabilityStatementProvider capabilities(ApplicationContext storage) {
    return new JpaCapabilityStatementProvider(
        this,
        storage.getBean(IFhirSystemDao.class),
        storage.getBean(JpaStorageSettings.class),
        storage.getBean(ISearchParamRegistry.class),
        storage.getBean(IValidationSupport.class));
  }
}
