package brume;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An error as Lambda describes it: https://docs.aws.amazon.com/lambda/latest/dg/java-exceptions.html. Either the function threw
 * something, or the runtime found that there is no function: then it has no stack trace to tell.
 */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final int MAX_CAUSES = 20;

    final String type;
    private final Throwable thrown;
    /** Says that the process cannot go on. */
    final boolean fatal;

    private Fault(String message, String type, Throwable thrown, boolean fatal) {
        super(message);
        this.type = type;
        this.thrown = thrown;
        this.fatal = fatal;
        if (thrown != null) {
            clean(thrown, Collections.newSetFromMap(new IdentityHashMap<>()));
        }
    }

    /** The runtime found it. */
    static Fault found(String message) {
        return new Fault(message, null, null, false);
    }

    /** A class could not be loaded or made. */
    static Fault of(String message, Throwable t, boolean fatal) {
        return new Fault(message, t.getClass().getName(), t, fatal);
    }

    static Fault of(Throwable t, boolean fatal) {
        return t instanceof Fault ? (Fault) t : of(message(t), t, fatal);
    }

    private static String message(Throwable t) {
        String message = t.getLocalizedMessage();
        return message == null ? t.getClass().getName() : message;
    }

    /** Cuts what called the function off the stack traces. */
    private static void clean(Throwable t, Set<Throwable> seen) {
        if (t == null || !seen.add(t)) {
            return;
        }
        StackTraceElement[] trace = t.getStackTrace();
        for (int i = 0; i < trace.length; i++) {
            if (trace[i].getClassName().startsWith("brume.")) {
                t.setStackTrace(java.util.Arrays.copyOf(trace, i));
                break;
            }
        }
        clean(t.getCause(), seen);
        for (Throwable suppressed : t.getSuppressed()) {
            clean(suppressed, seen);
        }
    }

    /** What goes to the caller when the runtime found the error, or when a class could not be loaded. */
    String describe() {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("errorMessage", getMessage());
        m.put("errorType", type);
        return Types.toString(m);
    }

    /** What goes to the caller when the function threw it. */
    String describeThrown() {
        return Types.toString(describe(thrown, 0));
    }

    private static Map<String, Object> describe(Throwable t, int depth) {
        Map<String, Object> m = new LinkedHashMap<>();
        m.put("errorMessage", message(t));
        m.put("errorType", t.getClass().getName());
        List<String> trace = new ArrayList<>();
        for (StackTraceElement e : t.getStackTrace()) {
            trace.add(e.toString());
        }
        m.put("stackTrace", trace);
        if (t.getCause() != null && depth < MAX_CAUSES) {
            m.put("cause", describe(t.getCause(), depth + 1));
        }
        return m;
    }

    /** What goes to the log. */
    String report() {
        if (thrown == null) {
            return getMessage();
        }
        StringWriter trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace, true));
        return getMessage() + ": " + type + "\n" + trace;
    }
}
