package com.amazonaws.services.lambda.runtime;

/** The logger, for code that has no Context. */
public final class LambdaRuntime {
    /** The runtime sets it before the function's first class is loaded. */
    private static volatile LambdaLogger logger;

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return logger;
    }
}
