package org.netretreat.hapi;

import java.util.Properties;

/**
 * What the caller may choose, read once from Java system properties.
 *
 * @param host the address to bind; the loopback by default, for this server lets everyone in
 * @param port the TCP port; 0 takes a free one
 * @param maxPage the most entries on a page, whatever {@code _count} asks for
 */
record Options(String host, int port, int maxPage) {

  private static final int LAST_PORT = 65_535;

  Options {
    if (host.isBlank()) {
      throw new IllegalArgumentException("-Dhost: must not be empty");
    }
    if (port < 0 || port > LAST_PORT) {
      throw new IllegalArgumentException("-Dport: must be from 0 to " + LAST_PORT + ", not " + port);
    }
    if (maxPage < 1) {
      throw new IllegalArgumentException("-DmaxPage: must be at least 1, not " + maxPage);
    }
  }

  /** Reads the options, with the default for each that is not given. */
  static Options from(Properties properties) {
    return new Options(
        properties.getProperty("host", "127.0.0.1"),
        number(properties, "port", 8080),
        number(properties, "maxPage", 200));
  }

  private static int number(Properties properties, String name, int otherwise) {
    String text = properties.getProperty(name);
    if (text == null) {
      return otherwise;
    }
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("-D" + name + ": must be a whole number, not \"" + text + '"', e);
    }
  }
}
