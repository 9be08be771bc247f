package org.apache.logging.log4j;

import java.util.HashMap;
import java.util.Map;

/** Stands for Log4j's. */
public class ThreadContext {
    public static final Map<String, String> VALUES = new HashMap<>();

    public static void put(String name, String value) { VALUES.put(name, value); }
}
