package org.netretreat.hapi;

import java.time.Duration;
import java.time.Instant;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** Starts the server, says so on standard output, and serves until a signal ends it. */
public final class Main {

  private static final int BAD_USAGE = 2;

  private Main() {}

  /**
   * Runs until SIGTERM or SIGINT.
   *
   * @param arguments none are read; see {@link Options} for the system properties
   * @throws Exception when the storage or the port cannot be had
   */
  public static void main(String[] arguments) throws Exception {
    Options options;
    try {
      options = Options.from(System.getProperties());
    } catch (IllegalArgumentException e) {
      System.err.println(e.getMessage());
      System.exit(BAD_USAGE);
      return;
    }
    serve(options);
  }

  private static void serve(Options options) throws Exception {
    Instant begun = Instant.now();
    var storage = new AnnotationConfigApplicationContext(Storage.class);
    var web = new WebServer(options.host(), options.port(), new FhirEndpoint(storage, options.maxPage()));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> shutDown(web, storage), "shutdown"));
    try {
      web.start();
    } catch (Exception e) {
      // Storage keeps threads of its own, so that a failed start would otherwise hang for ever.
      System.err.println("cannot serve on " + options.host() + ':' + options.port() + ": " + e.getMessage());
      System.exit(1);
    }
    System.out.println("READY " + web.base() + " after " + Duration.between(begun, Instant.now()).toMillis() + " ms");
    web.join();
  }

  private static void shutDown(WebServer web, AnnotationConfigApplicationContext storage) {
    try {
      web.stop();
      storage.close();
      System.out.println("STOPPED");
    } catch (Exception e) {
      System.err.println("not stopped cleanly: " + e);
    }
  }
}
