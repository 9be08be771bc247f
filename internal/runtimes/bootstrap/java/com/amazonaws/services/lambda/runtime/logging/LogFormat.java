package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

/** How log events are written. */
public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String format) {
        try {
            return valueOf(format.toUpperCase(Locale.ROOT));
        } catch (RuntimeException e) {
            throw new IllegalArgumentException("Invalid log format: '" + format + "' expected one of [JSON, TEXT]");
        }
    }
}
