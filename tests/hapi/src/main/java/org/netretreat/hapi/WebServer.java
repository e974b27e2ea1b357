package org.netretreat.hapi;

import jakarta.servlet.Servlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/** Jetty with one servlet under {@code /fhir}. */
final class WebServer {

  private final Server jetty = new Server();
  private final ServerConnector connector = new ServerConnector(jetty);

  WebServer(String host, int port, Servlet fhir) {
    connector.setHost(host);
    connector.setPort(port);
    jetty.addConnector(connector);
    ServletContextHandler context = new ServletContextHandler("/");
    context.addServlet(new ServletHolder(fhir), "/fhir/*");
    jetty.setHandler(context);
  }

  void start() throws Exception {
    jetty.start();
  }

  /** Where the FHIR server answers, with the port that was really taken. */
  String base() {
    return "http://" + connector.getHost() + ':' + connector.getLocalPort() + "/fhir";
  }

  /** Closes the port, then waits for the answers under way. */
  void stop() throws Exception {
    jetty.stop();
  }

  /** Returns when the server has been stopped. */
  void join() throws InterruptedException {
    jetty.join();
  }
}
